//! Banks of other programs.
//!
//! | given | read as |
//! |---|---|
//! | a folder with `*.toml` | a bank of ours |
//! | a folder with `*.md` | SDAR's skill folders: `### TASK: name ###`, numbered items, `skill_mapping.json` |
//! | a file with `general_skills` | SkillRL's `claude_style_skills.json` |
//! | a file with `"format": "sdlab-skills"` | what `sdlab skills export` wrote |
//! | any other JSON | Skill-SD's: objects with `success_analysis`, `mistake_analysis`, `golden_workflow`, one, in a list, one a line, or by task |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::bank::{Bank, BankError, GENERAL, MISTAKES, Skill, SkillGroup};
use super::neutral::{neutralise, words};
use super::write::FORMAT;
use crate::core::skill::{Analyses, SkillCard};

/// Reads the bank at `path`, whatever it is.
///
/// # Errors
/// It cannot be read, is none of the forms above, or holds no skill.
pub fn import(path: &Path) -> Result<Bank, BankError> {
    let refusal = |message: String| BankError { file: path.display().to_string(), place: None, message };
    let groups = if path.is_dir() {
        if fs::read_dir(path).into_iter().flatten().flatten().any(|entry| ends_with(&entry.path(), "toml")) {
            return Bank::load(path);
        }
        markdown(path).map_err(refusal)?
    } else {
        let text = fs::read_to_string(path).map_err(|error| refusal(format!("cannot be read: {error}")))?;
        json(&text).map_err(refusal)?
    };
    let bank = Bank::of(tidy(groups));
    if bank.is_empty() {
        return Err(refusal(NOTHING.to_owned()));
    }
    Ok(bank)
}

fn ends_with(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

/// Any of the JSON forms.
fn json(text: &str) -> Result<Vec<SkillGroup>, String> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
            lines.collect::<Result<Vec<Value>, _>>().map(Value::Array).map_err(|_| format!("is not JSON: {error}"))?
        }
    };
    if value.get("general_skills").is_some() {
        return skillrl(&value);
    }
    if value.get("format").and_then(Value::as_str) == Some(FORMAT) {
        return ours(&value);
    }
    let mut groups = vec![];
    skill_sd(&value, "learned", &mut groups)?;
    Ok(groups)
}

fn ours(value: &Value) -> Result<Vec<SkillGroup>, String> {
    let cards = value.get("skills").cloned().ok_or("has no `skills`")?;
    let cards: Vec<SkillCard> = serde_json::from_value(cards).map_err(|error| format!("`skills`: {error}"))?;
    let mut groups: Vec<SkillGroup> = vec![];
    for card in cards {
        let skill = Skill {
            id: card.id,
            title: card.title,
            text: card.text,
            when: card.when,
            keywords: card.keywords,
            analyses: card.analyses,
            disabled: card.disabled,
            provenance: card.provenance,
        };
        push(&mut groups, &card.category, &[], skill);
    }
    Ok(groups)
}

fn skillrl(value: &Value) -> Result<Vec<SkillGroup>, String> {
    let mut groups = vec![];
    for entry in list(value, "general_skills")? {
        push(&mut groups, GENERAL, &[], principle(entry)?);
    }
    let specific = ["task_specific_skills", "query_type_skills"].iter().find_map(|key| value.get(key)?.as_object());
    for (category, _) in specific.into_iter().flatten() {
        for entry in list(&Value::Object(specific.cloned().unwrap_or_default()), category)? {
            push(&mut groups, category, &[words(category).join(" ")], principle(entry)?);
        }
    }
    for entry in value.get("common_mistakes").and_then(Value::as_array).into_iter().flatten() {
        let (description, instead) = (text(entry, "description")?, text(entry, "how_to_avoid")?);
        let skill = Skill {
            id: text(entry, "mistake_id")?,
            title: description.clone(),
            text: format!("Avoid: {description} Instead: {instead}"),
            analyses: Analyses {
                mistake_analysis: text(entry, "why_it_happens").unwrap_or_default(),
                ..Analyses::default()
            },
            ..Skill::default()
        };
        push(&mut groups, MISTAKES, &[], skill);
    }
    Ok(groups)
}

fn principle(entry: &Value) -> Result<Skill, String> {
    Ok(Skill {
        id: text(entry, "skill_id")?,
        title: text(entry, "title")?,
        text: text(entry, "principle")?,
        when: text(entry, "when_to_apply").ok(),
        ..Skill::default()
    })
}

fn list<'a>(value: &'a Value, key: &str) -> Result<Vec<&'a Value>, String> {
    let list = value.get(key).and_then(Value::as_array).ok_or_else(|| format!("`{key}` is no list"))?;
    Ok(list.iter().collect())
}

fn text(entry: &Value, key: &str) -> Result<String, String> {
    let text = entry.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| format!("an entry has no text `{key}`: {}", short(entry)))
}

fn short(value: &Value) -> String {
    neutralise(&value.to_string().chars().take(60).collect::<String>())
}

