//! Tokens as a flow of cells: what each shows, how it is coloured, and how the cursor walks.

use super::app::{App, Folds};
use super::text;
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
    Entropy,
    Advantage,
    Coefficient,
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
    pub const ALL: [Channel; 7] = [
        Channel::Gate,
        Channel::Gap,
        Channel::Student,
        Channel::Teacher,
        Channel::Entropy,
        Channel::Advantage,
        Channel::Coefficient,
    ];

    /// Short name for tabs.
    pub fn name(self) -> &'static str {
        ["gate", "gap", "lp student", "lp teacher", "entropy", "advantage", "coefficient"][self as usize]
    }

    /// The next channel, round.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The channel's number of a token. The coefficient is shown as a push: positive raises the log-probability.
    pub fn value(self, token: &TokenRecord) -> Option<f32> {
        let value = match self {
            Channel::Gate => token.gate,
            Channel::Gap => token.gap(),
            Channel::Student => token.student.or(token.old),
            Channel::Teacher => token.teacher,
            Channel::Entropy => token.entropy,
            Channel::Advantage => token.advantage,
            Channel::Coefficient => token.coefficient.map(|c| -c),
        };
        value.filter(|v| v.is_finite())
    }

    /// Its limits: nats for gap, log-probabilities and entropy; decades for the coefficient.
    pub fn scale(self) -> Scale {
        match self {
            Channel::Gate => Scale::Rising([0.2, 0.4, 0.6, 0.8]),
            Channel::Gap => Scale::Signed([0.05, 0.5, 2.0]),
            Channel::Student | Channel::Teacher => Scale::Rising([-5.0, -2.0, -0.7, -0.1]),
            Channel::Entropy => Scale::Rising([0.1, 0.4, 1.0, 2.0]),
            Channel::Advantage => Scale::Signed([0.05, 0.5, 1.5]),
            Channel::Coefficient => Scale::Signed([1e-5, 1e-4, 1e-3]),
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
            (Channel::Student | Channel::Teacher, _) => f64::from(value.exp()),
            (_, Scale::Rising(limits)) => level(&limits, value) / 4.0,
            (_, Scale::Signed(limits)) => level(&limits, value.abs()) / 3.0,
        }
    }
}

/// One stop of the cursor: a token, or a folded run of masked ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Column of its first cell, and how many cells it takes.
    pub x: usize,
    pub width: usize,
    /// Its first token, and how many it stands for.
    pub first: usize,
    pub count: usize,
    pub text: String,
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

    /// Lays tokens out; `labels` are theirs, missing ones are blank.
    pub fn lay(&self, tokens: &[TokenRecord], labels: &[String]) -> Vec<Vec<Stop>> {
        let mut lines: Vec<Vec<Stop>> = vec![vec![]];
        let mut at = 0;
        while at < tokens.len() {
            let label = labels.get(at).map_or("", String::as_str);
            let masked = tokens[at..].iter().take_while(|t| !t.mask).count();
            let (count, text) = match masked {
                n if self.fold && n > FOLD_FROM => (n, format!("‹{n} masked›")),
                _ => (1, self.label(label)),
            };
            let text = text::fit(&text, self.cells);
            let width = text::width(&text).max(2);
            place(&mut lines, self.cells, Stop { x: 0, width, first: at, count, text });
            at += count;
            if count == 1 && label.contains('⏎') && at < tokens.len() {
                lines.push(vec![]);
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
fn place(lines: &mut Vec<Vec<Stop>>, cells: usize, stop: Stop) {
    let x = lines.last().and_then(|line| line.last()).map_or(0, |last| last.x + last.width + 1);
    if x + stop.width > cells && x > 0 {
        lines.push(vec![stop]);
    } else if let Some(line) = lines.last_mut() {
        line.push(Stop { x, ..stop });
    }
}

/// The token a vertical move leads to.
pub fn line_move(app: &App, by: i64) -> usize {
    let (tokens, start) = app.turn_tokens();
    let lines = Flow::of(app).lay(tokens, app.labels.get(start..).unwrap_or(&[]));
    let here = app.pick.token.min(tokens.len().saturating_sub(1));
    let find = |line: &Vec<Stop>| line.iter().position(|s| (s.first..s.first + s.count).contains(&here));
    let Some((row, column)) = lines.iter().enumerate().find_map(|(row, line)| Some((row, find(line)?))) else {
        return 0;
    };
    let x = lines[row][column].x;
    let row = row.saturating_add_signed(by as isize).min(lines.len() - 1);
    lines[row].iter().min_by_key(|s| s.x.abs_diff(x)).map_or(here, |s| s.first)
}

/// The token of the next or previous stop; `None` beyond the ends of the turn.
pub fn stop_move(app: &App, by: i32) -> Option<usize> {
    let (tokens, start) = app.turn_tokens();
    let lines = Flow::of(app).lay(tokens, app.labels.get(start..).unwrap_or(&[]));
    let stops: Vec<&Stop> = lines.iter().flatten().collect();
    let at = stops.iter().position(|s| (s.first..s.first + s.count).contains(&app.pick.token))?;
    stops.get(at.checked_add_signed(by as isize)?).map(|s| s.first)
}

/// Longer runs of masked tokens are folded.
const FOLD_FROM: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(mask: bool) -> TokenRecord {
        let none = None;
        let (sampled, old, student, teacher, reference) = (none, none, none, none, none);
        let (entropy, gate, advantage, coefficient) = (none, none, none, none);
        let (group, member, position, turn, id) = (0, 0, 0, 0, 0);
        #[rustfmt::skip]
        let token = TokenRecord { group, member, position, turn, id, mask, sampled, old, student, teacher, reference,
            entropy, gate, advantage, coefficient };
        token
    }

    #[test]
    fn lines_never_overflow_and_hold_every_token_once() {
        let labels: Vec<String> =
            ["go", " to", " 桌子", "\u{1F600}", "a-very-long-token-indeed", "⏎", " x"].map(Into::into).into();
        let tokens = vec![token(true); labels.len()];
        for cells in 4..40 {
            let lines = Flow { cells, raw: false, fold: true }.lay(&tokens, &labels);
            assert!(lines.iter().flatten().all(|s| s.x + s.width <= cells), "{cells}: {lines:?}");
            let order: Vec<usize> = lines.iter().flatten().map(|s| s.first).collect();
            assert_eq!(order, (0..labels.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_masked_runs_fold_into_one_stop() {
        let mut tokens = vec![token(false); 40];
        tokens.push(token(true));
        let flow = Flow { cells: 60, raw: false, fold: true };
        assert_eq!(flow.lay(&tokens, &[]).concat().len(), 2);
        assert_eq!(Flow { fold: false, ..flow }.lay(&tokens, &[]).concat().len(), 41);
    }

    #[test]
    fn colours_follow_fixed_limits() {
        assert_eq!(Channel::Gap.role(-3.0), Role::Reject3);
        assert_eq!(Channel::Gap.role(0.01), Role::Text);
        assert_eq!(Channel::Gap.role(0.6), Role::Endorse2);
        assert_eq!(Channel::Gate.role(0.9), Role::Heat5);
    }
}
