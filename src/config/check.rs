//! Checks that need no files: ranges, and keys that must agree with each other.

use super::recipe::Recipe;
use crate::env::household::LEAST_TURNS;
use crate::env::prompt::Layout;

/// The first key whose value makes no sense, and why.
pub(super) fn violation(recipe: &Recipe) -> Option<(&'static str, String)> {
    let out_of_range = RANGES.iter().find_map(|(key, read, bound)| {
        let value = read(recipe)?;
        (!bound.holds(value)).then(|| (*key, format!("`{key}` must be {}", bound.words())))
    });
    out_of_range.or_else(|| RULES.iter().find_map(|rule| rule(recipe)))
}

/// What a number must be. Not-a-number and infinity never hold.
enum Bound {
    AtLeast(f64),
    Above(f64),
    /// Both ends included.
    Between(f64, f64),
    /// In [0, 1).
    Fraction,
    /// In (0, 1].
    Part,
    /// In [0, 1].
    Share,
}

impl Bound {
    fn holds(&self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Bound::AtLeast(low) => value >= *low,
                Bound::Above(low) => value > *low,
                Bound::Between(low, high) => (*low..=*high).contains(&value),
                Bound::Fraction => (0.0..1.0).contains(&value),
                Bound::Part => value > 0.0 && value <= 1.0,
                Bound::Share => (0.0..=1.0).contains(&value),
            }
    }

    fn words(&self) -> String {
        match self {
            Bound::AtLeast(low) => format!("at least {low}"),
            Bound::Above(low) => format!("greater than {low}"),
            Bound::Between(low, high) => format!("from {low} to {high}"),
            Bound::Fraction => "at least 0 and less than 1".into(),
            Bound::Part => "greater than 0 and at most 1".into(),
            Bound::Share => "at least 0 and at most 1".into(),
        }
    }
}

type Read = fn(&Recipe) -> Option<f64>;