/// Skill-SD's objects wherever they stand; a key above them is their task.
fn skill_sd(value: &Value, category: &str, groups: &mut Vec<SkillGroup>) -> Result<(), String> {
    match value {
        Value::Array(entries) => entries.iter().try_for_each(|entry| skill_sd(entry, category, groups)),
        Value::Object(entry) if PARTS.iter().any(|part| entry.contains_key(*part)) => {
            let [success_analysis, mistake_analysis, golden_workflow] = PARTS.map(|part| long(entry.get(part)));
            let named = ["task_id", "task", "category", "id"].iter().find_map(|key| entry.get(*key)?.as_str());
            let category = named.unwrap_or(category).to_owned();
            let skill = Skill {
                title: format!("About: {category}"),
                analyses: Analyses { success_analysis, mistake_analysis, golden_workflow },
                ..Skill::default()
            };
            push(groups, &category, &[words(&category).join(" ")], skill);
            Ok(())
        }
        Value::Object(tasks) => tasks.iter().try_for_each(|(task, value)| skill_sd(value, task, groups)),
        other => Err(format!("holds `{}` where a skill was expected; {NOTHING}", short(other))),
    }
}

/// A text, or a list of texts as one.
fn long(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// SDAR's folder: `*.md`; of files that hold everything once more (`*_skills_nl.md`), none.
fn markdown(folder: &Path) -> Result<Vec<SkillGroup>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot be read: {error}"))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| ends_with(path, "md")).collect();
    files.sort();
    let whole = |path: &Path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_skills_nl"));
    if files.iter().any(|path| !whole(path)) {
        files.retain(|path| !whole(path));
    }
    let mapping = fs::read_to_string(folder.join("skill_mapping.json")).unwrap_or_default();
    let mapping: Map<String, Value> = serde_json::from_str(&mapping).unwrap_or_default();
    let mut groups = vec![];
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        items(&text, &stem, &mapping, &mut groups);
    }
    Ok(groups)
}

fn items(text: &str, stem: &str, mapping: &Map<String, Value>, groups: &mut Vec<SkillGroup>) {
    let mut category = stem.trim_end_matches("_skills").to_owned();
    for line in text.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix("###") {
            let heading = heading.trim_matches(['#', ' ']);
            category = match heading.strip_prefix("TASK:") {
                Some(task) => task.trim().to_owned(),
                None => words(heading).first().cloned().unwrap_or_else(|| category.clone()),
            };
            continue;
        }
        let Some((number, item)) = line.split_once(". ") else { continue };
        let Some((title, rule)) = item.split_once(": ").filter(|_| number.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        let (rule, when) = match rule.rfind("Apply this ") {
            Some(at) => (rule[..at].trim(), Some(rule[at..].to_owned())),
            None => (rule, None),
        };
        let free = category == GENERAL || category == MISTAKES;
        let keywords = if free { vec![] } else { keywords(&category, mapping) };
        let skill = Skill {
            id: format!("{}-{number}", words(&category).join("-")),
            title: title.to_owned(),
            text: rule.to_owned(),
            when,
            ..Skill::default()
        };
        push(groups, &category, &keywords, skill);
    }
}

/// The category's words, its task types, and their keywords, as the mapping says.
fn keywords(category: &str, mapping: &Map<String, Value>) -> Vec<String> {
    let table = |key: &str| mapping.get(key).and_then(Value::as_object);
    let tasks = table("task_to_skill").into_iter().flatten().filter(|(_, skill)| skill.as_str() == Some(category));
    let tasks: Vec<&String> = tasks.map(|(task, _)| task).collect();
    let given = table("task_keywords").into_iter().flatten();
    let given = given.filter(|(task, _)| tasks.contains(task) || *task == category);
    let given = given.flat_map(|(_, list)| list.as_array().into_iter().flatten().filter_map(Value::as_str));
    let all = given.chain(tasks.iter().map(|task| task.as_str())).chain([category]);
    let mut seen = BTreeSet::new();
    all.map(|keyword| words(keyword).join(" ")).filter(|keyword| seen.insert(keyword.clone())).collect()
}

fn push(groups: &mut Vec<SkillGroup>, category: &str, keywords: &[String], skill: Skill) {
    match groups.iter_mut().find(|group| group.category == category) {
        Some(group) => group.skills.push(skill),
        None => {
            let (category, keywords) = (category.to_owned(), keywords.to_vec());
            groups.push(SkillGroup { category, keywords, skills: vec![skill] });
        }
    }
}

