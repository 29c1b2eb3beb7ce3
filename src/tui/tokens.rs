//! What a token can be coloured by: the channels, their fixed scales, and their numbers for a rollout.

use super::app::App;
use super::glyph;
use super::theme::Role;
use crate::core::TokenRecord;

/// One number per token that can colour the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    #[default]
    Gate,
    Gap,
    Student,
    Teacher,
    Reference,
    Entropy,
    Advantage,
    Ratio,
    Coefficient,
    LossShare,
    /// What a method of choice would ask for.
    Lens,
}

/// How a channel's numbers become colours. The limits are fixed, so that steps and runs can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Around zero: below the first limit nothing, then weak, medium, strong on either side.
    Signed([f32; 3]),
    /// Low to high: four limits between five levels.
    Rising([f32; 4]),
}

impl Channel {
    /// All channels in the order `t` walks them.
    pub const ALL: [Channel; 11] = [
        Channel::Gate,
        Channel::Gap,
        Channel::Student,
        Channel::Teacher,
        Channel::Reference,
        Channel::Entropy,
        Channel::Advantage,
        Channel::Ratio,
        Channel::Coefficient,
        Channel::LossShare,
        Channel::Lens,
    ];

    /// Short name for tabs.
    pub fn name(self) -> &'static str {
        [
            "gate",
            "gap",
            "lp student",
            "lp teacher",
            "lp ref",
            "entropy",
            "advantage",
            "ratio",
            "coefficient",
            "loss share",
            "lens",
        ][self as usize]
    }

    /// The next channel, round.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The channel's number of a token by itself: the ratio less 1, the coefficient as a push (positive raises the
    /// log-probability). Shares and lenses need more than the token; see [`values`].
    pub fn value(self, token: &TokenRecord) -> Option<f32> {
        let value = match self {
            Channel::Gate => token.gate,
            Channel::Gap => token.gap(),
            Channel::Student => token.student.or(token.old),
            Channel::Teacher => token.teacher,
            Channel::Reference => token.reference,
            Channel::Entropy => token.entropy,
            Channel::Advantage => token.advantage,
            Channel::Ratio => token.student.zip(token.old).map(|(now, old)| (now - old).exp() - 1.0),
            Channel::Coefficient => token.coefficient.map(|c| -c),
            Channel::LossShare | Channel::Lens => None,
        };
        value.filter(|v| v.is_finite())
    }

    /// Its limits: nats for gap, log-probabilities and entropy; pushes in units of the run's root mean square.
    pub fn scale(self) -> Scale {
        match self {
            Channel::Gate => Scale::Rising([0.2, 0.4, 0.6, 0.8]),
            Channel::Gap => Scale::Signed([0.05, 0.5, 2.0]),
            Channel::Student | Channel::Teacher | Channel::Reference => Scale::Rising([-5.0, -2.0, -0.7, -0.1]),
            Channel::Entropy => Scale::Rising([0.1, 0.4, 1.0, 2.0]),
            Channel::Advantage => Scale::Signed([0.05, 0.5, 1.5]),
            Channel::Ratio => Scale::Signed([0.01, 0.05, 0.2]),
            Channel::Coefficient | Channel::Lens => Scale::Signed([0.1, 0.5, 2.0]),
            Channel::LossShare => Scale::Rising([0.002, 0.01, 0.03, 0.1]),
        }
    }

    /// The colour of a value.
    pub fn role(self, value: f32) -> Role {
        const ENDORSE: [Role; 4] = [Role::Text, Role::Endorse1, Role::Endorse2, Role::Endorse3];
        const REJECT: [Role; 4] = [Role::Text, Role::Reject1, Role::Reject2, Role::Reject3];
        const HEAT: [Role; 5] = [Role::Heat1, Role::Heat2, Role::Heat3, Role::Heat4, Role::Heat5];
        match self.scale() {
            Scale::Rising(limits) => HEAT[limits.iter().filter(|l| value >= **l).count()],
            Scale::Signed(limits) => {
                let level = limits.iter().filter(|l| value.abs() >= **l).count();
                if value >= 0.0 { ENDORSE[level] } else { REJECT[level] }
            }
        }
    }

    /// The height of a value's bar, in [0, 1].
    pub fn share(self, value: f32) -> f64 {
        let level = |limits: &[f32], v: f32| limits.iter().filter(|l| v >= **l).count() as f64;
        match (self, self.scale()) {
            (Channel::Gate, _) => f64::from(value),
            (Channel::Student | Channel::Teacher | Channel::Reference, _) => f64::from(value.exp()),
            (_, Scale::Rising(limits)) => level(&limits, value) / 4.0,
            (_, Scale::Signed(limits)) => level(&limits, value.abs()) / 3.0,
        }
    }

    /// The sign that stands beside the bar: of a signed channel its own direction, else that of the gap.
    pub fn sign(self, value: Option<f32>, gap: Option<f32>) -> &'static str {
        match (self, self.scale()) {
            (Channel::Gap, _) | (_, Scale::Rising(_)) => glyph::gap_sign(gap.unwrap_or(f32::NAN)),
            (_, Scale::Signed(limits)) => match value {
                None => " ",
                Some(v) if v.abs() < limits[0] => "·",
                Some(v) if v > 0.0 => "+",
                Some(_) => "−",
            },
        }
    }
}

/// The channel's number of every token of the selected rollout. `lens` is the method of the lens, by its place.
pub fn values(app: &App, channel: Channel, lens: Option<usize>) -> Vec<Option<f32>> {
    let tokens = app.rollout_tokens();
    let state = &app.states.tokens;
    match channel {
        Channel::LossShare => {
            let size = |t: &TokenRecord| t.coefficient.filter(|c| t.mask && c.is_finite()).map(f32::abs);
            let sum: f32 = tokens.iter().filter_map(size).sum();
            tokens.iter().map(|t| size(t).filter(|_| sum > 0.0).map(|c| c / sum)).collect()
        }
        Channel::Lens => {
            let start = app.episode().map_or(0, |e| app.data.token_start(e));
            (0..tokens.len()).map(|at| state.lenses.push(lens?, start + at)).collect()
        }
        Channel::Coefficient => {
            let unit = state.lenses.unit().unwrap_or(1.0);
            tokens.iter().map(|t| channel.value(t).map(|v| v / unit)).collect()
        }
        _ => tokens.iter().map(|t| channel.value(t)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_fixed_limits() {
        assert_eq!(Channel::Gap.role(-3.0), Role::Reject3);
        assert_eq!(Channel::Gap.role(0.01), Role::Text);
        assert_eq!(Channel::Gap.role(0.6), Role::Endorse2);
        assert_eq!(Channel::Gate.role(0.9), Role::Heat5);
    }
}
