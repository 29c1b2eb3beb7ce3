//! The growing chat: what is added between one sampled reply and the next, so that a row's tokens never change.
//!
//! A row of the `transcript` layout is `opening | reply | joint | reply | joint | ...`. It is right if it equals the
//! whole chat rendered at once. Some templates break that on purpose: they show earlier replies without their
//! `<think>` part, or open a reply with words that they leave out later. What was sampled stays in the row then
//! (the policy saw it, so it must be trained and scored on it), and [`examine`] says so. A template that changes
//! anything else as the chat grows cannot be used that way.

use anyhow::{Context, Result, bail, ensure};

use super::{Message, Template};

/// Stands for a reply while a template is rendered; cannot occur in a template or an observation.
const MARK: &str = "\u{1}reply\u{1}";

/// What follows a reply that ended with `end`: the rest of the template's closing, `next`, the opening of the next
/// reply.
pub(super) fn joint(template: &Template, end: &str, messages: &[Message], next: &Message) -> Result<String> {
    let chat = [messages, &[Message::assistant(MARK), next.clone()]].concat();
    let text = template.render(&chat, true)?;
    let place = template.place();
    let (_, rest) =
        text.split_once(MARK).with_context(|| format!("{place}: the template leaves out what the assistant said"))?;
    ensure!(!rest.contains(MARK), "{place}: the template repeats what the assistant said");
    let spaced = rest.trim_start().strip_prefix(end);
    Ok(rest.strip_prefix(end).or(spaced).unwrap_or(rest).to_owned())
}

/// The text right behind a reply in a closed chat, e.g. `<|im_end|>\n`.
pub(super) fn closing(template: &Template) -> Option<String> {
    let text = template.render(&[Message::user("x"), Message::assistant(MARK)], false).ok()?;
    text.split_once(MARK).map(|(_, rest)| rest.to_owned())
}

/// Whether a growing chat equals the whole one. Returns what differs but is handled; empty = nothing.
///
/// # Errors
/// It differs in a way that cannot be handled; the sentence says what to do.
pub(super) fn examine(template: &Template, end: &str) -> Result<Vec<String>> {
    let place = template.place();
    let plain = Probe::new(template, end, "go north")?;
    if plain.grown != plain.whole && !plain.equal_but_for_openings(template)? {
        let (grown, whole) = plain.difference();
        bail!(
            "{place}: the chat changes behind its back as it grows (`{grown}` becomes `{whole}`), so turns cannot \
             share a row; set `rollout.layout = \"history\"`"
        );
    }
    let mut notes = vec![];
    let keeps = "a transcript keeps them as they were sampled; `rollout.layout = \"history\"` avoids the difference";
    if plain.grown != plain.whole {
        notes.push(format!("{place}: a whole chat opens earlier replies otherwise than it asks for them; {keeps}"));
    }
    let thinks = ["<think>\nkeep left\n</think>\n\ngo north", "<think>keep left</think>go north"];
    let rethinks = |reply: &&str| Probe::new(template, end, reply).map_or(true, |probe| probe.grown != probe.whole);
    if notes.is_empty() && thinks.iter().any(rethinks) {
        notes.push(format!("{place}: a whole chat shows earlier replies without their `<think>` part; {keeps}"));
    }
    Ok(notes)
}

/// One chat of three turns, two of them answered by `reply`, made in both ways.
struct Probe<'a> {
    reply: &'a str,
    grown: String,
    whole: String,
}

impl<'a> Probe<'a> {
    fn new(template: &Template, end: &str, reply: &'a str) -> Result<Self> {
        let said = ["Where now?", "You see a mug 1.", "You see a fork 2."].map(Message::user);
        let first = &said[..1];
        let mut grown = template.render(first, true)?;
        for next in &said[1..] {
            grown += reply;
            grown += end;
            grown += &joint(template, end, first, next)?;
        }
        let answer = Message::assistant(reply);
        let [a, b, c] = said;
        let whole = template.render(&[a, answer.clone(), b, answer, c], true)?;
        Ok(Self { reply, grown, whole })
    }

