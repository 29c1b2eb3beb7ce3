//! The kill drill: `cargo run --release --example drill -- [KILLS] [SEED]`.
//!
//! Trains a tiny run without interruption, then again and again with `kill -9` at random moments, an edit of its
//! configuration in every fourth, and resumes each until it is done. Every one must end with the same weights, metrics,
//! rollouts and tokens as the first, bit for bit. Exit code 1 = one did not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use sdlab::core::{RunEvent, rng};
use sdlab::run::view::RunView;
use sdlab::run::{RunFolder, Source};

const STEPS: u64 = 5;
const RECIPE: &str = "\
[run]
steps = 5
[rollout]
groups = 2
members = 2
max_new_tokens = 8
[optim]
warmup_steps = 4
[eval]
every = 2
games = 2
[checkpoint]
every = 1
keep = 3
";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let kills: u32 = arguments.next().map_or(Ok(50), |n| n.parse()).context("KILLS must be a number")?;
    let seed: u64 = arguments.next().map_or(Ok(0), |n| n.parse()).context("SEED must be a number")?;
    let root = std::env::temp_dir().join(format!("sdlab-drill-{}", std::process::id()));
    fs::create_dir_all(&root)?;
    fs::write(root.join("drill.toml"), RECIPE)?;
    let result = drill(&root, kills, seed);
    fs::remove_dir_all(&root)?;
    result
}

fn drill(root: &Path, kills: u32, seed: u64) -> Result<()> {
    let began = Instant::now();
    ensure!(start(root, "whole", None)?.wait()?.success(), "the uninterrupted run failed");
    let length = began.elapsed();
    let whole = RunFolder::open("whole", root)?;
    println!("uninterrupted: {:.1} s", length.as_secs_f64());
    let mut different = 0;
    for kill in 1..=kills {
        let mut random = rng::stream(seed, "drill", &[kill.into()]);
        let name = format!("killed-{kill}");
        let mut moments = Vec::new();
        let mut child = start(root, &name, None)?;
        // mostly one kill a run, sometimes several
        loop {
            let moment = length.mul_f64(random.random::<f64>() * 1.05);
            let edit = kill.is_multiple_of(4).then(|| moment / 2);
            moments.push(strike(&mut child, root, &name, moment, edit)?);
            child = start(root, &name, Some(root.join(&name)))?;
            if random.random::<f64>() < 0.7 {
                break;
            }
        }
        let status = child.wait()?;
        let verdict = match status.success() {
            true => compare(&RunFolder::open(&name, root)?, &whole)
                .map_or_else(|e| format!("DIFFERENT: {e:#}"), |()| "same".into()),
            false => format!("FAILED: {status}, {}", fs::read_to_string(root.join("log"))?),
        };
        different += u32::from(verdict != "same");
        println!("{kill:>3}  {verdict}  killed {}", moments.join(", then "));
        fs::remove_dir_all(root.join(&name))?;
    }
    println!(
        "{} of {kills} runs ended as the uninterrupted one, in {:.0} s",
        kills - different,
        began.elapsed().as_secs_f64()
    );
    ensure!(different == 0, "{different} did not");
    Ok(())
}

fn start(root: &Path, name: &str, resume: Option<PathBuf>) -> Result<Child> {
    let program = std::env::current_exe()?;
    let program = program.parent().and_then(Path::parent).context("no folder of programs")?.join("sdlab");
    let mut command = Command::new(program);
    match resume.filter(|folder| folder.join("config.toml").exists()) {
        Some(folder) => command.arg("--batch").arg(folder),
        None => {
            // killed before there was a run: begin again
            let _ = fs::remove_dir_all(root.join(name));
            command.arg("--batch").arg(root.join("drill.toml")).args(["--set", &format!("run.name={name}")])
        }
    };
    let log = fs::File::create(root.join("log"))?;
    command.arg("--root").arg(root).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().context("cannot start `sdlab`, build it first: cargo build --release")
}

/// Kills the trainer after a while; says what it was doing.
fn strike(child: &mut Child, root: &Path, name: &str, moment: Duration, edit: Option<Duration>) -> Result<String> {
    std::thread::sleep(edit.unwrap_or_default());
    if edit.is_some() {
        save_like_an_editor(&root.join(name).join("config.toml"))?;
    }
    std::thread::sleep(moment - edit.unwrap_or_default());
    let over = child.try_wait()?.is_some();
    child.kill()?;
    child.wait()?;
    let doing = if over { "after its end".into() } else { doing(&root.join(name)) };
    Ok(format!("at {:.2} s ({doing})", moment.as_secs_f64()))
}

/// Changes a key that takes no part in the result: written beside the file, then renamed over it.
fn save_like_an_editor(config: &Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(config) else { return Ok(()) };
    let fresh = config.with_extension("swp");
    let (from, to) = if text.contains("keep = 3") { ("keep = 3", "keep = 2") } else { ("keep = 2", "keep = 3") };
    fs::write(&fresh, text.replace(from, to))?;
    Ok(fs::rename(fresh, config)?)
}

fn doing(run: &Path) -> String {
    let records = RunFolder::open(&run.display().to_string(), Path::new(".")).and_then(|f| Source::open(&f)?.all());
    let saving = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let saving = saving.filter(|entry| entry.path().extension().is_some()).count() > 0;
    let doing = match records.unwrap_or_default().last().map(|record| record.event.clone()) {
        Some(RunEvent::Progress { step, phase, .. }) => format!("step {step}, {}", phase.name()),
        Some(RunEvent::Stepped { step, .. }) => format!("after step {step}"),
        Some(RunEvent::Evaluated { step, .. }) => format!("after panel {step}"),
        Some(RunEvent::Checkpointed { step, .. }) => format!("after checkpoint {step}"),
        Some(_) => "at its start".into(),
        None => "before its first record".into(),
    };
    if saving { format!("{doing}, writing a checkpoint") } else { doing }
}

fn compare(run: &RunFolder, whole: &RunFolder) -> Result<()> {
    for entry in fs::read_dir(whole.checkpoint(STEPS))? {
        let name = entry?.file_name();
        let read = |folder: &RunFolder| fs::read(folder.checkpoint(STEPS).join(&name));
        if name.to_string_lossy().ends_with(".safetensors") {
            ensure!(read(run)? == read(whole)?, "`{}`", name.display());
        }
    }
    for step in 1..=STEPS {
        for path in [RunFolder::rollouts, RunFolder::tokens] {
            let (a, b) = (path(run, step), path(whole, step));
            ensure!(fs::read(&a)? == fs::read(&b)?, "`{}`", a.display());
        }
    }
    let story = |folder: &RunFolder| -> Result<_> {
        let mut view = RunView::default();
        Source::open(folder)?.all()?.iter().for_each(|record| view.apply(record));
        let steps = view.steps.into_iter().map(|s| {
            let mut metrics = s.metrics.to_metrics();
            metrics.retain(|name, _| !name.starts_with("time/") && name != "tokens/per_second");
            (s.step, metrics)
        });
        let evals = view.evals.into_iter().map(|e| (e.step, e.outcomes));
        Ok((steps.collect::<Vec<_>>(), evals.collect::<Vec<_>>()))
    };
    ensure!(story(run)? == story(whole)?, "metrics or panels");
    Ok(())
}
