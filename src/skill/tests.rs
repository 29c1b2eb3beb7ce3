use std::path::Path;

use super::bank::Bank;
use super::neutral::neutralise;
use super::prompt::{Layout, Placement, fit};
use super::retrieve::{Arm, Query, Retrieval};
use super::stats::{Lived, Mean};
use super::{Shelf, SkillBook, Tally, Way};
use crate::core::Task;
use crate::core::skill::Happened;

const GENERAL: &str = "category = 'general'\n[[skill]]\nid = 'g'\ntitle = 'G'\ntext = 'Look around.'\n";
const MISTAKES: &str = "category = 'mistakes'\n[[skill]]\nid = 'm'\ntitle = 'M'\ntext = 'Do not stop.'\n";
const CLEAN: &str = "category = 'clean'\nkeywords = ['Clean']\n[[skill]]\nid = 'c'\ntitle = 'C'\ntext = 'Wash it.'\n";
const HEAT: &str = "category = 'heat'\nkeywords = ['heat']\n[[skill]]\nid = 'h'\ntitle = 'H'\ntext = 'Warm it.'\n";
const WHERE: &str = "category = 'where'\n\
    [[skill]]\nid = 'pen'\ntitle = 'P'\ntext = 'A pen is often on a desk.'\nkeywords = ['pen']\n\
    [[skill]]\nid = 'mug'\ntitle = 'M'\ntext = 'A mug is often in a cabinet.'\nwhen = 'When seeking it.'\nkeywords = ['mug']\n";

fn small() -> Bank {
    Bank::parse(&[("a", MISTAKES), ("b", CLEAN), ("c", GENERAL), ("d", HEAT), ("e", WHERE)]).unwrap()
}

fn household() -> Bank {
    Bank::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("skills/household")).unwrap()
}

fn task(goal: &str) -> Task {
    Task { id: "household/train/1".to_owned(), kind: "pick_and_place".to_owned(), goal: goal.to_owned() }
}

fn ids(retrieval: Retrieval, bank: &Bank, goal: &str, seed: u64) -> Vec<String> {
    let (shelf, task) = (Shelf::new(bank.clone()), task(goal));
    retrieval.choose(&shelf, &Query::new(&task, seed)).into_iter().map(|chosen| chosen.id).collect()
}

fn way(retrieval: Retrieval) -> Way {
    Way { retrieval, decay: 0.5, ..Way::default() }
}

fn refusal(text: &str) -> String {
    Bank::parse(&[("first.toml", GENERAL), ("bad.toml", text)]).unwrap_err().to_string()
}

#[test]
fn refusals_name_the_place_and_the_remedy() {
    assert_eq!(
        refusal("category = 'x'\nkeywords = ['k']\n[[skill]]\nid = 'g'\ntitle = 'T'\ntext = 'S'\n"),
        "bad.toml:4:6: the id `g` is already used in first.toml, give each skill its own"
    );
    assert_eq!(
        refusal("category = 'general'\n[[skill]]\nid = 'y'\ntitle = 'T'\ntext = \"\\n\"\n"),
        "bad.toml:5:8: `text` is empty, write one or remove the skill"
    );
    assert_eq!(
        refusal("category = 'x'\n[[skill]]\nid = 'y'\ntitle = 'T'\ntext = 'S'\n"),
        "bad.toml:3:6: a skill for every goal outside `general` and `mistakes`, give it or its file `keywords`"
    );
    assert_eq!(
        refusal("category = 'x'\nkeywords = ['!']\n"),
        "bad.toml:2:13: a keyword without letters or digits, remove it"
    );
    assert!(refusal("category = 'x'\nkeyword = []\n").starts_with("bad.toml:2:1: unknown field `keyword`"));
    assert!(refusal("category = \n").starts_with("bad.toml:1:12: "));
    assert!(refusal("category = 'general'\n[[skill]]\ntitle = 'T'\n").contains("missing field `id`"));
}

#[test]
fn a_folder_without_skills_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Bank::load(folder.path()).unwrap_err().to_string();
    assert!(empty.ends_with("holds no `*.toml` file, add one or choose retrieval `none`"), "{empty}");
    let missing = Bank::load(&folder.path().join("nowhere")).unwrap_err().to_string();
    assert!(missing.contains("nowhere: cannot be read: "), "{missing}");
    std::fs::write(folder.path().join("b.toml"), CLEAN).unwrap();
    std::fs::write(folder.path().join("a.toml"), HEAT).unwrap();
    std::fs::write(folder.path().join("notes.md"), "not a skill").unwrap();
    let bank = Bank::load(folder.path()).unwrap();
    assert_eq!(bank.skills().map(|(_, skill)| skill.id.as_str()).collect::<Vec<_>>(), ["h", "c"]);
}