const RANGES: &[(&str, Read, Bound)] = &[
    ("run.steps", |r| Some(r.run.steps as f64), Bound::AtLeast(1.0)),
    ("env.household.max_turns", |r| env(r, "household", "max_turns"), Bound::AtLeast(1.0)),
    ("env.household.invalid_penalty", |r| env(r, "household", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.household.win_reward", |r| env(r, "household", "win_reward"), Bound::Above(0.0)),
    ("env.sokoban.height", |r| env(r, "sokoban", "height"), Bound::Between(4.0, 16.0)),
    ("env.sokoban.width", |r| env(r, "sokoban", "width"), Bound::Between(4.0, 16.0)),
    ("env.sokoban.boxes", |r| env(r, "sokoban", "boxes"), Bound::Between(1.0, 4.0)),
    ("env.sokoban.search_depth", |r| env(r, "sokoban", "search_depth"), Bound::Between(2.0, 200.0)),
    ("env.sokoban.max_turns", |r| env(r, "sokoban", "max_turns"), Bound::AtLeast(1.0)),
    ("env.sokoban.max_moves", |r| env(r, "sokoban", "max_moves"), Bound::AtLeast(1.0)),
    ("env.sokoban.invalid_penalty", |r| env(r, "sokoban", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.shop.size", |r| env(r, "shop", "size"), Bound::AtLeast(1.0)),
    ("env.shop.held_out", |r| env(r, "shop", "held_out"), Bound::Fraction),
    ("env.shop.page_size", |r| env(r, "shop", "page_size"), Bound::AtLeast(1.0)),
    ("env.shop.max_turns", |r| env(r, "shop", "max_turns"), Bound::AtLeast(4.0)),
    ("env.shop.invalid_penalty", |r| env(r, "shop", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.shop.win_reward", |r| env(r, "shop", "win_reward"), Bound::Above(0.0)),
    ("env.search.passages", |r| env(r, "search", "passages"), Bound::AtLeast(1.0)),
    ("env.search.timeout", |r| env(r, "search", "timeout"), Bound::Above(0.0)),
    ("env.search.top_k", |r| env(r, "search", "top_k"), Bound::AtLeast(1.0)),
    ("env.search.held_out", |r| env(r, "search", "held_out"), Bound::Fraction),
    ("env.search.max_turns", |r| env(r, "search", "max_turns"), Bound::AtLeast(1.0)),
    ("env.search.invalid_penalty", |r| env(r, "search", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.search.win_reward", |r| env(r, "search", "win_reward"), Bound::Above(0.0)),
    ("skills.min_similarity", |r| Some(r.skills.min_similarity), Bound::Between(-1.0, 1.0)),
    ("skills.ucb_c", |r| Some(r.skills.ucb_c), Bound::AtLeast(0.0)),
    ("skills.learn.backlog", |r| Some(r.skills.learn.backlog.into()), Bound::AtLeast(1.0)),
    ("skills.learn.timeout", |r| Some(r.skills.learn.timeout), Bound::Between(0.001, 86400.0)),
    ("skills.learn.backoff", |r| Some(r.skills.learn.backoff), Bound::Between(0.0, 3600.0)),
    ("skills.learn.retries", |r| Some(r.skills.learn.retries.into()), Bound::Between(0.0, 10.0)),
    ("skills.learn.concurrent", |r| Some(r.skills.learn.concurrent.into()), Bound::Between(1.0, 64.0)),
    ("skills.learn.max_tokens", |r| Some(r.skills.learn.max_tokens.into()), Bound::AtLeast(1.0)),
    ("skills.evolve.below", |r| Some(r.skills.evolve.below), Bound::Share),
    ("skills.evolve.decay", |r| Some(r.skills.evolve.decay), Bound::Part),
    ("skills.evolve.retire_below", |r| Some(r.skills.evolve.retire_below), Bound::Between(-1.0, 1.0)),
    ("env.apps.difficulty", |r| env(r, "apps", "difficulty"), Bound::Between(0.0, 3.0)),
    ("env.apps.max_turns", |r| env(r, "apps", "max_turns"), Bound::AtLeast(1.0)),
    ("env.apps.invalid_penalty", |r| env(r, "apps", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.apps.win_reward", |r| env(r, "apps", "win_reward"), Bound::Above(0.0)),
    ("env.series.history", |r| env(r, "series", "history"), Bound::Between(8.0, 500.0)),
    ("env.series.horizon", |r| env(r, "series", "horizon"), Bound::Between(1.0, 50.0)),
    ("env.series.dropout", |r| env(r, "series", "dropout"), Bound::Fraction),
    ("env.series.max_turns", |r| env(r, "series", "max_turns"), Bound::AtLeast(1.0)),
    ("env.series.invalid_penalty", |r| env(r, "series", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.series.win_reward", |r| env(r, "series", "win_reward"), Bound::Above(0.0)),
    ("env.scene.relations", |r| env(r, "scene", "relations"), Bound::Between(0.0, 6.0)),
    ("env.scene.max_turns", |r| env(r, "scene", "max_turns"), Bound::AtLeast(1.0)),
    ("env.scene.invalid_penalty", |r| env(r, "scene", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("env.scene.win_reward", |r| env(r, "scene", "win_reward"), Bound::Above(0.0)),
    ("env.bridge.sessions", |r| env(r, "bridge", "sessions"), Bound::AtLeast(1.0)),
    ("env.bridge.timeout", |r| env(r, "bridge", "timeout"), Bound::Above(0.0)),
    ("env.bridge.wait", |r| env(r, "bridge", "wait"), Bound::Above(0.0)),
    ("env.bridge.max_turns", |r| env(r, "bridge", "max_turns"), Bound::AtLeast(1.0)),
    ("env.bridge.invalid_penalty", |r| env(r, "bridge", "invalid_penalty"), Bound::AtLeast(0.0)),
    ("rollout.groups", |r| Some(r.rollout.groups.into()), Bound::AtLeast(1.0)),
    ("rollout.members", |r| Some(r.rollout.members.into()), Bound::AtLeast(1.0)),
    ("rollout.max_new_tokens", |r| Some(r.rollout.max_new_tokens.into()), Bound::AtLeast(1.0)),
    ("rollout.temperature", |r| Some(r.rollout.temperature), Bound::Above(0.0)),
    ("rollout.top_p", |r| Some(r.rollout.top_p), Bound::Part),
    ("rollout.min_p", |r| Some(r.rollout.min_p), Bound::Share),
    ("model.lora.alpha", |r| Some(r.model.lora.alpha), Bound::Above(0.0)),
    ("optim.lr", |r| Some(r.optim.lr), Bound::AtLeast(0.0)),
    ("optim.beta1", |r| Some(r.optim.beta1), Bound::Fraction),
    ("optim.beta2", |r| Some(r.optim.beta2), Bound::Fraction),
    ("optim.eps", |r| Some(r.optim.eps), Bound::Above(0.0)),
    ("optim.weight_decay", |r| Some(r.optim.weight_decay), Bound::AtLeast(0.0)),
    ("optim.max_grad_norm", |r| Some(r.optim.max_grad_norm), Bound::AtLeast(0.0)),
    ("optim.minibatches", |r| Some(r.optim.minibatches.into()), Bound::AtLeast(1.0)),
    ("judge.timeout", |r| Some(r.judge.timeout), Bound::Above(0.0)),
    ("judge.max_tokens", |r| Some(r.judge.max_tokens.into()), Bound::AtLeast(1.0)),
    ("eval.temperature", |r| Some(r.eval.temperature), Bound::AtLeast(0.0)),
    ("eval.top_p", |r| Some(r.eval.top_p), Bound::Part),
    ("eval.min_p", |r| Some(r.eval.min_p), Bound::Share),
];

/// A number in the settings of the environment `name`; `None` if another one is played.
fn env(recipe: &Recipe, name: &str, key: &str) -> Option<f64> {
    let table = (recipe.env.name() == name).then(|| recipe.env.table())?;
    let value = table.get(key)?;
    value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
}

type Rule = fn(&Recipe) -> Option<(&'static str, String)>;

const RULES: &[Rule] = &[made_games, run_name, group_size, batch_count, adapter_targets, stop_strings, alert_rules];

/// Games made here are won in half of the turns at most, and the longest kind takes eight.
fn made_games(recipe: &Recipe) -> Option<(&'static str, String)> {
    let crate::config::EnvConfig::Household(settings) = &recipe.env else { return None };
    let short = settings.games.is_empty() && (settings.max_turns as usize) < LEAST_TURNS;
    let words = || format!("`env.household.max_turns` must be at least {LEAST_TURNS} for games made here");
    short.then(|| ("env.household.max_turns", words()))
}

fn run_name(recipe: &Recipe) -> Option<(&'static str, String)> {
    let name = &recipe.run.name;
    let fits = name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !name.starts_with(['.', '-']);
    (!fits).then(|| ("run.name", format!("`{name}` cannot be a folder name, use letters, digits, `-`, `_` and `.`")))
}

fn group_size(recipe: &Recipe) -> Option<(&'static str, String)> {
    let method = recipe.method.name();
    (recipe.rollout.members < 2).then(|| {
        (
            "rollout.members",
            format!("`{method}` compares the rollouts of a task, so `rollout.members` must be at least 2"),
        )
    })
}

fn batch_count(recipe: &Recipe) -> Option<(&'static str, String)> {
    let episodes = u64::from(recipe.rollout.groups) * u64::from(recipe.rollout.members);
    let too_many = recipe.rollout.layout == Layout::Transcript && u64::from(recipe.optim.minibatches) > episodes;
    too_many.then(|| {
        ("optim.minibatches", format!("a step has {episodes} rows, they cannot be split into more batches than that"))
    })
}

fn stop_strings(recipe: &Recipe) -> Option<(&'static str, String)> {
    let empty = recipe.rollout.stop.iter().any(String::is_empty);
    empty.then(|| ("rollout.stop", "an empty stop string would close every reply, leave it out".to_owned()))
}

fn adapter_targets(recipe: &Recipe) -> Option<(&'static str, String)> {
    let lora = &recipe.model.lora;
    (lora.rank > 0 && lora.targets.is_empty()).then(|| {
        let reason = "adapters need at least one target, such as `q_proj`; `rank = 0` trains all parameters";
        ("model.lora.targets", reason.into())
    })
}

fn alert_rules(recipe: &Recipe) -> Option<(&'static str, String)> {
    recipe.alerts.rules.iter().find_map(|rule| {
        let metric = &rule.metric;
        let limits = [rule.above, rule.below, rule.falls];
        let reason = match rule {
            _ if metric.is_empty() => "a rule needs a `metric`".to_owned(),
            _ if rule.steps == 0 => format!("`for` of the rule on `{metric}` must be at least 1"),
            _ if limits.iter().flatten().any(|limit| !limit.is_finite()) => {
                format!("the limit of the rule on `{metric}` must be a finite number")
            }
            _ if limits.iter().flatten().count() > 1 => {
                format!("the rule on `{metric}` has more than one of `above`, `below` and `falls`, write two rules")
            }
            _ if rule.falls.is_some_and(|falls| falls <= 0.0) => {
                format!("`falls` of the rule on `{metric}` must be greater than 0")
            }
            _ => return None,
        };
        Some(("alerts.rules", reason))
    })
}

#[cfg(test)]
mod tests {
    use super::{RANGES, violation};
    use crate::config::{Overrides, Recipe, parse, tables};

    #[test]
    fn ranges_are_about_existing_keys_and_the_default_keeps_them() {
        for (key, ..) in RANGES {
            assert!(tables().flat_map(|t| t.fields).any(|f| f.key == *key), "`{key}` is no key");
        }
        assert_eq!(violation(&Recipe::default()), None);
    }

    #[test]
    fn nonsense_is_refused_at_its_place() {
        let refused = |text: &str| parse("r.toml", text, &Overrides::default()).unwrap_err();
        for (text, place, part) in [
            ("[optim]\nlr = nan", "r.toml:2:6", "`optim.lr` must be at least 0"),
            ("[optim]\nbeta2 = 1.0", "r.toml:2:9", "less than 1"),
            ("[rollout]\nmembers = 1", "r.toml:2:11", "`sdar` compares"),
            ("[rollout]\ngroups = 1\nmembers = 2\n[optim]\nminibatches = 3", "r.toml:5:15", "a step has 2 rows"),
            ("[rollout]\ntop_p = 0", "r.toml:2:9", "greater than 0 and at most 1"),
            ("[rollout]\nstop = ['</action>', '']", "r.toml:2:8", "an empty stop string"),
            ("[model.lora]\nrank = 4\ntargets = []", "r.toml:3:11", "at least one target"),
            ("[env.sokoban]\nboxes = 5", "r.toml:2:9", "from 1 to 4"),
            ("run.name = '../up'", "r.toml:1:12", "cannot be a folder name"),
            ("[alerts]\nrules = [{ metric = 'a', for = 0 }]", "r.toml:2:9", "`for` of the rule on `a`"),
            ("[alerts]\nrules = [{ metric = 'a', above = 1, below = 0 }]", "r.toml:2:9", "write two rules"),
            ("[alerts]\nrules = [{ metric = 'a', falls = 0 }]", "r.toml:2:9", "`falls` of the rule on `a`"),
        ] {
            let error = refused(text);
            assert_eq!(error.place(), place, "{error}");
            assert!(error.reason().contains(part), "{error}");
        }
    }
}
