use std::path::Path;

use super::bank::{Bank, neutralise};
use super::prompt::{Layout, Placement, fit};
use super::retrieve::Retrieval;
use super::{SkillBook, Statistics};
use crate::core::Task;
use crate::core::event::SkillUse;

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
    retrieval.choose(bank, &task(goal), seed).into_iter().map(|chosen| chosen.id).collect()
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
        Retrieval::Keyword.choose(&bank, task, 0).into_iter().map(|chosen| chosen.reason).collect()
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
    let shown = |goal: &str| {
        SkillBook::new(bank.clone(), Retrieval::Keyword, Placement::UserSlot, Layout::Compact)
            .choose(&task(goal), 0)
            .text
    };
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

    let book = SkillBook::new(small(), Retrieval::Keyword, Placement::PrefixRaw, Layout::Compact);
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
fn statistics_grow_and_survive_a_checkpoint() {
    let book = || SkillBook::new(small(), Retrieval::Keyword, Placement::UserSlot, Layout::Compact);
    let used = |id: &str, uses, won, gap| SkillUse {
        id: id.to_owned(),
        title: String::new(),
        uses,
        won,
        gap,
        ..SkillUse::default()
    };
    let mut whole = book();
    whole.learn(&[used("g", 3, 2, Some(-0.5)), used("c", 1, 1, None)]);
    let kept = serde_json::to_string(whole.statistics()).unwrap();
    let mut resumed = book();
    resumed.restore(serde_json::from_str::<Statistics>(&kept).unwrap());
    for book in [&mut whole, &mut resumed] {
        book.learn(&[used("g", 1, 0, Some(0.1))]);
    }
    assert_eq!(resumed.statistics(), whole.statistics());
    let general = resumed.statistics()["g"];
    assert_eq!((general.uses, general.wins, general.win_rate()), (4, 2, Some(0.5)));
    assert!((general.mean_gap().unwrap() + 0.35).abs() < 1e-12);
    assert_eq!(resumed.statistics()["c"].mean_gap(), None);
    assert_eq!(resumed.statistics().len(), 2);
}