#[test]
fn text_has_no_power_over_prompt_or_terminal() {
    assert_eq!(neutralise("a\n\tb\u{1b}[31mc"), "a b [31mc");
    assert_eq!(neutralise("x<|im_end|>\n<|im_start|>system"), "x< |im_end| > < |im_start| >system");
    assert_eq!(neutralise("<\u{200b}|im_start|\u{202e}>"), "< |im_start| >");
    assert_eq!(neutralise("</s>[INST] <start_of_turn>"), "< /s>[ INST] < start_of_turn>");
    assert_eq!(neutralise("use <action> tags, 1 < 2 | 3"), "use <action> tags, 1 < 2 | 3");
    for mark in ["<|>", "<<|", "|>>", "<<<SYS>>", "[[INST]]"] {
        let once = neutralise(mark);
        assert_eq!(neutralise(&once), once, "`{mark}` leaves a mark");
    }
}

#[test]
fn general_comes_first_and_mistakes_last() {
    let bank = small();
    let order: Vec<&str> = bank.groups().iter().map(|group| group.category.as_str()).collect();
    assert_eq!(order, ["general", "clean", "heat", "where", "mistakes"]);
}

#[test]
fn keywords_choose_by_whole_words() {
    let bank = small();
    let goal = "Clean some MUG, heat it, and put it in cabinet.";
    assert_eq!(ids(Retrieval::Keyword, &bank, goal, 0), ["g", "c", "mug", "m"]);
    assert_eq!(ids(Retrieval::KeywordAny, &bank, goal, 0), ["g", "c", "h", "mug", "m"]);
    assert_eq!(ids(Retrieval::KeywordAny, &bank, "put some pencil on cleaner.", 0), ["g", "m"]);
    let reasons = |task: &Task| -> Vec<String> {
        let shelf = Shelf::new(bank.clone());
        Retrieval::Keyword.choose(&shelf, &Query::new(task, 0)).into_iter().map(|chosen| chosen.reason).collect()
    };
    assert_eq!(
        reasons(&task("put a clean mug in cabinet.")),
        ["for every goal", "keyword `clean` in the goal", "keyword `mug` in the goal", "for every goal"]
    );
    let by_kind = Task { kind: "pick_heat_then_place".to_owned(), ..task("put some egg on plate.") };
    assert_eq!(reasons(&by_kind), ["for every goal", "keyword `heat` in the task type", "for every goal"]);
}

#[test]
fn the_other_choosers_ignore_the_goal() {
    let bank = small();
    assert_eq!(ids(Retrieval::Full, &bank, "", 0), ["g", "c", "h", "pen", "mug", "m"]);
    assert!(ids(Retrieval::None, &bank, "clean mug", 0).is_empty());
    assert!(ids(Retrieval::Random { n: 0 }, &bank, "", 0).is_empty());
    assert_eq!(ids(Retrieval::Random { n: 99 }, &bank, "", 3), ids(Retrieval::Full, &bank, "", 0));
    let draws: Vec<Vec<String>> = (0..40).map(|seed| ids(Retrieval::Random { n: 2 }, &bank, "", seed)).collect();
    assert_eq!(draws[7], ids(Retrieval::Random { n: 2 }, &bank, "clean mug", 7));
    for id in ids(Retrieval::Full, &bank, "", 0) {
        assert!(draws.iter().any(|draw| draw.contains(&id)), "`{id}` is never drawn");
    }
}

