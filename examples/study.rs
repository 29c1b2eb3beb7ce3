//! Compares methods on one frozen panel: `cargo run --release --example study -- ROOT METHOD METHOD`.
//!
//! Reads the runs `ROOT/<method>-<seed>` and prints a Markdown table per method (success before, final, best, mean of
//! the last three evaluations, per seed and on average) and the paired difference of the second method to the first:
//! mean over seeds and tasks of the last three evaluations, with a 95 % interval from a bootstrap over seeds and tasks
//! together (10,000 draws). `benches/study.sh` makes the runs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use sdlab::core::rng;
use sdlab::run::view::RunView;
use sdlab::run::{RunFolder, Source, list_runs};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, first, second] = &args[..] else { anyhow::bail!("usage: study ROOT METHOD METHOD") };
    let root = Path::new(root);
    let (a, b) = (read(root, first)?, read(root, second)?);
    println!("| method | seed | before | final | best | mean of last 3 |\n|---|---|---|---|---|---|");
    for (name, runs) in [(first, &a), (second, &b)] {
        runs.iter().for_each(|run| println!("{}", run.row(name)));
        println!("{}", mean_row(name, runs));
    }
    let (low, middle, high) = paired(&a, &b)?;
    println!(
        "\n{second} minus {first}, paired, mean of last 3: {middle:+.1} points, 95 % interval [{low:+.1}, {high:+.1}]"
    );
    Ok(())
}

/// Evaluations of one run, oldest first: outcome of every task, 0 or 1.
struct Run {
    seed: u64,
    panels: Vec<Vec<f64>>,
}

impl Run {
    fn success(&self) -> Vec<f64> {
        self.panels.iter().map(|p| 100.0 * p.iter().sum::<f64>() / p.len() as f64).collect()
    }

    /// Before, final, best, mean of the last three, in percent.
    fn summary(&self) -> [f64; 4] {
        let all = self.success();
        let last = &all[all.len().saturating_sub(3)..];
        let best = all.iter().copied().fold(0.0, f64::max);
        [all[0], all[all.len() - 1], best, last.iter().sum::<f64>() / last.len() as f64]
    }

    fn row(&self, name: &str) -> String {
        cells(name, &self.seed.to_string(), self.summary())
    }

    /// Share won of every task over the last three evaluations.
    fn tasks(&self) -> Vec<f64> {
        let last = &self.panels[self.panels.len().saturating_sub(3)..];
        (0..last[0].len()).map(|t| last.iter().map(|p| p[t]).sum::<f64>() / last.len() as f64).collect()
    }
}

fn cells(name: &str, seed: &str, values: [f64; 4]) -> String {
    let [before, end, best, last] = values;
    format!("| {name} | {seed} | {before:.1} | {end:.1} | {best:.1} | {last:.1} |")
}

fn mean_row(name: &str, runs: &[Run]) -> String {
    let sums = runs.iter().map(Run::summary).fold([0.0; 4], |s, r| std::array::from_fn(|i| s[i] + r[i]));
    cells(&format!("**{name}**"), "mean", sums.map(|s| s / runs.len() as f64))
}

fn read(root: &Path, method: &str) -> Result<Vec<Run>> {
    let mut runs = vec![];
    for name in list_runs(root) {
        let Some(seed) = name.strip_prefix(&format!("{method}-")).and_then(|s| s.parse().ok()) else { continue };
        let mut view = RunView::default();
        let folder = RunFolder::open(&name, root)?;
        Source::open(&folder)?.all()?.iter().for_each(|record| view.apply(record));
        let plain = view.evals.iter().filter(|e| !e.with_skills);
        let panels: Vec<Vec<f64>> =
            plain.map(|e| e.outcomes.chars().map(|c| (c == '1') as u8 as f64).collect()).collect();
        ensure!(!panels.is_empty(), "`{name}` has no evaluations");
        runs.push(Run { seed, panels });
    }
    ensure!(!runs.is_empty(), "`{}` has no runs called `{method}-SEED`", root.display());
    Ok(runs)
}

/// Mean difference b - a in points with its 95 % interval. Runs are paired by seed, tasks by their place.
fn paired(a: &[Run], b: &[Run]) -> Result<(f64, f64, f64)> {
    let mut pairs: Vec<Vec<f64>> = vec![];
    for a in a {
        let b = b.iter().find(|b| b.seed == a.seed).with_context(|| format!("seed {} has no partner", a.seed))?;
        pairs.push(a.tasks().iter().zip(b.tasks()).map(|(a, b)| 100.0 * (b - a)).collect());
    }
    let (seeds, tasks) = (pairs.len(), pairs[0].len());
    let mut rng = rng::stream(0, "bootstrap", &[]);
    let mut draws: Vec<f64> = (0..10_000)
        .map(|_| {
            let rows: Vec<usize> = (0..seeds).map(|_| rng.random_range(0..seeds)).collect();
            let columns: Vec<usize> = (0..tasks).map(|_| rng.random_range(0..tasks)).collect();
            let sum: f64 = rows.iter().flat_map(|r| columns.iter().map(|c| pairs[*r][*c])).sum();
            sum / (seeds * tasks) as f64
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let mean = pairs.iter().flatten().sum::<f64>() / (seeds * tasks) as f64;
    Ok((draws[250], mean, draws[9749]))
}