/// Neutralises every text, gives every skill an id of its own, and drops what says nothing.
fn tidy(groups: Vec<SkillGroup>) -> Vec<SkillGroup> {
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut tidy_skill = |mut skill: Skill, category: &str| -> Option<Skill> {
        let analyses = &mut skill.analyses;
        let parts = [&mut analyses.success_analysis, &mut analyses.mistake_analysis, &mut analyses.golden_workflow];
        for text in [&mut skill.id, &mut skill.title, &mut skill.text].into_iter().chain(parts) {
            *text = neutralise(text);
        }
        skill.when = skill.when.map(|when| neutralise(&when)).filter(|when| !when.is_empty());
        if skill.text.is_empty() && skill.analyses.is_empty() {
            return None;
        }
        let stem = if skill.id.is_empty() { words(category).join("-") } else { skill.id.clone() };
        let count = ids.entry(stem.clone()).or_default();
        *count += 1;
        skill.id = if *count == 1 && !skill.id.is_empty() { stem } else { format!("{stem}-{count}") };
        if skill.title.is_empty() {
            skill.title.clone_from(&skill.id);
        }
        Some(skill)
    };
    let mut tidy_group = |group: SkillGroup| {
        let category = neutralise(&group.category);
        let free = category == GENERAL || category == MISTAKES;
        let conditioned = group.skills.iter().all(|skill| !skill.keywords.is_empty());
        let keywords = match group.keywords.is_empty() && !free && !conditioned {
            true => vec![words(&category).join(" ")],
            false => group.keywords,
        };
        let skills = group.skills.into_iter().filter_map(|skill| tidy_skill(skill, &category)).collect();
        SkillGroup { keywords, skills, category: category.clone() }
    };
    groups.into_iter().map(&mut tidy_group).filter(|group| !group.skills.is_empty()).collect()
}

const PARTS: [&str; 3] = ["success_analysis", "mistake_analysis", "golden_workflow"];
const NOTHING: &str =
    "no skills are in it: give a folder of `*.toml` or `*.md`, SkillRL's or Skill-SD's JSON, or an export";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Bank, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        import(&path).map_err(|error| error.to_string())
    }

    const SKILLRL: &str = r####"{
        "general_skills": [{"skill_id": "g1", "title": "T", "principle": "Look <|im_end|>.", "when_to_apply": "Always."}],
        "task_specific_skills": {"pick_two": [{"skill_id": "g1", "title": "U", "principle": "One by one.", "when_to_apply": ""}]},
        "common_mistakes": [{"mistake_id": "e1", "description": "Loops.", "why_it_happens": "No memory.", "how_to_avoid": "Note."}]
    }"####;

    #[test]
    fn skillrl_banks_are_read_and_written_as_ours() {
        let bank = read("s.json", SKILLRL).unwrap();
        let ids: Vec<&str> = bank.skills().map(|(_, skill)| skill.id.as_str()).collect();
        assert_eq!(ids, ["g1", "g1-2", "e1"]);
        assert_eq!(bank.skill("g1").unwrap().text, "Look < |im_end| >.");
        assert_eq!(bank.groups()[1].keywords, ["pick two"]);
        assert_eq!(bank.skill("e1").unwrap().text, "Avoid: Loops. Instead: Note.");
        let again = read("again.json", &bank.json()).unwrap();
        let texts = |bank: &Bank| bank.cards().into_iter().map(|c| (c.id, c.text, c.keywords)).collect::<Vec<_>>();
        assert_eq!(texts(&again), texts(&bank));
        let files: Vec<_> = bank.files().into_iter().collect();
        assert_eq!(Bank::parse(&files).unwrap().len(), 3, "an imported bank is a valid bank");
    }

    #[test]
    fn skill_sd_objects_are_found_wherever_they_are() {
        let one = r#"{"success_analysis": "a", "mistake_analysis": "", "golden_workflow": ["1. go", "2. take"]}"#;
        for text in [one.to_owned(), format!("[{one}]"), format!("{one}\n{one}\n"), format!("{{\"t 1\": [{one}]}}")] {
            let bank = read("s.json", &text).unwrap();
            let (_, skill) = bank.skills().next().unwrap();
            assert_eq!(skill.analyses.golden_workflow, "1. go 2. take", "{text}");
        }
        assert!(read("s.json", "{").unwrap_err().contains("is not JSON"));
        assert!(read("s.json", "[3]").unwrap_err().contains("where a skill was expected"));
        assert!(read("s.json", "[]").unwrap_err().contains("no skills are in it"));
        assert!(read("s.json", r#"{"general_skills": [{"title": "T"}]}"#).unwrap_err().contains("no text `skill_id`"));
    }

    #[test]
    fn markdown_folders_are_read_with_their_mapping() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "general_skills.md",
            "### GENERAL SKILLS ###\n\nHere:\n\n1. Look: Look around. Apply this at the start.\n",
        );
        write("two.md", "### TASK: two ###\n\n1. Count: Keep count.\n2. No colon here\n");
        write("all_skills_nl.md", "### GENERAL SKILLS ###\n1. Look: Once more.\n");
        write(
            "skill_mapping.json",
            r#"{"task_to_skill": {"pick_two_obj": "two"}, "task_keywords": {"pick_two_obj": ["put two"]}}"#,
        );
        let bank = import(folder.path()).unwrap();
        let ids: Vec<&str> = bank.skills().map(|(_, skill)| skill.id.as_str()).collect();
        assert_eq!(ids, ["general-1", "two-1"]);
        assert_eq!(bank.skill("general-1").unwrap().when.as_deref(), Some("Apply this at the start."));
        assert_eq!(bank.groups()[1].keywords, ["put two", "pick two obj", "two"]);
    }
}
