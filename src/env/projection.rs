//! From a reply to an action.
//!
//! Each [`Form`] is the rule of one published environment, quirks included, so that a model trained here acts the same
//! there (verl-agent's projections, except [`Form::Moves`], which is RAGEN's). An environment's file names the form in
//! its style table; [`FORMS`] is the list with a sentence for each.
//!
//! Valid says that a reply has the required form, and nothing about whether the action can be done: an impossible
//! action is answered by the environment.

use serde::Deserialize;

/// What a reply asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projected {
    /// The action to give to the environment.
    pub action: String,
    /// Whether the reply had the required form.
    pub valid: bool,
}

/// How a reply is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    Action,
    Move,
    Moves,
    Search,
    Code,
}

/// Every form: its name in environment files, and its rule.
pub const FORMS: &[(Form, &str, &str)] = &[
    (
        Form::Action,
        "action",
        "the lower-cased text from the first `<action>` to the first `</action>`; without both tags the last `tail` \
         characters, and invalid; also invalid without `<think>` and `</think>`, or with a CJK character",
    ),
    (
        Form::Move,
        "move",
        "between the action tags, the first of up, down, left, right and still (in this order) that occurs; none is \
         `Still`, and invalid; also invalid without `<think>` and `</think>`",
    ),
    (
        Form::Moves,
        "moves",
        "`<think>...</think><answer>Right || Up</answer>`: at most `max_actions` moves separated by `||`; invalid if \
         one is no move, or there is none",
    ),
    (
        Form::Search,
        "search",
        "the first `<search>` block, else the first `<answer>` block, trimmed and with its tags; none is empty, and \
         invalid; also invalid if the reply opens both kinds or one kind twice",
    ),
    (
        Form::Code,
        "code",
        "what stands between the first `<code>` and the first `</code>`, untouched; without both the last `tail` \
         characters, and invalid; also invalid without `<think>` and `</think>`",
    ),
];

/// A form with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Projection {
    pub form: Form,
    /// Characters kept of a reply without tags, in the forms `action` and `code`.
    pub tail: usize,
    /// Most moves of one reply, in the form `moves`.
    pub max_actions: usize,
}

impl Projection {
    /// The published numbers: 30 characters (100 of code), 5 moves.
    pub fn new(form: Form) -> Projection {
        Projection { form, tail: if form == Form::Code { 100 } else { 30 }, max_actions: 5 }
    }

    /// Reads a reply.
    pub fn project(&self, reply: &str) -> Projected {
        match self.form {
            Form::Action => action(reply, self.tail),
            Form::Move => one_move(reply),
            Form::Moves => moves(reply, self.max_actions),
            Form::Search => search(reply),
            Form::Code => code(reply, self.tail),
        }
    }
}

fn action(reply: &str, tail: usize) -> Projected {
    let lower = reply.to_lowercase();
    match between(&lower, "<action>", "</action>") {
        Some(action) => Projected { action: strip(action).to_owned(), valid: thinks(reply) && !reply.chars().any(cjk) },
        None => Projected { action: last(&lower, tail), valid: false },
    }
}

fn one_move(reply: &str) -> Projected {
    let lower = reply.to_lowercase();
    let inside = between(&lower, "<action>", "</action>").unwrap_or_default();
    let found = MOVES.iter().find(|(word, _)| inside.contains(word));
    let name = found.map_or("Still", |(_, name)| name);
    Projected { action: name.to_owned(), valid: found.is_some() && thinks(reply) }
}

fn moves(reply: &str, most: usize) -> Projected {
    let lower = reply.to_lowercase();
    let (thought, rest) = lower.split_once("</think>").unwrap_or(("", &lower));
    let inside = between(rest, "<answer>", "</answer>");
    let parts = inside.unwrap_or_default().split("||").map(strip).filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.take(most).collect();
    let names = parts.iter().filter_map(|part| MOVES[..4].iter().find(|(word, _)| word == part));
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    let valid = thought.contains("<think>") && !names.is_empty() && names.len() == parts.len();
    Projected { action: names.join(" || "), valid }
}

fn search(reply: &str) -> Projected {
    // only what comes before the end of the first block counts
    let cut = ["</search>", "</answer>"].iter().find_map(|end| reply.find(end).map(|at| &reply[..at + end.len()]));
    let cut = cut.unwrap_or(reply);
    let block = |open: &str, close: &str| {
        let start = find_tag(cut, open)? + open.len();
        let end = start + find_tag(&cut[start..], close)?;
        Some(format!("{open}{}{close}", strip(&cut[start..end])))
    };
    let found = block("<search>", "</search>").or_else(|| block("<answer>", "</answer>"));
    let opened = |tag: &str| reply.to_ascii_lowercase().matches(tag).count();
    let single = opened("<search>") + opened("<answer>") == 1;
    Projected { valid: found.is_some() && single, action: found.unwrap_or_default() }
}

