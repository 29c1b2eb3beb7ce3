//! Tokens as a flow of cells: what each shows, how it is coloured, and how the cursor walks.

use super::app::{App, Folds};
use super::theme::Role;
use super::{glyph, text};
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

/// One stop of the cursor: a token, or a folded run of masked ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Column of its first cell, and how many cells it takes.
    pub x: usize,
    pub width: usize,
    /// Its first token in the rollout, and how many it stands for.
    pub first: usize,
    pub count: usize,
    pub text: String,
}

impl Stop {
    /// Whether it stands for this token.
    pub fn holds(&self, token: usize) -> bool {
        (self.first..self.first + self.count).contains(&token)
    }
}

/// One line of the flow.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowLine {
    /// A turn begins.
    Heading(usize),
    Stops(Vec<Stop>),
}

impl FlowLine {
    /// Its stops; a heading has none.
    pub fn stops(&self) -> &[Stop] {
        match self {
            FlowLine::Heading(_) => &[],
            FlowLine::Stops(stops) => stops,
        }
    }
}

/// How a flow is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Cells of a line.
    pub cells: usize,
    /// Show blanks and line ends as they are.
    pub raw: bool,
    /// Fold runs of masked tokens.
    pub fold: bool,
}

impl Flow {
    /// The flow of the token screen for the app's terminal size.
    pub fn of(app: &App) -> Self {
        let cells = usize::from(app.size.0).saturating_sub(4);
        Self { cells: cells.max(4), raw: app.raw, fold: app.folds != Folds::Open }
    }

    /// Lays the tokens of a rollout out; `labels` are theirs, missing ones are blank.
    pub fn lay(&self, tokens: &[TokenRecord], labels: &[String]) -> Vec<FlowLine> {
        let mut lines: Vec<FlowLine> = Vec::new();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if at == 0 || tokens[at - 1].turn != token.turn {
                lines.extend([FlowLine::Heading(token.turn as usize), FlowLine::Stops(vec![])]);
            }
            let label = labels.get(at).map_or("", String::as_str);
            let masked = tokens[at..].iter().take_while(|t| !t.mask && t.turn == token.turn).count();
            let (count, text) = match masked {
                n if self.fold && n > FOLD_FROM => (n, format!("‹{n} masked›")),
                _ => (1, self.label(label)),
            };
            let text = text::fit(&text, self.cells);
            let width = text::width(&text).max(2);
            place(&mut lines, self.cells, Stop { x: 0, width, first: at, count, text });
            at += count;
            if count == 1 && label.contains('⏎') && tokens.get(at).is_some_and(|next| next.turn == token.turn) {
                lines.push(FlowLine::Stops(vec![]));
            }
        }
        lines
    }

    fn label(&self, label: &str) -> String {
        let shown = if self.raw { label.replace(' ', "␣") } else { label.trim().to_owned() };
        if shown.is_empty() { "␣".into() } else { shown }
    }
}

/// Puts a stop at the end of the last line, or on a new one.
fn place(lines: &mut Vec<FlowLine>, cells: usize, stop: Stop) {
    let x = lines.last().and_then(|line| line.stops().last()).map_or(0, |last| last.x + last.width + 1);
    match lines.last_mut() {
        Some(FlowLine::Stops(stops)) if x == 0 || x + stop.width <= cells => stops.push(Stop { x, ..stop }),
        _ => lines.push(FlowLine::Stops(vec![stop])),
    }
}

/// The token of the rollout that so many lines up or down lead to.
pub fn line_move(app: &App, by: i64) -> Option<usize> {
    let lines = laid(app);
    let rows: Vec<&[Stop]> = lines.iter().map(FlowLine::stops).filter(|stops| !stops.is_empty()).collect();
    let here = app.token_at();
    let find = |stops: &&[Stop]| stops.iter().find(|s| s.holds(here)).map(|s| s.x);
    let (row, x) = rows.iter().enumerate().find_map(|(row, stops)| Some((row, find(stops)?)))?;
    let row = row.saturating_add_signed(by as isize).min(rows.len() - 1);
    rows[row].iter().min_by_key(|s| s.x.abs_diff(x)).map(|s| s.first)
}

/// The token of the next or previous stop; `None` beyond the ends of the rollout.
pub fn stop_move(app: &App, by: i32) -> Option<usize> {
    let lines = laid(app);
    let stops: Vec<&Stop> = lines.iter().flat_map(FlowLine::stops).collect();
    let at = stops.iter().position(|s| s.holds(app.token_at()))?;
    stops.get(at.checked_add_signed(by as isize)?).map(|s| s.first)
}

fn laid(app: &App) -> Vec<FlowLine> {
    Flow::of(app).lay(app.rollout_tokens(), &app.labels)
}

/// Longer runs of masked tokens are folded.
const FOLD_FROM: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(mask: bool) -> TokenRecord {
        TokenRecord { mask, ..TokenRecord::default() }
    }

    #[test]
    fn lines_never_overflow_and_hold_every_token_once() {
        let labels: Vec<String> =
            ["go", " to", " 桌子", "\u{1F600}", "a-very-long-token-indeed", "⏎", " x"].map(Into::into).into();
        let tokens = vec![token(true); labels.len()];
        for cells in 4..40 {
            let lines = Flow { cells, raw: false, fold: true }.lay(&tokens, &labels);
            assert!(lines.iter().flat_map(FlowLine::stops).all(|s| s.x + s.width <= cells), "{cells}: {lines:?}");
            let order: Vec<usize> = lines.iter().flat_map(FlowLine::stops).map(|s| s.first).collect();
            assert_eq!(order, (0..labels.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_masked_runs_fold_into_one_stop() {
        let mut tokens = vec![token(false); 40];
        tokens.push(token(true));
        let flow = Flow { cells: 60, raw: false, fold: true };
        let count = |flow: Flow| flow.lay(&tokens, &[]).iter().map(|line| line.stops().len()).sum::<usize>();
        assert_eq!((count(flow), count(Flow { fold: false, ..flow })), (2, 41));
    }

    #[test]
    fn colours_follow_fixed_limits() {
        assert_eq!(Channel::Gap.role(-3.0), Role::Reject3);
        assert_eq!(Channel::Gap.role(0.01), Role::Text);
        assert_eq!(Channel::Gap.role(0.6), Role::Endorse2);
        assert_eq!(Channel::Gate.role(0.9), Role::Heat5);
    }
}
