//! One run in one row, read from its folder.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use crate::run::folder::list_runs;
use crate::run::recorder::now_ms;
use crate::run::status::{Life, life};
use crate::run::view::RunView;
use crate::run::{Heartbeat, Manifest, RunFolder, Source};

/// What a table of runs knows of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRow {
    pub name: String,
    /// `running`, `done`, `stopped`, `aborted`, `failed`, `dead` or `read`.
    pub state: &'static str,
    pub method: String,
    pub env: String,
    pub model: String,
    pub device: String,
    pub step: u64,
    pub steps: u64,
    pub started_ms: u64,
    pub last_ms: u64,
    /// Last finite value of every metric; evaluations as `eval/...`.
    pub summary: BTreeMap<String, f64>,
    /// The course of the mean reward, thinned.
    pub reward: Vec<f64>,
    /// The configuration, flat: dotted key and value as written.
    pub config: BTreeMap<String, String>,
    /// Crate version, git state: what differs between machines and builds.
    pub build: BTreeMap<String, String>,
}

impl RunRow {
    /// Reads a run; what cannot be read is left empty.
    pub fn read(folder: &RunFolder) -> Self {
        let mut view = RunView::default();
        if let Ok(mut source) = Source::open(folder) {
            // an unreadable end leaves the row as far as it was read
            drop(source.for_each(|record| view.apply(record)));
        }
        let mut row = Self::of(&view);
        row.name = folder.name();
        row.config = std::fs::read_to_string(folder.config()).map_or_else(|_| BTreeMap::new(), |text| flat(&text));
        row.build = build(folder);
        if view.finished.is_none() {
            row.state = match life(Heartbeat::read(folder).ok().flatten().as_ref(), now_ms()) {
                Life::Running => "running",
                Life::Finished => "read",
                Life::Dead(_) => "dead",
            };
        }
        row
    }

    /// What a folded run says by itself.
    pub fn of(view: &RunView) -> Self {
        use crate::core::event::Status;
        let state = match view.finished.as_ref().map(|(status, ..)| status) {
            Some(Status::Ok) => "done",
            Some(Status::Stopped) => "stopped",
            Some(Status::Aborted) => "aborted",
            Some(Status::Failed) => "failed",
            None => "read",
        };
        let rewards: Vec<f64> = view.series("reward/mean").into_iter().filter_map(|(_, value)| value).collect();
        let facts = &view.facts;
        Self {
            name: facts.run.clone(),
            state,
            method: facts.method.clone(),
            env: facts.env.clone(),
            model: facts.model.clone(),
            device: facts.device.clone(),
            step: view.last_step(),
            steps: facts.steps,
            started_ms: view.started_ms,
            last_ms: view.last_ms,
            summary: summary(view),
            reward: rewards.chunks(rewards.len().div_ceil(COURSE).max(1)).map(mean).collect(),
            config: BTreeMap::new(),
            build: BTreeMap::new(),
        }
    }

    /// Every key a query can name: facts, columns, keys of the configuration and metrics, in full.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let columns = COLUMNS.iter().map(|(name, _)| *name);
        let own = self.config.keys().chain(self.summary.keys()).map(String::as_str);
        FACTS.iter().copied().chain(columns).chain(own)
    }

    /// What a column of the table shows: the last value of its metric.
    pub fn column(&self, name: &str) -> Option<f64> {
        let (_, metric) = COLUMNS.iter().find(|(known, _)| *known == name)?;
        self.summary.get(*metric).copied()
    }

    /// The value of a key: a fact, a column, a key of the configuration or a metric, in full or by its last part.
    pub fn value(&self, key: &str) -> Option<String> {
        let fact = match key {
            "name" | "run" | "id" => Some(self.name.clone()),
            "state" => Some(self.state.to_owned()),
            "method" => Some(self.method.clone()),
            "env" => Some(self.env.clone()),
            "model" => Some(self.model.clone()),
            "device" => Some(self.device.clone()),
            "step" | "steps" => Some(self.step.to_string()),
            _ => None,
        };
        if COLUMNS.iter().any(|(name, _)| *name == key) {
            return self.column(key).map(|value| value.to_string());
        }
        let ends = |name: &str| name.rsplit(['.', '/']).next() == Some(key) || name.split('/').next() == Some(key);
        let config =
            || self.config.get(key).or_else(|| Some(self.config.iter().find(|(name, _)| ends(name))?.1)).cloned();
        let metric = || self.summary.get(key).or_else(|| Some(self.summary.iter().find(|(name, _)| ends(name))?.1));
        fact.or_else(config).or_else(|| metric().map(f64::to_string))
    }

    /// The configuration without what may differ between runs one averages over: seed, name, place.
    pub fn recipe(&self) -> BTreeMap<&str, &str> {
        let own = |key: &str| key.starts_with("run.") || key.ends_with(".seed") || key == "seed";
        self.config.iter().filter(|(key, _)| !own(key)).map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
}

/// Rows of all runs in a folder, read on a thread of its own and only when they changed.
#[derive(Debug)]
pub struct Listing {
    rows: Receiver<RunRow>,
    /// Dropped with the listing, which ends the thread.
    _alive: Sender<()>,
}

