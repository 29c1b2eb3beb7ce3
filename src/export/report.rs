//! A report as one HTML page: facts, curves, evaluations, alerts, and the rollouts that tell most, with their tokens
//! coloured by the gate. The page holds everything it shows and runs no script.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::page::escape;
use super::plot;
use crate::core::{Episode, TokenRecord};
use crate::run::view::{RunView, StepView};
use crate::run::{RunFolder, Store};
use crate::text::Text;

/// The page of a run.
pub(super) fn page(folder: &RunFolder, view: &RunView) -> String {
    let title = escape(&view.facts.run);
    let body =
        [facts(view), headline(view), plot::panels(view), evals(view), alerts(view), rollouts(folder), config(folder)];
    document(&title, &body)
}

/// A page of these parts that loads nothing and runs nothing; the title is escaped.
fn document(title: &str, body: &[String]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n{}\n</body></html>\n",
        body.join("\n")
    )
}

/// Charts of these metrics as a page, with every value in a table.
pub(super) fn chart_page(view: &RunView, metrics: &[&str]) -> String {
    let title = escape(&format!("{}: {}", view.facts.run, metrics.join(", ")));
    let head: String = metrics.iter().map(|name| format!("<th>{}</th>", escape(name))).collect();
    let cell = |value: Option<f64>| format!("<td>{}</td>", value.map_or(String::new(), |v| v.to_string()));
    let row = |step: &StepView| {
        let cells: String = metrics.iter().map(|name| cell(step.metrics.value(name))).collect();
        format!("<tr><td>{}</td>{cells}</tr>", step.step)
    };
    let rows: String = view.steps.iter().map(row).collect();
    let table =
        format!("<details><summary>values</summary><table><tr><th>step</th>{head}</tr>{rows}</table></details>");
    document(&title, &[plot::chart(view, metrics), table])
}

fn facts(view: &RunView) -> String {
    let facts = &view.facts;
    let rows = [
        ("method", facts.method.clone()),
        ("environment", facts.env.clone()),
        ("model", format!("{}, {} parameters, {}", facts.model, facts.parameters, facts.device)),
        ("recipe", facts.recipe.clone()),
        ("steps", format!("{} of {}", view.last_step(), facts.steps)),
        ("a step", format!("{} tasks, {} rollouts each", facts.groups, facts.members)),
        ("stand-ins", facts.substitutions.join("; ")),
    ];
    let rows = rows.iter().filter(|(_, value)| !value.is_empty());
    let rows = rows.map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escape(value)));
    format!("<table>{}</table>", rows.collect::<String>())
}

/// Final, best and the mean of the last few, never one number alone.
fn headline(view: &RunView) -> String {
    let mut out = String::new();
    for name in ["reward/mean", "success/mean", "groups/no_signal"] {
        let values: Vec<f64> = view.series(name).into_iter().filter_map(|(_, value)| value).collect();
        let Some(last) = values.last() else { continue };
        let recent = &values[values.len().saturating_sub(LAST)..];
        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
        let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let _ = write!(out, "<tr><th>{name}</th><td>{last:.4}</td><td>{mean:.4}</td><td>{best:.4}</td></tr>");
    }
    if out.is_empty() {
        return String::new();
    }
    format!(
        "<h2>Training</h2><table><tr><th></th><th>final</th><th>mean of last {LAST}</th><th>highest</th></tr>{out}</table>"
    )
}

fn evals(view: &RunView) -> String {
    let row = |e: &crate::run::view::EvalView| {
        let success = e.metrics.get("success").copied().flatten().map_or("".into(), |s| format!("{s:.4}"));
        let skills = if e.with_skills { "yes" } else { "no" };
        let cells = [e.step.to_string(), escape(&e.panel), skills.into(), success, escape(&e.outcomes)];
        format!("<tr>{}</tr>", cells.map(|cell| format!("<td>{cell}</td>")).concat())
    };
    if view.evals.is_empty() {
        return String::new();
    }
    let head = "<tr><th>after step</th><th>panel</th><th>with skills</th><th>success</th><th>tasks</th></tr>";
    let rows: String = view.evals.iter().map(row).collect();
    format!("<h2>Evaluations</h2><table class=\"mono\">{head}{rows}</table>")
}

fn alerts(view: &RunView) -> String {
    if view.alerts.is_empty() {
        return String::new();
    }
    let recent = view.alerts.iter().rev().take(ALERTS);
    let rows = recent.map(|a| format!("<li>step {}: {}</li>", a.step, escape(&a.message)));
    format!(
        "<h2>Alerts</h2><p>{} in all, the latest first.</p><ul>{}</ul>",
        view.alerts.len(),
        rows.collect::<String>()
    )
}

fn config(folder: &RunFolder) -> String {
    let text = std::fs::read_to_string(folder.config()).unwrap_or_default();
    format!("<h2>Configuration</h2><details><summary>config.toml</summary><pre>{}</pre></details>", escape(&text))
}

