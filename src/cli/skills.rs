//! `sdlab skills`: looks at banks, brings them in and out, and says what a run made of them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::show::{print, unknown};
use super::{Options, Usage};
use crate::config;
use crate::core::exit::Exit;
use crate::core::skill::SkillCard;
use crate::run::view::RunView;
use crate::run::{Absorption, RunFolder, Source, atomic_write};
use crate::skill::import::import;
use crate::skill::{Bank, Skill, file};

/// What to do with skills.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// One line each
    List {
        #[command(flatten)]
        of: Which,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Everything about one; of a run, with its history
    Show {
        name: String,
        #[command(flatten)]
        of: Which,
    },
    /// Write another program's bank as skill files: SkillRL's or Skill-SD's JSON, SDAR's Markdown folder, an export
    Import {
        /// File or folder to read
        from: PathBuf,
        /// New folder of skill files
        to: PathBuf,
    },
    /// Write a bank as JSON, or (where the name does not end with `.json`) as a folder of skill files
    Export {
        to: PathBuf,
        #[command(flatten)]
        of: Which,
    },
    /// Keep a skill from being retrieved (in a run that is going on: from its next step)
    Disable {
        name: String,
        /// Let it be retrieved again
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        of: Which,
    },
    /// Which skills a run has absorbed: success with and without them, and the gap on their tokens then and now
    Report {
        run: String,
        /// Up to this step
        #[arg(long, value_name = "N")]
        step: Option<u64>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// Which bank is meant; by default the recipe's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Which {
    /// Folder of skill files
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    bank: Option<PathBuf>,
    /// The bank of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// With `--run`: as it was at this step
    #[arg(long, value_name = "N", requires = "run")]
    step: Option<u64>,
}

pub(super) fn skills(verb: &Verb, options: &Options) -> Result<Exit> {
    match verb {
        Verb::List { of, json } => {
            let cards = cards(of, options)?;
            if *json { print(&(serde_json::to_string_pretty(&cards)? + "\n")) } else { print(&list(&cards)) }
        }
        Verb::Show { name, of } => show(name, of, options),
        Verb::Import { from, to } => bring_in(from, to),
        Verb::Export { to, of } => {
            let cards = cards(of, options)?;
            write_bank(&bank_of(&cards), to)
        }
        Verb::Disable { name, undo, of } => disable(name, !undo, of, options),
        Verb::Report { run, step, json } => report(&options.open(run)?, *step, *json),
    }
}

fn list(cards: &[SkillCard]) -> String {
    let line = |card: &SkillCard| {
        let off = if card.disabled { " (disabled)" } else { "" };
        format!("{:<24} {:<10} {:<9} {}{off}\n", card.id, card.category, card.provenance.author.name(), card.title)
    };
    cards.iter().map(line).collect()
}

/// The skills that are meant, disabled ones included.
fn cards(of: &Which, options: &Options) -> Result<Vec<SkillCard>> {
    Ok(match &of.run {
        Some(run) => {
            let folder = options.open(run)?;
            let view = view(&folder)?;
            view.bank.at(reached(&folder, &view, of.step)?).into_iter().cloned().collect()
        }
        None => Bank::open(&folder(of, options)?)?.cards(),
    })
}

/// The step up to which a run is meant.
///
/// # Errors
/// It has not come that far.
fn reached(folder: &RunFolder, view: &RunView, step: Option<u64>) -> Result<u64> {
    let last = view.last_step().max(view.resumed_steps);
    match step {
        Some(step) if step > last => {
            Err(Usage(format!("the run `{}` has no step {step} yet, its last is {last}", folder.name())).into())
        }
        step => Ok(step.unwrap_or(u64::MAX)),
    }
}

fn folder(of: &Which, options: &Options) -> Result<String> {
    Ok(match &of.bank {
        Some(folder) => folder.display().to_string(),
        None => config::load(None, &options.overrides())?.skills.bank,
    })
}

fn view(folder: &RunFolder) -> Result<RunView> {
    let mut view = RunView::default();
    Source::open(folder)?.for_each(|record| view.apply(record))?;
    Ok(view)
}

fn show(name: &str, of: &Which, options: &Options) -> Result<Exit> {
    let cards = cards(of, options)?;
    let card = cards.iter().find(|card| card.id == name);
    let past = match &of.run {
        Some(run) => history(&view(&options.open(run)?)?, name, of.step.unwrap_or(u64::MAX)),
        None => String::new(),
    };
    match card {
        Some(card) => print(&(page(card) + &past)),
        None if !past.is_empty() => print(&format!("{name}: not in the bank\n{past}")),
        None => {
            let known: Vec<&str> = cards.iter().map(|card| card.id.as_str()).collect();
            Err(unknown("skill", name, &known).into())
        }
    }
}

fn page(card: &SkillCard) -> String {
    let condition = match card.keywords.is_empty() {
        true => "any goal".to_owned(),
        false => format!("goals with {}", card.keywords.join(", ")),
    };
    let mut page = format!("{}: {}\ncategory: {}, for {condition}\n", card.id, card.title, card.category);
    if card.disabled {
        page.push_str("disabled\n");
    }
    if let Some(when) = &card.when {
        let _ = writeln!(page, "when: {when}");
    }
    let from = &card.provenance;
    if let Some(task) = &from.task {
        let score = from.score.map_or(String::new(), |score| format!(", score {score:.2}"));
        let author = from.author.name();
        let _ = writeln!(page, "by the {author} from {task}{score}, read from step {} on", from.step);
    }
    let _ = writeln!(page, "\n{}", card.text);
    for (part, text) in card.analyses.parts().iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(page, "{part}: {text}");
    }
    page
}

