//! What a method asks for and the recipe does not give: found when it is read, before anything is loaded.

use super::recipe::{JudgeBy, Recipe};
use crate::env::prompt::Layout;
use crate::method::Needs;
use crate::method::needs::{Extra, Privileged, TeacherWeights};

/// The key that must change, and what is missing and how to provide it. Every stage of the method counts.
pub(super) fn unmet(recipe: &Recipe) -> Option<(String, String)> {
    let (name, stages) = (recipe.method.name(), recipe.method.build().stages());
    let staged = stages.iter().enumerate().find(|(n, needs)| {
        let wanted = teacher(needs) == Some(&TeacherWeights::Staged);
        wanted && !stages[..*n].iter().any(|before| before.hands_on)
    });
    if let Some((n, _)) = staged {
        let reason = format!(
            "stage {} of `{name}` learns from `staged` weights, and no stage before it puts any aside: end one with \
             `then = \"restart\"` or `then = \"teacher\"`",
            n + 1
        );
        return Some((format!("method.{name}"), reason));
    }
    stages.iter().find_map(|needs| RULES.iter().find_map(|rule| rule(recipe, name, needs)))
}

type Rule = fn(&Recipe, &str, &Needs) -> Option<(String, String)>;

const RULES: &[Rule] = &[named_teacher, decay, judge, feedback, view, answers, second_student, expert];

fn teacher(needs: &Needs) -> Option<&TeacherWeights> {
    needs.teacher.as_ref().map(|teacher| &teacher.weights)
}

fn named_teacher(_: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let Some(TeacherWeights::Checkpoint(folder)) = teacher(needs) else { return None };
    let reason = format!(
        "method `{name}` learns from another model, and no one is named: set `method.{name}.teacher = {{ checkpoint = \
         \"FOLDER\" }}` to one with the same tokenizer, or to \"step-start\" with `context = \"skills\"` for the \
         self-distilled variant"
    );
    folder.is_empty().then(|| (format!("method.{name}.teacher"), reason))
}

fn decay(_: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let (what, value, fine) = match teacher(needs)? {
        TeacherWeights::Ema(decay) => ("ema", decay, (0.0..1.0).contains(decay)),
        TeacherWeights::TrustRegion(share) => ("trust-region", share, (0.0..=1.0).contains(share)),
        _ => return None,
    };
    let reason = format!(
        "`{what} = {value}` is out of range: `ema` is a decay from 0 to less than 1, `trust-region` a share from 0 to 1"
    );
    (!fine).then(|| (format!("method.{name}.teacher"), reason))
}

fn judge(recipe: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    needs.judge?;
    match recipe.judge.by {
        JudgeBy::None => {
            let reason = format!(
                "method `{name}` asks for a judge of turns: set `judge.by` to \"self\" (the policy), \"endpoint\" (with \
                 `judge.url` of an OpenAI-compatible server) or \"oracle\" (the environment's expert, for tests)"
            );
            Some(("judge.by".into(), reason))
        }
        JudgeBy::Endpoint if recipe.judge.url.is_empty() => {
            let reason = "`judge.by` is \"endpoint\": set `judge.url`, e.g. \"http://127.0.0.1:8000/v1\"";
            Some(("judge.url".into(), reason.into()))
        }
        _ => None,
    }
}

fn feedback(_: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let wanted = needs.teacher.as_ref().is_some_and(|teacher| teacher.context == Privileged::StepFeedback);
    let reason = format!(
        "`context = \"step-feedback\"` needs a judge, which `{name}` does not ask: take another context, or `hint-sd`"
    );
    (wanted && needs.judge.is_none()).then(|| (format!("method.{name}.context"), reason))
}

fn view(_: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let other = needs.teacher.as_ref().is_some_and(|teacher| teacher.context != Privileged::Skills);
    let reason =
        format!("method `{name}` plays under the teacher's prompt, which works with skills as its context alone");
    (needs.off_policy && other).then(|| (format!("method.{name}.context"), reason))
}

fn answers(recipe: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let reason = format!(
        "method `{name}` learns to predict answers, which stand in no row of the `history` layout: set \
         `rollout.layout = \"transcript\"`"
    );
    (needs.given && recipe.rollout.layout == Layout::History).then(|| ("rollout.layout".into(), reason))
}

fn second_student(recipe: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let reason =
        format!("method `{name}` starts a second student, which adapters do not allow: set `model.lora.rank = 0`");
    (needs.restarts && recipe.model.lora.rank > 0).then(|| ("model.lora.rank".into(), reason))
}

fn expert(recipe: &Recipe, name: &str, needs: &Needs) -> Option<(String, String)> {
    let gold = needs.teacher.as_ref().is_some_and(|teacher| teacher.context == Privileged::Gold);
    let offline = matches!(needs.extra, Some(Extra::Offline(_)));
    let oracle = needs.judge.is_some() && recipe.judge.by == JudgeBy::Oracle;
    let world = recipe.env.name();
    let none = crate::env::kind(world).is_ok_and(|kind| !kind.expert);
    let reason =
        format!("method `{name}` asks the environment's expert, and `{world}` has none: take another environment");
    (none && (gold || offline || oracle)).then(|| (format!("env.{world}"), reason))
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, parse};

    #[test]
    fn what_is_missing_is_said_with_its_place() {
        let refused = |text: &str| parse("r.toml", text, &Overrides::default()).unwrap_err();
        for (text, place, part) in [
            ("[method.sod]\ncoef = 2", "r.toml:1:1", "no one is named: set `method.sod.teacher"),
            ("[method.tip]\nteacher = { checkpoint = '' }", "r.toml:2:11", "no one is named"),
            ("[method.sdpo]\nteacher = { ema = 1.5 }", "r.toml:2:11", "`ema = 1.5` is out of range"),
            ("[judge]\nby = 'none'\n[method.triage]", "r.toml:2:6", "asks for a judge of turns: set `judge.by`"),
            ("[judge]\nby = 'endpoint'\n[method.triage]", "r.toml:1:1", "set `judge.url`"),
            ("[method.triage]", "r.toml: judge.by", "asks for a judge of turns"),
            ("[method.opd]\ncontext = 'step-feedback'", "r.toml:2:11", "needs a judge"),
            ("[method.paw]\n[rollout]\nlayout = 'history'", "r.toml:3:10", "`rollout.layout = \"transcript\"`"),
            ("[method.sparse-to-dense]\n[model.lora]\nrank = 4", "r.toml:3:8", "starts a second student"),
            ("[method.solar]\n[env.bridge]\nsessions = 2", "r.toml:2:1", "asks the environment's expert"),
            ("[method.opd]\nteacher = 'staged'", "r.toml:1:1", "no stage before it puts any aside"),
        ] {
            let error = refused(text);
            assert_eq!(error.place(), place, "{error}");
            assert!(error.reason().contains(part), "{error}");
        }
    }
}