    /// Whether only the words differ that open an earlier reply.
    fn equal_but_for_openings(&self, template: &Template) -> Result<bool> {
        let user = Message::user("Where now?");
        let before = template.render(std::slice::from_ref(&user), false)?;
        let asked = template.render(std::slice::from_ref(&user), true)?;
        let chat = [user, Message::assistant(MARK), Message::user("You see a mug 1.")];
        let later = template.render(&chat, true)?;
        let shown = later.split(MARK).next().unwrap_or_default();
        let (Some(asked), Some(shown)) = (asked.strip_prefix(&before), shown.strip_prefix(&before)) else {
            return Ok(false);
        };
        let grown: Vec<&str> = self.grown.split(self.reply).collect();
        let whole: Vec<&str> = self.whole.split(self.reply).collect();
        let last = grown.len() - 1;
        let same = |(i, (g, w)): (usize, (&&str, &&str))| match i == last {
            true => g == w,
            false => g.strip_suffix(asked).is_some_and(|g| Some(g) == w.strip_suffix(shown)),
        };
        Ok(grown.len() == whole.len() && grown.iter().zip(&whole).enumerate().all(same))
    }

    /// A few characters from the first difference on, of both.
    fn difference(&self) -> (String, String) {
        let at = self.grown.chars().zip(self.whole.chars()).take_while(|(g, w)| g == w).count();
        let part = |text: &str| text.chars().skip(at.saturating_sub(6)).take(24).collect::<String>();
        (part(&self.grown).escape_debug().to_string(), part(&self.whole).escape_debug().to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::text::template::Place;

    fn template(source: &str) -> Template {
        let place = Place { file: "t.jinja".into(), key: None };
        Template::new(source, place, Map::new()).unwrap()
    }

    const ASK: &str = "{% if add_generation_prompt %}A:{% endif %}";

    #[test]
    fn a_plain_template_is_exact() {
        let source =
            "{% for m in messages %}{{ 'A:' if m.role == 'assistant' else 'U:' }}{{ m.content }}; {% endfor %}";
        assert_eq!(examine(&template(&format!("{source}{ASK}")), ";").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn thoughts_that_are_dropped_later_are_noted() {
        let source = "{% for m in messages %}{{ 'A:' if m.role == 'assistant' else 'U:' }}\
                      {{ m.content.split('</think>')[-1].lstrip('\\n') }};{% endfor %}";
        let notes = examine(&template(&format!("{source}{ASK}")), ";").unwrap();
        assert!(notes.len() == 1 && notes[0].contains("without their `<think>` part"), "{notes:?}");
    }

    #[test]
    fn openings_that_are_dropped_later_are_noted() {
        let source = "{% for m in messages %}{{ 'A:' if m.role == 'assistant' else 'U:' }}{{ m.content }};{% endfor %}\
                      {% if add_generation_prompt %}A:<think>{% endif %}";
        let notes = examine(&template(source), ";").unwrap();
        assert!(notes.len() == 1 && notes[0].contains("opens earlier replies otherwise"), "{notes:?}");
    }

    #[test]
    fn a_chat_that_is_rebuilt_is_refused() {
        let moves = "{% for m in messages %}{% if loop.last %}[rules]{% endif %}{{ m.content }};{% endfor %}";
        let error = examine(&template(moves), ";").unwrap_err().to_string();
        let counts = "{{ messages|length }}{% for m in messages %}{{ m.content }};{% endfor %}";
        let other = examine(&template(counts), ";").unwrap_err().to_string();
        for error in [error, other] {
            assert!(error.starts_with("t.jinja: ") && error.contains("`rollout.layout = \"history\"`"), "{error}");
        }
    }

    #[test]
    fn a_template_that_drops_replies_is_refused() {
        let source = "{% for m in messages if m.role == 'user' %}{{ m.content }};{% endfor %}";
        let error = examine(&template(source), ";").unwrap_err().to_string();
        assert_eq!(error, "t.jinja: the template leaves out what the assistant said");
    }
}