/// What happened to a skill, and its last numbers.
fn history(view: &RunView, name: &str, step: u64) -> String {
    let mut text = String::new();
    for (at, change) in view.bank.changes(step).filter(|(_, change)| change.skill.id == name) {
        let happened = format!("{:?}", change.happened).to_lowercase();
        let _ = writeln!(text, "step {at}: {happened}, {}", change.reason);
    }
    if let Some((at, used)) = view.skill_uses(step).get(name) {
        let total = &used.total;
        let numbers = [
            ("gap", total.gap),
            ("gap of won", total.gap_won),
            ("gate", total.gate),
            ("UCB", total.ucb),
            ("uplift", total.uplift()),
            ("utility", total.utility),
        ];
        let numbers = numbers.iter().filter_map(|(name, n)| Some(format!("{name} {:+.3}", (*n)?)));
        let numbers = numbers.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "until step {at}: {} uses, {} won; {numbers}", total.uses, total.won);
    }
    text
}

fn bank_of(cards: &[SkillCard]) -> Bank {
    let mut bank = Bank::default();
    for card in cards {
        let skill = Skill {
            id: card.id.clone(),
            title: card.title.clone(),
            text: card.text.clone(),
            when: card.when.clone(),
            keywords: card.keywords.clone(),
            analyses: card.analyses.clone(),
            disabled: card.disabled,
            provenance: card.provenance.clone(),
        };
        bank.add(&card.category, skill);
    }
    bank
}

fn bring_in(from: &Path, to: &Path) -> Result<Exit> {
    let bank = import(from)?;
    write_bank(&bank, to)
}

/// As JSON or as a new folder, by its name. Says what was written.
fn write_bank(bank: &Bank, to: &Path) -> Result<Exit> {
    if to.extension().is_some_and(|ending| ending == "json") {
        atomic_write(to, bank.json().as_bytes())?;
        return print(&format!("{} skills in {}\n", bank.len(), to.display()));
    }
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("`{}` is not empty, name a new folder or a file that ends with `.json`", to.display());
        return Err(Usage(message).into());
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut said = String::new();
    for (name, text) in bank.files() {
        atomic_write(&to.join(&name), text.as_bytes())?;
        let _ = writeln!(said, "{}", to.join(name).display());
    }
    print(&said)
}

/// Sets or removes `disabled` of a skill in its file; everything else of the file stays as it is.
fn disable(name: &str, off: bool, of: &Which, options: &Options) -> Result<Exit> {
    let folder = match &of.run {
        Some(run) => learned(name, &options.open(run)?)?,
        None => PathBuf::from(folder(of, options)?),
    };
    refuse_unknown(name, &file::ids(&folder)?)?;
    let path = file::switch(&folder, name, off)?;
    let done = if off { "disabled" } else { "enabled" };
    print(&format!("{name} is {done} in {}\n", path.display()))
}