#[test]
fn the_household_bank_says_exactly_its_sentences() {
    let bank = household();
    let shown = |goal: &str| SkillBook::new(bank.clone(), way(Retrieval::Keyword)).choose(&task(goal), 0).text;
    let general = "Open a closed receptacle before you leave it.\n\
        Do not go back to a place you have searched.\n\
        Take the object as soon as you see it.\n\
        Put the object only into the target receptacle.\n";
    let mistake = "Do not repeat an action that changed nothing.";
    let tool = |verb: &str, tool: &str, done: &str| {
        format!("To {verb} an object, hold it and use the {tool}.\nDo not put the object down before it is {done}.\n")
    };
    let clean = tool("clean", "sinkbasin", "cleaned");
    let heat = tool("heat", "microwave", "heated");
    let cool = tool("cool", "fridge", "cooled");
    let look = "To examine an object in light, hold it and use the desklamp.\n".to_owned();
    let two = "Place the first object, then look for the second.\n".to_owned();
    let cases = [
        ("put some mug on countertop.", ""),
        ("put a clean mug in cabinet.", &clean),
        ("clean some fork and put it in drawer.", &clean),
        ("put a hot egg in fridge.", &heat),
        ("heat some mug and put it in cabinet.", &heat),
        ("put a cool tomato in microwave.", &cool),
        ("examine the book with the desklamp.", &look),
        ("look at bowl under the desklamp.", &look),
        ("find two pen and put them in drawer.", &two),
        ("put two towel in cabinet.", &two),
        ("put some towel on toilet.", ""),
    ];
    for (goal, own) in cases {
        let shown = shown(goal);
        let middle = shown.strip_prefix(&format!("{general}{own}")).and_then(|rest| rest.strip_suffix(mistake));
        let whereabouts = middle.unwrap_or_else(|| panic!("{goal}: {shown}"));
        let object = whereabouts.split(' ').nth(1).unwrap_or_default();
        assert!(whereabouts.lines().count() == 1 && whereabouts.contains(" is often "), "{goal}: {shown}");
        assert!(goal.split(' ').any(|word| word == object), "{goal}: {shown}");
    }
}

#[test]
fn placements_and_layouts() {
    assert_eq!((Placement::UserSlot.slot("A.\nB."), Placement::UserSlot.prefix("A.").as_str()), (Some("A.\nB."), ""));
    assert_eq!(Placement::PrefixRaw.slot("A."), None);
    assert_eq!(Placement::PrefixRaw.prefix("A."), "[Privileged Skill Information]\nA.\n\n");
    assert_eq!((Placement::UserSlot.slot(""), Placement::PrefixRaw.prefix("").as_str()), (None, ""));
    let bank = small();
    let mug = bank.skill("mug").unwrap();
    assert_eq!(Layout::Compact.line(mug), "A mug is often in a cabinet. When seeking it.");
    assert_eq!(Layout::Titled.line(mug), "M: A mug is often in a cabinet. When seeking it.");
}

#[test]
fn what_does_not_fit_goes_from_the_end_and_is_counted() {
    let words = |text: &str| text.split_whitespace().count();
    let fitted = |budget| fit("a b c\nd e\nf", budget, words);
    assert_eq!(fitted(6), ("a b c\nd e\nf".to_owned(), 0));
    assert_eq!(fitted(5), ("a b c\nd e".to_owned(), 1));
    assert_eq!(fitted(4), ("a b c".to_owned(), 3));
    assert_eq!(fitted(2), (String::new(), 6));
    assert_eq!(fit("", 0, words), (String::new(), 0));

    let book = SkillBook::new(small(), Way { placement: Placement::PrefixRaw, ..way(Retrieval::Keyword) });
    let mut context = book.choose(&task("put a clean cup in cabinet."), 0);
    assert_eq!(context.titles, ["G", "C", "M"]);
    context.fit(4, words);
    assert_eq!((context.text.as_str(), context.lost_tokens), ("Look around.\nWash it.", 3));
    assert_eq!((context.ids.len(), context.titles.len(), context.reasons.len()), (2, 2, 2));
    context.fit(0, words);
    assert!(context.is_empty() && context.ids.is_empty());
    assert_eq!(context.lost_tokens, 7);
}

#[test]
fn variants_of_the_keyword_rule() {
    const BOTH: &str =
        "category = 'both'\nkeywords = ['clean', 'two']\n[[skill]]\nid = 'b'\ntitle = 'B'\ntext = 'Both.'\n";
    let bank = Bank::parse(&[("a", CLEAN), ("b", BOTH), ("c", WHERE)]).unwrap();
    assert_eq!(ids(Retrieval::KeywordAll, &bank, "clean a pencil", 0), ["c"]);
    assert_eq!(ids(Retrieval::KeywordAll, &Bank::parse(&[("b", BOTH)]).unwrap(), "clean two mugs", 0), ["b"]);
    assert_eq!(ids(Retrieval::KeywordSubstring, &bank, "uncleaned pencil", 0), ["c", "b", "pen"]);
    let shelf = Shelf::new(bank);
    let task = Task { kind: "pick_clean_then_place".into(), ..task("put two pens in it") };
    let routed: Vec<String> =
        Retrieval::TaskType.choose(&shelf, &Query::new(&task, 0)).into_iter().map(|chosen| chosen.reason).collect();
    assert_eq!(routed, ["the task type `pick_clean_then_place`"], "the goal is not looked at");
}

