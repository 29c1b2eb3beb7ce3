//! What differs between two runs: changed keys only, then results, then what they were built and run with.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::RunRow;

/// The differences of `b` against the baseline `a` as text, one line each, under headings.
pub fn diff(a: &RunRow, b: &RunRow) -> String {
    let mut out = format!("baseline {}\nagainst  {}\n", a.name, b.name);
    let reasons = incomparable(a, b);
    if !reasons.is_empty() {
        let _ = write!(out, "\n▲ not comparable as they stand: {}\n", reasons.join("; "));
    }
    let config = changed(&a.config, &b.config);
    let _ = write!(out, "\nconfiguration: {} of {} keys differ\n", config.len(), a.config.len().max(b.config.len()));
    lines(&mut out, &config);
    out.push_str("\nlast values\n");
    for (name, was) in &a.summary {
        if let Some(is) = b.summary.get(name).filter(|_| !name.starts_with("time/")) {
            let _ = writeln!(out, "  {name:<22} {was:>9.4} -> {is:>9.4}  {:>+9.4}", is - was);
        }
    }
    for (name, side) in
        [("only in the baseline", (&a.summary, &b.summary)), ("only in the other", (&b.summary, &a.summary))]
    {
        let only: Vec<&str> = side.0.keys().filter(|key| !side.1.contains_key(*key)).map(String::as_str).collect();
        if !only.is_empty() {
            let _ = writeln!(out, "  {name}: {}", only.join(", "));
        }
    }
    let build = changed(&a.build, &b.build);
    let _ = write!(out, "\nbuild, machine, seeds: {}\n", if build.is_empty() { "the same" } else { "differ" });
    lines(&mut out, &build);
    out
}

fn lines(out: &mut String, changes: &[(String, String, String)]) {
    for (key, was, is) in changes {
        let _ = writeln!(out, "  {key:<22} {was} -> {is}");
    }
}

/// Keys whose values differ, with both.
fn changed(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<(String, String, String)> {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    let side = |map: &BTreeMap<String, String>, key: &String| map.get(key).cloned().unwrap_or_else(|| "unset".into());
    let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    differing.map(|key| (key.clone(), side(a, key), side(b, key))).collect()
}

/// Why numbers of the two may not be set beside each other.
fn incomparable(a: &RunRow, b: &RunRow) -> Vec<String> {
    let mut out = Vec::new();
    for (what, was, is) in [("environment", &a.env, &b.env), ("model", &a.model, &b.model)] {
        if was != is {
            out.push(format!("another {what} ({was}, {is})"));
        }
    }
    let panel = |row: &RunRow| {
        row.config
            .iter()
            .filter(|(key, _)| key.starts_with("eval."))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    if panel(a) != panel(b) {
        out.push("evaluated on another panel".into());
    }
    if a.step != b.step {
        out.push(format!("{} and {} steps", a.step, b.step));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn only_what_differs_is_said() {
        let a = row("a", "[optim]\nlr = 1e-5\nclip = 1.0\n", &[("reward/mean", 0.5), ("gate/mean", 0.4)]);
        let mut b = row("b", "[optim]\nlr = 2e-5\nclip = 1.0\n", &[("reward/mean", 0.75)]);
        b.env = "shop".into();
        let text = diff(&a, &b);
        assert!(text.contains("1 of 2 keys differ") && text.contains("optim.lr") && !text.contains("optim.clip"));
        assert!(text.contains("+0.2500") && text.contains("only in the baseline: gate/mean"), "{text}");
        assert!(text.contains("another environment (household, shop)"), "{text}");
    }
}