fn code(reply: &str, tail: usize) -> Projected {
    match between(reply, "<code>", "</code>") {
        Some(code) => Projected { action: code.to_owned(), valid: thinks(reply) },
        None => Projected { action: last(reply, tail), valid: false },
    }
}

/// The text from the first `open` to the first `close`, empty where that stands before; `None` unless both occur.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (open, close) = (text.find(open)? + open.len(), text.find(close)?);
    Some(text.get(open..close).unwrap_or_default())
}

/// Where an ASCII tag stands, in any case.
fn find_tag(text: &str, tag: &str) -> Option<usize> {
    text.as_bytes().windows(tag.len()).position(|window| window.eq_ignore_ascii_case(tag.as_bytes()))
}

fn last(text: &str, count: usize) -> String {
    let skip = text.chars().count().saturating_sub(count);
    text.chars().skip(skip).collect()
}

fn thinks(reply: &str) -> bool {
    reply.contains("<think>") && reply.contains("</think>")
}

/// Trims what Python's `strip` trims: white space and the four ASCII separators.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn cjk(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// Moves in the order in which they are looked for, with their names in prompts.
const MOVES: [(&str, &str); 5] =
    [("up", "Up"), ("down", "Down"), ("left", "Left"), ("right", "Right"), ("still", "Still")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold() {
        for (form, reply, action, valid) in [
            (Form::Action, "<think>a</think><action> Go To Desk 1 </action> x", "go to desk 1", true),
            (Form::Action, "<action>look</action>", "look", false),
            (Form::Action, "<THINK>a</THINK><ACTION>LOOK</ACTION>", "look", false),
            (Form::Action, "<think>中</think><action>look</action>", "look", false),
            (Form::Action, "</action><think>a</think><action>look</action>", "", true),
            (Form::Action, "<think>a</think> I would go to the desk 1 now", "> i would go to the desk 1 now", false),
            (Form::Move, "<think>a</think><action>down, then up</action>", "Up", true),
            (Form::Move, "<think>a</think><action>jump</action>", "Still", false),
            (Form::Move, "<action>left</action>", "Left", false),
            (Form::Moves, "<think>a</think> <answer>Right || up||</answer>", "Right || Up", true),
            (Form::Moves, "<think>a</think><answer>right || jump</answer>", "Right", false),
            (Form::Moves, "<answer>right</answer>", "Right", false),
            (
                Form::Moves,
                "<think>a</think><answer>up||up||up||up||up||down</answer>",
                "Up || Up || Up || Up || Up",
                true,
            ),
            (Form::Search, "<search>é\u{1f}</search> x </search>", "<search>é</search>", true),
            (Form::Search, "<Answer>A</aNswer>", "<answer>A</answer>", true),
            (Form::Search, "<search>a</search><answer>b</answer>", "<search>a</search>", false),
            (Form::Code, "<think>t</think><code> x = 1\n</code>", " x = 1\n", true),
            (Form::Code, "x", "x", false),
        ] {
            let found = Projection::new(form).project(reply);
            assert_eq!((found.action.as_str(), found.valid), (action, valid), "{form:?} {reply}");
        }
    }

    #[test]
    fn every_form_has_its_name() {
        for (form, name, _) in FORMS {
            let table: toml::Table = format!("form = '{name}'").parse().unwrap();
            assert_eq!(&table["form"].clone().try_into::<Form>().unwrap(), form);
        }
    }

    #[test]
    fn recorded_projections_agree() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/prompts/golden_projection.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: no recorded projections");
            return;
        };
        let shop = Projection { tail: 20, ..Projection::new(Form::Action) };
        let rules = [Form::Action, Form::Move, Form::Search, Form::Code].map(Projection::new);
        let names = ["alfworld", "sokoban", "search", "appworld"];
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            for (name, rule) in names.into_iter().zip(rules).chain([("webshop", shop)]) {
                let found = rule.project(case["in"].as_str().unwrap());
                let action = match name {
                    "sokoban" => {
                        let number = MOVES.iter().position(|m| m.1 == found.action).unwrap();
                        serde_json::json!((number + 1) % 5) // the original counts from still = 0
                    }
                    _ => serde_json::json!(found.action),
                };
                assert_eq!(case[name], serde_json::json!([action, i32::from(found.valid)]), "{name}: {}", case["in"]);
            }
        }
    }
}
