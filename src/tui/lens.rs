//! How charts are looked at: what is on the x-axis and how much of it, smoothing, scales, outliers. One lens for all
//! charts, but for what is kept by the name of a chart.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::Action;

/// What the x-axis counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum XAxis {
    #[default]
    Step,
    /// Minutes since the run began.
    Wall,
    /// Tokens sampled so far.
    Tokens,
    /// Episodes played so far.
    Episodes,
}

impl XAxis {
    /// In the order `x` walks them.
    pub const ALL: [XAxis; 4] = [XAxis::Step, XAxis::Wall, XAxis::Tokens, XAxis::Episodes];

    /// What it is called.
    pub fn name(self) -> &'static str {
        ["step", "minutes", "tokens", "episodes"][self as usize]
    }
}

/// Share of the values a chart's y-axis must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clip {
    #[default]
    None,
    P99,
    P95,
}

impl Clip {
    /// Share left out at either end.
    pub fn tail(self) -> f64 {
        [0.0, 0.005, 0.025][self as usize]
    }
}

/// The part of the x-axis that is shown, in its own units.
pub type Window = (f64, f64);

/// Weights of the moving average one can choose from; 0 draws the raw values.
pub const SMOOTHING: [f64; 4] = [0.0, 0.6, 0.9, 0.97];

/// How charts are looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Lens {
    /// Index into [`SMOOTHING`].
    pub smooth: usize,
    pub x: XAxis,
    pub log_x: bool,
    /// Charts with a logarithmic y-axis, by name.
    pub log: BTreeSet<String>,
    pub clip: Clip,
    /// Whether all charts show the same window.
    pub linked: bool,
    /// Windows by the name of a chart; those of linked charts under [`LINKED`]. None shows everything.
    pub windows: BTreeMap<String, Window>,
}

/// The name of the window that linked charts share.
const LINKED: &str = "";

impl Default for Lens {
    fn default() -> Self {
        Self {
            smooth: 1,
            x: XAxis::Step,
            log_x: false,
            log: BTreeSet::new(),
            clip: Clip::None,
            linked: true,
            windows: BTreeMap::new(),
        }
    }
}

impl Lens {
    /// Weight of the moving average.
    pub fn weight(&self) -> f64 {
        SMOOTHING[self.smooth.min(SMOOTHING.len() - 1)]
    }

    /// Shows everything again, to the newest step.
    pub fn follow(&mut self) {
        self.windows.clear();
    }

    /// The window of a chart within what there is (`full`).
    pub fn window(&self, chart: &str, full: Window) -> Window {
        let key = if self.linked { LINKED } else { chart };
        self.windows.get(key).copied().unwrap_or(full)
    }

    /// Zooms a chart by a factor around `centre`: below 1 shows less. A window as wide as everything is none.
    pub fn zoom(&mut self, chart: &str, factor: f64, centre: f64, full: Window) {
        let (low, high) = self.window(chart, full);
        let least = (full.1 - full.0) * 1e-4;
        let width = ((high - low) * factor).max(least);
        let share = if high > low { ((centre - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        self.put(chart, (centre - share * width, centre + (1.0 - share) * width), full);
    }

    /// Moves the window of a chart by a share of its width.
    pub fn pan(&mut self, chart: &str, share: f64, full: Window) {
        let (low, high) = self.window(chart, full);
        let by = ((high - low) * share).clamp(full.0 - low, (full.1 - high).max(full.0 - low));
        self.put(chart, (low + by, high + by), full);
    }

    /// Shows this part of a chart, as far as it exists.
    pub fn put(&mut self, chart: &str, (low, high): Window, full: Window) {
        let key = if self.linked { LINKED } else { chart };
        let window = (low.max(full.0), high.min(full.1));
        let sane = window.0.is_finite() && window.1 > window.0;
        if !sane || (window.0 <= full.0 && window.1 >= full.1) {
            self.windows.remove(key);
        } else {
            self.windows.insert(key.to_owned(), window);
        }
    }

    /// Changes what an action changes for all charts, and says how it is now.
    pub fn flip(&mut self, action: Action) -> String {
        match action {
            Action::Smooth(by) => {
                let last = SMOOTHING.len() as i32 - 1;
                self.smooth = (self.smooth as i32 + by).clamp(0, last) as usize;
                let raw = "smoothing off: the raw values".to_owned();
                if self.weight() > 0.0 { format!("smoothing {}: {}", self.weight(), FORMULA) } else { raw }
            }
            Action::XAxis => {
                self.x = XAxis::ALL[(self.x as usize + 1) % XAxis::ALL.len()];
                self.windows.clear();
                format!("x-axis: {}", self.x.name())
            }
            Action::LogX => {
                self.log_x ^= true;
                format!("x-axis: {}", if self.log_x { "logarithmic" } else { "linear" })
            }
            Action::Outliers => {
                self.clip = [Clip::P99, Clip::P95, Clip::None][self.clip as usize];
                ["outliers: all values shown", "outliers: the middle 99 % set the scale", "outliers: the middle 95 %"]
                    [self.clip as usize]
                    .into()
            }
            _ => {
                self.linked ^= true;
                self.windows.clear();
                if self.linked { "charts zoom together".into() } else { "each chart zooms alone".into() }
            }
        }
    }
}

/// What the moving average computes, for whoever must write it down.
const FORMULA: &str = "acc = s acc + (1-s) y, shown as acc / (1 - s^t)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_inside_and_everything_is_no_window() {
        let full = (0.0, 100.0);
        let mut lens = Lens::default();
        lens.zoom("a", 0.5, 80.0, full);
        assert_eq!(lens.window("b", full), (40.0, 90.0), "linked charts share");
        lens.pan("a", 1.0, full);
        assert_eq!(lens.window("a", full), (50.0, 100.0));
        lens.zoom("a", 9.0, 60.0, full);
        assert!(lens.windows.is_empty() && lens.window("a", full) == full);
        lens.flip(Action::Link);
        lens.put("a", (10.0, 20.0), full);
        assert_eq!((lens.window("a", full), lens.window("b", full)), ((10.0, 20.0), full));
        lens.put("a", (f64::NAN, 20.0), full);
        assert!(lens.window("a", full).0.is_finite());
    }
}
