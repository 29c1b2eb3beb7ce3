//! What closes a reply: tokens, and strings in its decoded text.

use super::Text;

/// Stop tokens and stop strings.
pub struct Stops<'a> {
    text: Option<&'a Text>,
    tokens: Vec<u32>,
    strings: Vec<String>,
}

impl Text {
    /// The tokens that end a reply of this model, and `strings` (empty ones never close anything).
    pub fn closing(&self, strings: &[String]) -> Stops<'_> {
        let strings = strings.iter().filter(|s| !s.is_empty()).cloned().collect();
        Stops { text: Some(self), tokens: self.stops().to_vec(), strings }
    }
}

impl Stops<'static> {
    /// Tokens alone.
    pub fn tokens_only(tokens: Vec<u32>) -> Self {
        Self { text: None, tokens, strings: vec![] }
    }
}

impl Stops<'_> {
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    pub fn strings(&self) -> &[String] {
        &self.strings
    }

    /// Watches one reply.
    pub fn watch(&self) -> StopWatch<'_> {
        StopWatch { stops: self, tail: vec![] }
    }

    fn spell(&self, id: u32) -> Vec<u8> {
        self.text.map(|text| text.token_bytes(id)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Stops<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stops").field("tokens", &self.tokens).field("strings", &self.strings).finish()
    }
}

/// Says when a growing reply is closed. It compares bytes, so neither a string nor a character that is spread over
/// tokens escapes it.
pub struct StopWatch<'a> {
    stops: &'a Stops<'a>,
    /// The last bytes of the reply: as many as a string that began in them could need.
    tail: Vec<u8>,
}

impl StopWatch<'_> {
    /// Takes the reply's next token; true if the reply ends with it. What the token spells behind a stop string is
    /// part of the reply.
    pub fn push(&mut self, id: u32) -> bool {
        if self.stops.tokens.contains(&id) {
            return true;
        }
        let strings = &self.stops.strings;
        let Some(longest) = strings.iter().map(String::len).max() else { return false };
        self.tail.extend(self.stops.spell(id));
        let found = strings.iter().any(|s| self.tail.windows(s.len()).any(|part| part == s.as_bytes()));
        self.tail.drain(..self.tail.len().saturating_sub(longest - 1));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::train;

    fn text() -> (tempfile::TempDir, Text) {
        let folder = tempfile::tempdir().unwrap();
        let corpus = ["take the mug", "put the mug in the sink"].repeat(50);
        train::write(folder.path(), corpus.iter().map(|s| s.to_string()), 320).unwrap();
        let text = Text::load(folder.path()).unwrap();
        (folder, text)
    }

    /// Number of tokens of `reply` after which it is closed.
    fn closed_after(text: &Text, strings: &[&str], reply: &[u32]) -> Option<usize> {
        let strings: Vec<String> = strings.iter().map(|s| s.to_string()).collect();
        let stops = text.closing(&strings);
        let mut watch = stops.watch();
        reply.iter().position(|id| watch.push(*id)).map(|at| at + 1)
    }

    #[test]
    fn the_end_token_closes_with_and_without_strings() {
        let (_folder, text) = text();
        let mut reply = text.encode("take the mug").unwrap();
        assert_eq!(closed_after(&text, &[], &reply), None);
        assert_eq!(closed_after(&text, &["", "nowhere"], &reply), None);
        reply.push(text.end());
        assert_eq!(closed_after(&text, &[], &reply), Some(reply.len()));
        assert_eq!(closed_after(&text, &["nowhere"], &reply), Some(reply.len()));
    }

    #[test]
    fn strings_close_at_the_token_that_completes_them() {
        let (_folder, text) = text();
        for (reply, stop) in [
            ("take </action> mug", "</action>"),           // one token
            ("so </answer>\nmore </answer>", "</answer>"), // many tokens, each a byte or a few
            ("the mug é and 猫, 🐈!", "🐈"),               // one character over several tokens
            ("take the mug in the sink", "mug in th"),     // ends inside a token
            ("aaaaab", "aab"),
        ] {
            let ids = text.encode(reply).unwrap();
            let end = closed_after(&text, &["never", stop], &ids).expect(reply);
            let bytes = |n: usize| text.bytes(&ids[..n]).concat();
            let holds = |n: usize| bytes(n).windows(stop.len()).any(|part| part == stop.as_bytes());
            assert!(holds(end) && !holds(end - 1), "{reply}");
        }
    }
}