/// Rollouts of the last step with tokens: of the group whose rewards differ most, the best and the worst.
fn rollouts(folder: &RunFolder) -> String {
    let store = Store::new(folder);
    let steps = store.steps();
    let step = store.token_steps().into_iter().rev().find(|step| steps.contains(step)).or(steps.last().copied());
    let Some(step) = step else { return String::new() };
    let (Ok(episodes), Ok(tokens)) = (store.episodes(step), store.tokens(step)) else {
        return format!("<h2>Rollouts</h2><p>The rollouts of step {step} cannot be read.</p>");
    };
    let text = Text::load(&folder.path().join("tokenizer")).ok();
    let shown = telling(&episodes);
    let parts = shown.into_iter().map(|episode| rollout(episode, &tokens, text.as_ref()));
    format!("<h2>Rollouts of step {step}</h2>{LEGEND}{}", parts.collect::<String>())
}

fn telling(episodes: &[Episode]) -> Vec<&Episode> {
    let mut groups: BTreeMap<u32, Vec<&Episode>> = BTreeMap::new();
    for episode in episodes {
        groups.entry(episode.id.group).or_default().push(episode);
    }
    let by_reward = |a: &&Episode, b: &&Episode| a.reward.total_cmp(&b.reward);
    let Some(group) = groups.values().max_by(|a, b| spread(a).total_cmp(&spread(b))) else { return vec![] };
    let low = group.iter().copied().min_by(by_reward);
    let high = group.iter().copied().max_by(by_reward);
    let mut shown: Vec<&Episode> = high.into_iter().chain(low).collect();
    shown.dedup_by_key(|episode| episode.id);
    shown
}

/// Between the best and the worst reward of a group.
fn spread(group: &[&Episode]) -> f32 {
    let rewards = group.iter().map(|episode| episode.reward);
    rewards.clone().fold(f32::NEG_INFINITY, f32::max) - rewards.fold(f32::INFINITY, f32::min)
}

fn rollout(episode: &Episode, tokens: &[TokenRecord], text: Option<&Text>) -> String {
    let number = |x: Option<f32>| x.map_or("none".into(), |x| format!("{x:+.3}"));
    let mut out = format!(
        "<section><h3>{}</h3><p>group {}, rollout {}: {:?}, reward {:.2}, advantage {}, skills {}</p>",
        escape(&episode.task.goal),
        episode.id.group,
        episode.id.member,
        episode.ending,
        episode.reward,
        number(episode.advantage),
        escape(&episode.skills.join(", "))
    );
    let own: Vec<&TokenRecord> =
        tokens.iter().filter(|t| (t.group, t.member) == (episode.id.group, episode.id.member)).collect();
    for (index, turn) in episode.turns.iter().enumerate() {
        let observation = escape(&turn.observation);
        let reply: Vec<&&TokenRecord> = own.iter().filter(|t| t.mask && t.turn as usize == index).collect();
        let said = match text.filter(|_| !reply.is_empty()) {
            Some(text) => reply.iter().map(|token| coloured(token, text)).collect(),
            None => escape(&turn.reply),
        };
        let _ = write!(out, "<pre class=\"env\">{observation}</pre><pre>{said}</pre>");
    }
    let _ = write!(out, "<pre class=\"env\">{}</pre></section>", escape(&episode.last_observation));
    out
}

/// A token with the gate as the strength of its background: blue where the teacher endorses it, orange where it does
/// not; everything known of it in its title.
fn coloured(token: &TokenRecord, text: &Text) -> String {
    let bytes = text.bytes(&[token.id]).concat();
    let shown = escape(&String::from_utf8_lossy(&bytes));
    let gap = token.gap().unwrap_or(0.0);
    let strength = token.gate.unwrap_or_else(|| (gap.abs() / 4.0).min(1.0));
    let colour = if gap >= 0.0 { "33,102,172" } else { "217,95,14" };
    let number = |name: &str, x: Option<f32>| x.map_or(String::new(), |x| format!("{name} {x:.3} "));
    let title = [
        number("student", token.student.or(token.old)),
        number("teacher", token.teacher),
        number("gap", token.gap()),
        number("gate", token.gate),
        number("advantage", token.advantage),
        number("entropy", token.entropy),
    ];
    let strength = strength.clamp(0.0, 1.0) * 0.7;
    format!(
        "<span style=\"background:rgba({colour},{strength:.2})\" title=\"{}\">{shown}</span>",
        title.concat().trim_end()
    )
}

/// Steps the mean looks back on.
const LAST: usize = 10;
/// Alerts shown.
const ALERTS: usize = 30;

const LEGEND: &str = "<p>Of the group whose rewards differ most: its best and its worst rollout. Strength of a token's \
                      background: its gate. <span style=\"background:rgba(33,102,172,.5)\">The teacher endorses it</span>, \
                      <span style=\"background:rgba(217,95,14,.5)\">the teacher rejects it</span>.</p>";

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:820px;margin:2em auto;padding:0 1em;color:#222}\
                     table{border-collapse:collapse;margin:.5em 0}th,td{text-align:left;padding:.15em .8em .15em 0;\
                     vertical-align:top}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3em 0;padding:.3em .5em;\
                     border-left:3px solid #2166ac}pre.env{border-color:#ccc;color:#666}.mono td{font-family:monospace}\
                     section{margin:1.5em 0}svg{max-width:100%;height:auto}";