impl Listing {
    /// Begins to read the runs below `root`, and goes on looking for changes.
    pub fn start(root: &Path) -> Self {
        let (send, rows) = channel();
        let (alive, gone) = channel::<()>();
        let root = root.to_path_buf();
        // without a thread there are no rows, and the table says that there is nothing
        drop(std::thread::Builder::new().name("runs".into()).spawn(move || {
            let mut known: HashMap<PathBuf, (u64, Option<SystemTime>)> = HashMap::new();
            loop {
                for name in list_runs(&root) {
                    let Ok(folder) = RunFolder::open(&name, &root) else { continue };
                    let meta = std::fs::metadata(folder.events()).ok();
                    let stamp = (meta.as_ref().map_or(0, |m| m.len()), meta.and_then(|m| m.modified().ok()));
                    let old = known.insert(folder.path().to_path_buf(), stamp);
                    if old != Some(stamp) && send.send(RunRow::read(&folder)).is_err() {
                        return;
                    }
                }
                if !matches!(gone.recv_timeout(EVERY), Err(std::sync::mpsc::RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        }));
        Self { rows, _alive: alive }
    }

    /// Rows that are new or changed since the last call.
    pub fn changed(&self) -> Vec<RunRow> {
        self.rows.try_iter().collect()
    }
}

fn summary(view: &RunView) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    for step in &view.steps {
        for (name, value) in step.metrics.iter() {
            if let Some(value) = value {
                out.insert(name.to_owned(), value);
            }
        }
    }
    for eval in view.evals.iter().filter(|e| !e.with_skills) {
        for (name, value) in &eval.metrics {
            if let Some(value) = value {
                out.insert(format!("eval/{name}"), *value);
            }
        }
    }
    out
}

fn build(folder: &RunFolder) -> BTreeMap<String, String> {
    let Ok(manifest) = Manifest::read(folder) else { return BTreeMap::new() };
    let git = manifest.git.as_ref().map_or("none".into(), |git| format!("{git:?}"));
    let seeds = manifest.seeds.iter().map(|(name, seed)| format!("{name} {seed}")).collect::<Vec<_>>().join(", ");
    let model =
        manifest.files.iter().filter(|(part, _)| part.starts_with("model")).map(|(_, hash)| format!("{hash:?}"));
    let model = crate::run::manifest::sha256_hex(model.collect::<String>().as_bytes());
    [
        ("version", manifest.version),
        ("git", git),
        ("device", manifest.device),
        ("seeds", seeds),
        ("dependencies", manifest.lock_sha256.chars().take(12).collect()),
        ("model files", model.chars().take(12).collect()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn flat(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        flatten("", &toml::Value::Table(table), &mut out);
    }
    out
}

fn flatten(path: &str, value: &toml::Value, out: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                flatten(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, out);
            }
        }
        toml::Value::String(text) => drop(out.insert(path.to_owned(), text.clone())),
        value => drop(out.insert(path.to_owned(), value.to_string())),
    }
}

fn mean(part: &[f64]) -> f64 {
    part.iter().sum::<f64>() / part.len().max(1) as f64
}

/// Facts of a run by the names a query has for them.
pub const FACTS: [&str; 10] = ["name", "run", "id", "state", "method", "env", "model", "device", "step", "steps"];
/// Columns of the table of runs and the metrics they show.
pub const COLUMNS: [(&str, &str); 3] =
    [("reward", "reward/mean"), ("success", "success/mean"), ("eval", "eval/success")];
/// Values kept of a course.
const COURSE: usize = 64;
/// How often the folder is looked at again.
const EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn row(name: &str, config: &str, summary: &[(&str, f64)]) -> RunRow {
        RunRow {
            name: name.into(),
            method: "sdar".into(),
            env: "household".into(),
            state: "done",
            config: flat(config),
            summary: summary.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            ..RunRow::default()
        }
    }

    #[test]
    fn values_are_found_by_their_last_part() {
        let row = row("a", "[optim]\nlr = 1e-5\n[run]\nseed = 3\n", &[("reward/mean", 0.5)]);
        let found = |key: &str| row.value(key);
        assert_eq!(found("optim.lr"), found("lr"));
        assert_eq!(found("lr").and_then(|v| v.parse().ok()), Some(1e-5));
        assert_eq!((found("reward"), found("method")), (Some("0.5".into()), Some("sdar".into())));
        assert_eq!((found("success"), found("eval")), (None, None), "columns are what they show, or nothing");
        assert_eq!(row.recipe().keys().copied().collect::<Vec<_>>(), ["optim.lr"]);
    }

    #[test]
    fn a_listing_tells_each_run_once() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            let folder = RunFolder::create(root.path(), name).unwrap();
            std::fs::write(folder.config(), "").unwrap();
        }
        let listing = Listing::start(root.path());
        let next = || listing.rows.recv_timeout(Duration::from_secs(60)).unwrap().name;
        let mut names: Vec<String> = (0..2).map(|_| next()).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}
