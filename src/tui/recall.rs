//! Lines typed before, to be had again with the arrow keys: one history for each kind of line, kept between sessions.

use std::collections::BTreeMap;

use super::overlay::Ask;

/// What was typed, by the kind of line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// The newest last, none twice.
    pub lines: BTreeMap<String, Vec<String>>,
    /// How many lines back the open line is, and what stood there before.
    at: usize,
    typed: String,
}

impl Recall {
    /// Remembers a line that was entered.
    pub fn keep(&mut self, ask: &Ask, line: &str) {
        (self.at, self.typed) = (0, String::new());
        let line = line.trim();
        if !line.is_empty() {
            let lines = self.lines.entry(name(ask).into()).or_default();
            lines.retain(|known| known != line);
            lines.push(line.to_owned());
            lines.drain(..lines.len().saturating_sub(KEPT));
        }
    }

    /// The line so many further back (negative: forward again); `now` is what stands there.
    pub fn walk(&mut self, ask: &Ask, now: &str, by: i32) -> String {
        if self.at == 0 {
            self.typed = now.to_owned();
        }
        let lines = self.lines.get(name(ask)).map_or(&[][..], Vec::as_slice);
        self.at = self.at.saturating_add_signed(by as isize).min(lines.len());
        let back = lines.len().checked_sub(self.at).filter(|_| self.at > 0);
        back.and_then(|at| lines.get(at)).unwrap_or(&self.typed).clone()
    }

    /// A line is begun anew.
    pub fn begin(&mut self) {
        (self.at, self.typed) = (0, String::new());
    }
}

fn name(ask: &Ask) -> &'static str {
    match ask {
        Ask::Jump => "jump",
        Ask::Find => "find",
        Ask::Command => "command",
        Ask::Own(name, _) => name,
    }
}

/// Lines remembered of each kind.
const KEPT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_newest_first_and_what_was_typed_is_not_lost() {
        let mut recall = Recall::default();
        ["set a=1", "step 3", "set a=1", " "].iter().for_each(|line| recall.keep(&Ask::Command, line));
        recall.keep(&Ask::Find, "mug");
        let mut walk = |by| recall.walk(&Ask::Command, "us", by);
        assert_eq!([1, 1, 1, -1].map(&mut walk), ["set a=1", "step 3", "step 3", "set a=1"]);
        assert_eq!([-1, -1].map(&mut walk), ["us", "us"]);
        recall.begin();
        assert_eq!(recall.walk(&Ask::Find, "", 1), "mug");
        assert_eq!(Recall::default().walk(&Ask::Jump, "x", 1), "x");
    }
}
