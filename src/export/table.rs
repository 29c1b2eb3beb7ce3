//! Tables: CSV (RFC 4180) and JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::file;
use crate::core::Episode;
use crate::run::view::{EvalView, RunView};
use crate::run::{Numbers, RunFolder, Store};

/// `metrics.csv` (a row for each step), `evals.csv`, `rollouts.csv` (a row for each episode).
pub(super) fn csv(folder: &RunFolder, view: &RunView, out: &Path) -> Result<Vec<PathBuf>> {
    let steps = view.steps.iter().map(|s| (vec![s.step.to_string(), s.at_ms.to_string()], s.metrics.clone()));
    let evals = view.evals.iter().map(|e| (eval_cells(e), Numbers::from(e.metrics.clone())));
    let mut files = vec![
        file(out, "metrics.csv", sheet(&["step", "at_ms"], steps).as_bytes())?,
        file(out, "evals.csv", sheet(&["step", "at_ms", "panel", "with_skills", "outcomes"], evals).as_bytes())?,
    ];
    let path = out.join("rollouts.csv");
    let mut text = line(&EPISODE.map(str::to_owned));
    each_episode(folder, |episode| text.push_str(&line(&episode_cells(episode))))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    files.push(path);
    Ok(files)
}

/// `run.json` (facts, steps, evaluations, alerts, marks) and `rollouts.jsonl` (every episode as it was recorded).
pub(super) fn json(folder: &RunFolder, view: &RunView, out: &Path) -> Result<Vec<PathBuf>> {
    let facts = &view.facts;
    let run = json!({
        "run": facts.run, "recipe": facts.recipe, "method": facts.method, "env": facts.env, "model": facts.model,
        "parameters": facts.parameters, "device": facts.device, "steps_planned": facts.steps, "groups": facts.groups,
        "members": facts.members, "substitutions": facts.substitutions,
        "steps": view.steps.iter().map(|s| json!({
            "step": s.step, "at_ms": s.at_ms, "metrics": s.metrics, "skills": s.skills[..],
        })).collect::<Vec<Value>>(),
        "evals": view.evals.iter().map(|e| json!({
            "step": e.step, "at_ms": e.at_ms, "panel": e.panel, "with_skills": e.with_skills, "metrics": e.metrics,
            "outcomes": e.outcomes,
        })).collect::<Vec<Value>>(),
        "alerts": view.alerts.iter().map(|a| json!({
            "step": a.step, "at_ms": a.at_ms, "level": a.level, "rule": a.rule, "message": a.message,
        })).collect::<Vec<Value>>(),
        "marks": view.marks.iter().map(|m| json!({
            "step": m.step, "kind": format!("{:?}", m.kind).to_lowercase(), "text": m.text,
        })).collect::<Vec<Value>>(),
    });
    let path = out.join("rollouts.jsonl");
    let refused = || format!("cannot write `{}`", path.display());
    let mut lines = std::io::BufWriter::new(std::fs::File::create(&path).with_context(refused)?);
    let mut failure = None;
    each_episode(folder, |episode| {
        let written = serde_json::to_writer(&mut lines, episode).map_err(Into::into);
        let written: std::io::Result<()> = written.and_then(|()| lines.write_all(b"\n"));
        failure = failure.take().or(written.err());
    })?;
    failure.or(lines.flush().err()).map_or(Ok(()), Err).with_context(refused)?;
    Ok(vec![file(out, "run.json", &serde_json::to_vec_pretty(&run)?)?, path.clone()])
}

/// One step's episodes in memory at a time. A damaged step is told and passed over.
fn each_episode(folder: &RunFolder, mut take: impl FnMut(&Episode)) -> Result<()> {
    let store = Store::new(folder);
    for step in store.steps() {
        match store.episodes(step) {
            Ok(episodes) => episodes.iter().for_each(&mut take),
            Err(error) => eprintln!("the rollouts of step {step} are left out: {error}"),
        }
    }
    Ok(())
}

/// Fixed columns, then a column for each metric; a metric that a row does not have is an empty cell.
fn sheet(fixed: &[&str], rows: impl Iterator<Item = (Vec<String>, Numbers)>) -> String {
    let rows: Vec<_> = rows.collect();
    let names: std::collections::BTreeSet<&str> = rows.iter().flat_map(|(_, numbers)| numbers.names()).collect();
    let head: Vec<String> =
        fixed.iter().map(|name| name.to_string()).chain(names.iter().map(|n| n.to_string())).collect();
    let mut text = line(&head);
    for (mut cells, numbers) in rows.iter().cloned() {
        let value = |name: &&str| numbers.value(name).map_or(String::new(), |x| x.to_string());
        cells.extend(names.iter().map(value));
        text.push_str(&line(&cells));
    }
    text
}

fn eval_cells(eval: &EvalView) -> Vec<String> {
    let EvalView { step, at_ms, panel, with_skills, outcomes, .. } = eval;
    vec![step.to_string(), at_ms.to_string(), panel.clone(), with_skills.to_string(), outcomes.clone()]
}

const EPISODE: [&str; 13] = [
    "step",
    "group",
    "member",
    "task_id",
    "task_kind",
    "goal",
    "ending",
    "reward",
    "score",
    "advantage",
    "turns",
    "prompt",
    "completion",
];

fn episode_cells(e: &Episode) -> Vec<String> {
    let ending = serde_json::to_value(e.ending).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let completion = e.turns.iter().map(|turn| turn.reply.as_str()).collect::<Vec<_>>().join("\n\n");
    vec![
        e.id.step.to_string(),
        e.id.group.to_string(),
        e.id.member.to_string(),
        e.task.id.clone(),
        e.task.kind.clone(),
        e.task.goal.clone(),
        ending,
        e.reward.to_string(),
        e.score.to_string(),
        e.advantage.map_or(String::new(), |a| a.to_string()),
        e.turns.len().to_string(),
        e.prompt.clone(),
        completion,
    ]
}

fn line(cells: &[String]) -> String {
    let mut text = cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
    text.push_str("\r\n");
    text
}

/// Quoted where RFC 4180 asks for it. A cell that a spreadsheet would take for a formula gets a `'` before it.
fn quoted(cell: &str) -> String {
    let formula =
        cell.starts_with(['=', '@', '\t', '\r']) || cell.starts_with(['+', '-']) && cell.parse::<f64>().is_err();
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        assert_eq!(quoted("a, \"b\"\n"), "\"a, \"\"b\"\"\n\"");
        assert_eq!((quoted("-1.5"), quoted("=1+1"), quoted("-x")), ("-1.5".into(), "'=1+1".into(), "'-x".into()));
    }
}