/// Mean reward 0.4, chosen 4 times of 20, c = 1.
#[test]
fn the_bonus_of_ucb_is_the_published_one() {
    let arm = Arm { picks: 4.0, reward: 0.4 };
    assert!((arm.ucb(20, 1.0) - 1.265_409_2).abs() < 1e-7);
}

#[test]
fn ucb_tries_everything_once_then_what_serves() {
    let shelf = Shelf::new(small());
    let task = task("put a clean mug in cabinet.");
    let choose = |arms: &[Arm], asked, seed| -> Vec<(String, String)> {
        let query = Query { arms, asked, ..Query::new(&task, seed) };
        let chosen = Retrieval::Ucb { n: 1, c: 1.0 }.choose(&shelf, &query);
        chosen.into_iter().map(|chosen| (chosen.id, chosen.reason)).collect()
    };
    let firsts: std::collections::BTreeSet<String> = (0..40).map(|seed| choose(&[], 0, seed).remove(0).0).collect();
    assert_eq!(firsts, ["c", "g", "m", "mug"].map(String::from).into(), "only skills whose condition holds");
    assert_eq!(choose(&[], 0, 7), choose(&[], 0, 7));
    // g c h pen mug m
    let mut arms = [Arm { picks: 4.0, reward: 0.5 }; 6];
    arms[4].reward = 0.75;
    let expected = 0.75 + (16f64.ln() / 4.0).sqrt();
    assert_eq!(choose(&arms, 16, 0), [("mug".into(), format!("UCB {expected:.3}: mean score 0.750 over 4 choices"))]);
    arms[5] = Arm { picks: 1.0, reward: 0.5 };
    assert_eq!(choose(&arms, 16, 0)[0].0, "m", "seldom tried");
    let all = Retrieval::Ucb { n: 99, c: 1.0 }.choose(&shelf, &Query::new(&task, 0));
    assert_eq!(all.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["g", "c", "mug", "m"], "in prompt order");
}

#[test]
fn words_and_meanings_find_the_nearest() {
    let bank = small();
    assert_eq!(ids(Retrieval::Bm25 { n: 1 }, &bank, "where are the mugs", 0), ["mug"]);
    assert!(ids(Retrieval::Bm25 { n: 3 }, &bank, "xylophone", 0).is_empty());
    let (shelf, task) = (Shelf::new(bank), task("x"));
    let skills: Vec<Vec<f32>> = (0..6).map(|i| if i == 3 { vec![0.6, 0.8] } else { vec![-1.0, 0.0] }).collect();
    let query = Query { vectors: Some((&skills, &[0.0, 1.0])), ..Query::new(&task, 0) };
    let found = Retrieval::Embedding { n: 6, least: 0.5 }.choose(&shelf, &query);
    assert_eq!(
        found.iter().map(|c| (c.id.as_str(), c.reason.as_str())).collect::<Vec<_>>(),
        [("pen", "similarity 0.80")]
    );
    assert!(Retrieval::Embedding { n: 6, least: 0.5 }.choose(&shelf, &Query::new(&task, 0)).is_empty());
}

#[test]
fn disabled_skills_stay_and_are_never_retrieved() {
    let bank = Bank::parse(&[("a", GENERAL.to_owned() + "disabled = true\n")]).unwrap();
    assert_eq!((bank.len(), Shelf::new(bank.clone()).len()), (1, 0));
    assert!(ids(Retrieval::Full, &bank, "", 0).is_empty());
}

#[test]
fn a_bank_is_read_as_it_was_written() {
    const RICH: &str = "category = 'Heat it!'\nkeywords = ['heat']\n[[skill]]\nid = 'h'\ntitle = 'H \"q\"'\n\
        golden_workflow = '1. go'\nwhen = 'Now.'\nprovenance = { author = 'distiller', step = 3, score = 0.25 }\n";
    let bank = Bank::parse(&[("a", GENERAL), ("b", RICH), ("c", CLEAN), ("d", WHERE)]).unwrap();
    let files: Vec<(String, String)> = bank.files().into_iter().collect();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["clean.toml", "general.toml", "heat_it_.toml", "where.toml"]);
    let again = Bank::parse(&files).unwrap();
    let by_id = |bank: &Bank| {
        let mut cards = bank.cards();
        cards.sort_by(|a, b| a.id.cmp(&b.id));
        cards
    };
    assert_eq!(by_id(&again), by_id(&bank));
    let heat = again.skill("h").unwrap();
    assert_eq!(Layout::Compact.line(heat), "Steps: 1. go Now.");
    assert_eq!(Layout::Full.line(heat), "H \"q\": Steps: 1. go Now.");
    assert!(refusal("category = 'general'\n[[skill]]\nid = 'y'\ntitle = 'T'\n").contains("says nothing"));
}