/// The folder of what a run learned, which holds the skill `name`.
///
/// # Errors
/// It does not: the skill is one of the recipe's own bank, which other runs read, too, or there is none of that name.
fn learned(name: &str, run: &RunFolder) -> Result<PathBuf> {
    let own = run.skills();
    // it appears with the first skill
    let mut known = if own.is_dir() { file::ids(&own)? } else { vec![] };
    let bank = PathBuf::from(config::load_run(&run.config())?.skills.bank);
    if known.iter().any(|id| id == name) || bank.as_os_str().is_empty() {
        return refuse_unknown(name, &known).map(|()| own);
    }
    if let Ok(path) = file::file_of(&bank, name) {
        let (file, bank) = (path.display(), bank.display());
        let message = format!(
            "`{name}` is not of the run's own skills but of the bank that its recipe names, which other runs read, too: \
             edit `{file}`, or `sdlab skills disable {name} --bank {bank}`"
        );
        return Err(Usage(message).into());
    }
    known.extend(file::ids(&bank).unwrap_or_default());
    refuse_unknown(name, &known).map(|()| own)
}

fn refuse_unknown(name: &str, known: &[String]) -> Result<()> {
    if known.iter().any(|id| id == name) {
        return Ok(());
    }
    Err(unknown("skill", name, &known.iter().map(String::as_str).collect::<Vec<_>>()).into())
}

/// `sdlab skills report RUN`.
fn report(folder: &RunFolder, step: Option<u64>, json: bool) -> Result<Exit> {
    let view = view(folder)?;
    let report = Absorption::of(&view, reached(folder, &view, step)?);
    if json {
        return print(&(serde_json::to_string_pretty(&report)? + "\n"));
    }
    print(&table(&report))
}

fn table(report: &Absorption) -> String {
    let percent = |share: Option<f64>| share.map_or("     -".into(), |s| format!("{:5.1}%", 100.0 * s));
    let points = |share: Option<f64>| share.map_or("      -".into(), |s| format!("{:+7.1}", 100.0 * s));
    let mut out = String::from("success on the panel\n  step    plain   with skills   uplift\n");
    for row in &report.panels {
        let (plain, with, uplift) = (percent(row.plain), percent(row.with_skills), points(row.uplift()));
        let _ = writeln!(out, "{:>6}   {plain}        {with}  {uplift}", row.step);
        for (kind, (plain, with)) in &row.kinds {
            let uplift = plain.zip(*with).map(|(plain, with)| with - plain);
            let _ = writeln!(out, "         {}        {}  {}  {kind}", percent(*plain), percent(*with), points(uplift));
        }
    }
    let number = |n: Option<f64>| n.map_or("      -".into(), |n| format!("{n:+7.3}"));
    out.push_str("\nskills (gap = teacher - student log-prob on the tokens a skill conditioned)\n");
    out.push_str("  uses  gap before   after   of won   after   absorbed  utility  skill\n");
    for row in &report.skills {
        let gone = if row.in_bank { "" } else { " (gone)" };
        let _ = writeln!(
            out,
            "{:>6}     {} {}  {} {}   {:>7}  {}  {} {}{gone}",
            row.uses,
            number(row.gap_before),
            number(row.gap_after),
            number(row.won_before),
            number(row.won_after),
            percent(row.absorbed),
            number(row.utility),
            row.id,
            row.title,
        );
    }
    out
}

/// The default of `sdlab skills`.
pub(super) fn by_default() -> Verb {
    Verb::List { of: Which::default(), json: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_is_disabled_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let text = "# mine\ncategory = \"general\"\n\n[[skill]]\nid = \"a\"  # one\ntitle = \"T\"\ntext = \"x\"\n";
        fs::write(&path, text).unwrap();
        let of = Which { bank: Some(folder.path().to_owned()), ..Which::default() };
        disable("a", true, &of, &Options::default()).unwrap();
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.starts_with("# mine\n") && now.contains("# one") && now.contains("disabled = true"), "{now}");
        assert!(Bank::load(folder.path()).unwrap().skill("a").unwrap().disabled);
        disable("a", false, &of, &Options::default()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let error = disable("b", true, &of, &Options::default()).unwrap_err().to_string();
        assert!(error.contains("no skill is called `b`"), "{error}");
    }
}
