//! `sdlab lens`: what any methods would do to the tokens of a recorded run.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::Options;
use super::show::print;
use crate::core::exit::Exit;
use crate::lens::{self, Lens, Opened, Seen};
use crate::method::MethodConfig;

/// What to look at, through what.
#[derive(Debug, clap::Args)]
pub struct LensArgs {
    /// A run, or a debug dump of SDAR's code (`*.jsonl`)
    run: String,
    /// Method to look through, with the run's settings where it is the run's own, else its defaults; may be repeated.
    /// Without one: the run's own method and GRPO
    #[arg(long = "method", value_name = "NAME")]
    methods: Vec<String>,
    /// Training step; without one, the last that has tokens
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Print one JSON object with the numbers of every token
    #[arg(long)]
    json: bool,
}

/// Looks, and prints a summary per method and the tokens they disagree on, or all numbers as JSON.
pub(super) fn lens(args: &LensArgs, options: &Options) -> Result<Exit> {
    let path = match options.open(&args.run) {
        Ok(folder) => folder.path().to_path_buf(),
        Err(_) if Path::new(&args.run).is_file() => Path::new(&args.run).to_path_buf(),
        Err(error) => return Err(error),
    };
    let opened = lens::open(&path, args.step)?;
    let mut configs = Vec::new();
    for name in names(args, &opened) {
        configs.push(lens::method_of(&name, opened.method.as_ref(), &options.set)?);
    }
    let lenses: Vec<Lens> = configs.iter().map(|c| lens::over(&opened.recorded, &*c.build())).collect();
    print(&if args.json { whole(&opened, &lenses)? } else { summary(&opened, &configs, &lenses) })
}

fn names(args: &LensArgs, opened: &Opened) -> Vec<String> {
    if !args.methods.is_empty() {
        return args.methods.clone();
    }
    let own = opened.method.as_ref().map_or("sdar", MethodConfig::name);
    if own == "grpo" { vec!["grpo".into(), "sdar".into()] } else { vec![own.into(), "grpo".into()] }
}

fn summary(opened: &Opened, configs: &[MethodConfig], lenses: &[Lens]) -> String {
    let recorded = &opened.recorded;
    let mut out = format!("step {}, {} sampled tokens\n", recorded.step, recorded.len());
    for (config, lens) in configs.iter().zip(lenses) {
        let own = if opened.method.as_ref() == Some(config) { " (as it was trained)" } else { "" };
        let sizes = lens.tokens.iter().map(|t| f64::from(t.coefficient));
        let count = lens.tokens.len().max(1) as f64;
        let mean = sizes.clone().map(f64::abs).sum::<f64>() / count;
        let share = |of: fn(f64) -> bool| 100.0 * sizes.clone().filter(|c| of(*c)).count() as f64 / count;
        // writing to a string cannot fail
        let _ = writeln!(out, "\n{}{own}", lens.method);
        let unit = lens::unit(lens);
        let _ =
            writeln!(out, "  loss {:.6}, coefficients: mean size {mean:.3e}, root mean square {unit:.3e}", lens.value);
        let _ = writeln!(out, "  raises {:.1}% of the tokens, lowers {:.1}%", share(|c| c < 0.0), share(|c| c > 0.0));
        for missing in &lens.missing {
            let _ = writeln!(out, "  missing {missing}");
        }
        for note in &lens.notes {
            let _ = writeln!(out, "  note: {note}");
        }
    }
    if lenses.len() > 1 {
        disagreements(opened, lenses, &mut out);
    }
    out
}

/// The tokens on which the methods are furthest apart, a line each.
fn disagreements(opened: &Opened, lenses: &[Lens], out: &mut String) {
    out.push_str("\nwhere they disagree most (push: + raises the token, in units of the method's root mean square)\n");
    let units: Vec<f64> = lenses.iter().map(lens::unit).collect();
    let names: String = lenses.iter().map(|lens| format!(" {:>12.12}", lens.method)).collect();
    let _ = writeln!(out, "  group member turn  position  token           {names}");
    for found in lens::disagreements(lenses, SHOWN) {
        let at = opened.recorded.places[found.token];
        let (token, text) = (&opened.tokens[at], opened.texts[at].escape_debug().to_string());
        let push = |seen: &Seen, unit: &f64| format!(" {:>+12.3}", -f64::from(seen.coefficient) / unit);
        let pushes: String =
            lenses.iter().zip(&units).map(|(lens, unit)| push(&lens.tokens[found.token], unit)).collect();
        let mark = if found.opposed { " opposed" } else { "" };
        let (group, member, turn) = (token.group, token.member, token.turn);
        let _ = writeln!(out, "  {group:>5} {member:>6} {turn:>4} {:>9}  {text:<16.16}{pushes}{mark}", token.position);
    }
}

fn whole(opened: &Opened, lenses: &[Lens]) -> Result<String> {
    let sampled = || opened.recorded.places.iter().map(|&at| (&opened.tokens[at], &opened.texts[at]));
    let column = |of: fn(&Seen) -> Value, lens: &Lens| lens.tokens.iter().map(of).collect::<Value>();
    let mut methods = Vec::new();
    for lens in lenses {
        let metrics: Map<String, Value> = lens.metrics.iter().map(|(name, v)| (name.to_string(), json!(v))).collect();
        methods.push(json!({
            "method": lens.method, "loss": lens.value, "missing": lens.missing, "notes": lens.notes,
            "metrics": metrics,
            "advantage": column(|s| json!(s.advantage), lens),
            "weight": column(|s| json!(s.weight), lens),
            "coefficient": column(|s| json!(s.coefficient), lens),
            "token_loss": column(|s| json!(s.loss), lens),
        }));
    }
    let found = lens::disagreements(lenses, SHOWN);
    let found: Vec<Value> =
        found.iter().map(|d| json!({ "token": d.token, "distance": d.distance, "opposed": d.opposed })).collect();
    let object = json!({
        "step": opened.recorded.step,
        "tokens": {
            "group": sampled().map(|(t, _)| t.group).collect::<Vec<_>>(),
            "member": sampled().map(|(t, _)| t.member).collect::<Vec<_>>(),
            "turn": sampled().map(|(t, _)| t.turn).collect::<Vec<_>>(),
            "position": sampled().map(|(t, _)| t.position).collect::<Vec<_>>(),
            "id": sampled().map(|(t, _)| t.id).collect::<Vec<_>>(),
            "text": sampled().map(|(_, text)| text).collect::<Vec<_>>(),
        },
        "methods": methods,
        "disagreements": found,
    });
    Ok(serde_json::to_string(&object)? + "\n")
}

/// Disagreements that are listed.
const SHOWN: usize = 20;

pub(super) const EXAMPLES: &str = "\
Examples:
  sdlab lens runs/starter                                  the run's own method against GRPO
  sdlab lens --method sdar --method rlsd --step 3 my-run
  sdlab lens --method sdar --set method.sdar.beta=50 my-run
  sdlab lens --method skill-sd --json my-run | jq '.methods[0].coefficient'";