fn lived(group: u32, skills: &[&str], won: bool) -> Lived {
    let mean = |value: f64| Mean { sum: value * 2.0, count: 2.0 };
    Lived {
        group,
        kind: "k".into(),
        skills: skills.iter().map(|id| (*id).to_owned()).collect(),
        won,
        score: f64::from(u8::from(won)),
        gap: mean(if won { 0.5 } else { -1.0 }),
        gate: mean(0.25),
        ..Lived::default()
    }
}

#[test]
fn statistics_grow_and_survive_a_checkpoint() {
    let mut whole = SkillBook::new(small(), way(Retrieval::Keyword));
    let first = whole.learn(&[lived(0, &["g", "c"], true), lived(0, &["g", "c"], false), lived(1, &["g"], false)]);
    let g = &first[1];
    assert_eq!((g.id.as_str(), g.title.as_str(), g.uses, g.won), ("g", "G", 3, 1));
    assert_eq!((g.gap, g.gap_won, g.gate), (Some(-0.5), Some(0.5), Some(0.25)));
    assert_eq!((g.total.picks, g.total.reward), (2, Some(0.25)), "a group is one retrieval");
    assert_eq!((first[0].total.other_uses, first[0].total.other_won), (1, 0));
    assert_eq!(first[0].total.uplift(), Some(0.5));
    let expected = 0.25 + (2f64.ln() / 2.0).sqrt();
    assert!((g.total.ucb.unwrap() - expected).abs() < 1e-12);

    let kept = serde_json::to_string(whole.tally()).unwrap();
    let mut resumed = SkillBook::new(small(), way(Retrieval::Keyword));
    resumed.restore(serde_json::from_str::<Tally>(&kept).unwrap(), Bank::default());
    for book in [&mut whole, &mut resumed] {
        book.learn(&[lived(0, &["g"], true)]);
    }
    assert_eq!(resumed.tally(), whole.tally());
    let general = resumed.stats_of("g");
    assert_eq!((general.uses, general.wins, general.win_rate()), (4, 2, Some(0.5)));
    assert!((general.mean_gap().unwrap() - (-0.5 * 3.0 + 0.5) / 4.0).abs() < 1e-12);
}

#[test]
fn a_skill_that_does_harm_loses_its_utility() {
    let mut book = SkillBook::new(small(), way(Retrieval::Keyword));
    let read = |won| Lived { read: true, ..lived(0, &["c"], won) };
    let plain = |won| lived(0, &[], won);
    let uses = book.learn(&[read(false), read(false), plain(true), plain(false)]);
    assert_eq!((uses[0].total.utility, uses[0].total.trials), (Some(-0.25), 1), "0.5 of a difference of -0.5");
    let ids = ["c".to_owned()];
    book.compare(&[(&ids, -1.0), (&ids, 0.0)]);
    assert_eq!(book.stats_of("c").utility, -0.375);
}

#[test]
fn news_tell_what_changed_and_why() {
    let mut book = SkillBook::new(small(), way(Retrieval::Keyword));
    assert_eq!(book.tell().len(), 6);
    assert!(book.news().is_empty());
    book.replace_bank(Bank::parse(&[("a", CLEAN.replace("Wash it", "Rinse it")), ("b", GENERAL.to_owned())]).unwrap());
    let learned = Bank::parse(&[("l", "category = 'mistakes'\n[[skill]]\nid = 'dyn-1'\ntitle = 'L'\ntext = 'New.'\n")]);
    book.replace_learned(learned.unwrap(), vec![("dyn-1".into(), Happened::Added, "three episodes said so".into())]);
    let news: Vec<(Happened, String, String)> =
        book.news().into_iter().map(|c| (c.happened, c.skill.id, c.reason)).collect();
    let hand = |happened, id: &str| (happened, id.to_owned(), "edited by hand".to_owned());
    let gone = ["h", "pen", "mug", "m"].map(|id| hand(Happened::Removed, id));
    assert_eq!(news[..4], gone);
    assert_eq!(news[4], hand(Happened::Edited, "c"));
    assert_eq!(news[5], (Happened::Added, "dyn-1".into(), "three episodes said so".into()));
    assert!(book.news().is_empty());
}
