//! From a reply to an action.
//!
//! The rules are those of verl-agent's ALFWorld projection, quirks included, so that a model trained here acts the
//! same there:
//!
//! 1. The reply is lower-cased; the action is the text from the first `<action>` to the first `</action>`, trimmed.
//! 2. Without both tags the action is the last [`TAIL`] characters, and the reply is invalid.
//! 3. A reply whose original text lacks `<think>` or `</think>`, or holds a CJK character, is invalid.
//! 4. `</action>` before `<action>` gives an empty action, and that alone does not make the reply invalid.
//!
//! Valid says nothing about possible: an impossible action is answered by the environment.

/// What a reply asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projected {
    /// The action to give to the environment.
    pub action: String,
    /// Whether the reply had the required form.
    pub valid: bool,
}

/// Applies the rules above.
pub fn project(reply: &str) -> Projected {
    let lower = reply.to_lowercase();
    let formed = reply.contains("<think>") && reply.contains("</think>") && !reply.chars().any(is_cjk);
    match (lower.find(OPEN), lower.find(CLOSE)) {
        (Some(open), Some(close)) => {
            let action = lower.get(open + OPEN.len()..close).unwrap_or_default().trim().to_owned();
            Projected { action, valid: formed }
        }
        _ => {
            let skip = lower.chars().count().saturating_sub(TAIL);
            Projected { action: lower.chars().skip(skip).collect(), valid: false }
        }
    }
}

/// Characters kept of a reply without tags.
pub const TAIL: usize = 30;

const OPEN: &str = "<action>";
const CLOSE: &str = "</action>";

fn is_cjk(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold() {
        for (reply, action, valid) in [
            ("<think>a</think><action> Go To Desk 1 </action> x", "go to desk 1", true),
            ("<action>look</action>", "look", false),
            ("<THINK>a</THINK><ACTION>LOOK</ACTION>", "look", false),
            ("<think>中</think><action>look</action>", "look", false),
            ("</action><think>a</think><action>look</action>", "", true),
            ("<think>a</think> I would go to the desk 1 now", "> i would go to the desk 1 now", false),
        ] {
            let found = project(reply);
            assert_eq!((found.action.as_str(), found.valid), (action, valid), "{reply}");
        }
    }

    #[test]
    fn recorded_projections_agree() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/prompts/golden_projection.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: no recorded projections");
            return;
        };
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let found = project(case["in"].as_str().unwrap());
            assert_eq!(case["alfworld"], serde_json::json!([found.action, i32::from(found.valid)]), "{}", case["in"]);
        }
    }
}
