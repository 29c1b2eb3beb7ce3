//! The saved starter run in the formats of other tools, and their files as runs.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sdlab::export::{Format, Pick, export};
use sdlab::run::view::RunView;
use sdlab::run::{RunFolder, Source, Store, foreign};
use sdlab::wiring::Imported;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn starter() -> RunFolder {
    RunFolder::open(&here("runs/starter").display().to_string(), Path::new(".")).unwrap()
}

fn exported(format: Format) -> (tempfile::TempDir, Vec<PathBuf>) {
    let out = tempfile::tempdir().unwrap();
    let files = export(&starter(), format, Pick::Newest, out.path()).unwrap();
    (out, files)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_report_holds_everything_and_runs_nothing() {
    let (_out, files) = exported(Format::Html);
    let page = text(&files[0]);
    assert!(
        page.contains("<svg") && page.contains("rgba(33,102,172") && page.contains("title=\"student"),
        "curves and tokens"
    );
    for outside in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<section>").count(), page.matches("</section>").count());
}

#[test]
fn tables_have_a_row_for_each_step_and_episode() {
    let (_out, files) = exported(Format::Csv);
    let mut view = RunView::default();
    Source::open(&starter()).unwrap().for_each(|record| view.apply(record)).unwrap();
    assert_eq!(text(&files[0]).lines().count(), view.steps.len() + 1);
    assert!(text(&files[0]).starts_with("step,at_ms,"));
    let (_out, files) = exported(Format::Json);
    let run: serde_json::Value = serde_json::from_str(&text(&files[0])).unwrap();
    assert_eq!(run["steps"].as_array().unwrap().len(), view.steps.len());
    let store = Store::new(&starter());
    let episodes: usize = store.steps().into_iter().map(|step| store.episodes(step).unwrap().len()).sum();
    assert_eq!(text(&files[1]).lines().count(), episodes);
}

#[test]
fn a_run_without_checkpoints_says_so() {
    for format in [Format::Model, Format::Adapter] {
        let out = tempfile::tempdir().unwrap();
        let error = export(&starter(), format, Pick::Best, out.path()).unwrap_err().to_string();
        assert!(error.contains("no checkpoint yet"), "{error}");
    }
}

#[test]
fn completion_tables_of_trl_are_runs() {
    let imported = Imported::open(&here("tests/fixtures/trl")).unwrap();
    let (folder, store) = (imported.folder.clone(), Store::new(&imported.folder));
    let mut view = RunView::default();
    Source::open(&folder).unwrap().for_each(|record| view.apply(record)).unwrap();
    assert_eq!((view.facts.method.as_str(), view.facts.groups, view.facts.members), ("trl", 2, 2));
    assert_eq!(view.series("reward/mean"), [(7, Some(0.9375)), (8, Some(0.5))]);
    let texts = store.episodes(7).unwrap();
    assert_eq!(texts.iter().map(|e| (e.id.group, e.id.member)).collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!((texts[0].turns[0].reply.as_str(), texts[2].advantage), ("a\u{1b}[2J", None));
    let talks = store.episodes(8).unwrap();
    assert_eq!(
        talks[0].turns.iter().map(|t| (t.observation.as_str(), t.reply.as_str())).collect::<Vec<_>>(),
        [("hi", "x"), ("r", "y")]
    );
    let root = folder.path().to_path_buf();
    drop(imported);
    assert!(!root.exists(), "the temporary run is gone");
}

#[test]
fn our_own_rollouts_are_a_table_that_trl_viewers_read() {
    let store = Store::new(&starter());
    let step = store.steps()[0];
    let own = store.episodes(step).unwrap();
    let dump = foreign::read(&starter().rollouts(step)).unwrap();
    assert_eq!((dump.tools, dump.episodes.len(), dump.skipped), (vec!["trl"], own.len(), 0));
    assert!(dump.episodes.iter().all(|e| e.id.step == step && !e.prompt.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]
    #[test]
    fn damaged_tables_never_panic(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
        let mut bytes = fs::read(here("tests/fixtures/trl/completions_00008.parquet")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if cut.index(4) == 0 {
            bytes.truncate(at);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        fs::write(&path, bytes).unwrap();
        let _ = foreign::read(&path);
    }
}
