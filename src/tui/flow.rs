//! The tokens of a rollout laid out in lines, and where the cursor goes among them.

use super::app::{App, Folds};
use super::text;
use crate::core::TokenRecord;

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
}
