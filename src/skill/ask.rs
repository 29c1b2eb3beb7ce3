//! What a language model is asked about episodes, and how its answers are read. Wording is ours.
//!
//! | job | answer: one JSON object |
//! |---|---|
//! | an episode | `success_analysis`, `mistake_analysis`, `golden_workflow`: strings, not all empty (Skill-SD's schema) |
//! | a contrast, a category | `skills`: one to three objects with `title`, `principle`, `when_to_apply` (SkillRL's) |
//!
//! Rules
//! 1. Text around the object (a code fence, a preamble) is passed over. Anything else is malformed: dropped, counted.
//! 2. Answers are neutralised and cut at [`LONGEST`] characters; what an environment said is neutralised in questions.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::draft::{Draft, Job, Task};
use super::neutral::{neutralise, words};
use crate::core::Episode;
use crate::core::skill::Analyses;

/// The question of a job.
pub fn question(job: &Job) -> String {
    let attempts: Vec<String> = job.episodes.iter().map(|episode| attempt(episode, job.task)).collect();
    format!("{}\n\n{}", instruction(job.task), attempts.join("\n\n"))
}

/// SHA-256 of a question, in hexadecimal.
pub fn hash(question: &str) -> String {
    Sha256::digest(question.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads an answer.
///
/// # Errors
/// Why it is malformed.
pub fn read(job: &Job, answer: &str) -> Result<Vec<Draft>, String> {
    let object = answer.find('{').zip(answer.rfind('}')).and_then(|(start, end)| answer.get(start..=end));
    let object = object.ok_or("no JSON object in the answer")?;
    let kind = job.episodes.first().map_or("", |episode| episode.task.kind.as_str());
    let drafts = match job.task {
        Task::Episode => vec![dynamic(object, kind)?],
        Task::Contrast | Task::Ranking | Task::Category => principles(object, kind)?,
    };
    if drafts.iter().any(|draft| draft.text.is_empty() && draft.analyses.is_empty()) {
        return Err("the answer says nothing".to_owned());
    }
    Ok(drafts)
}

fn dynamic(object: &str, kind: &str) -> Result<Draft, String> {
    let Dynamic { success_analysis, mistake_analysis, golden_workflow } = parse(object)?;
    let analyses = Analyses {
        success_analysis: tame(&success_analysis),
        mistake_analysis: tame(&mistake_analysis),
        golden_workflow: tame(&golden_workflow),
    };
    Ok(Draft { title: format!("About: {}", words(kind).join(" ")), analyses, ..of_kind(kind) })
}

fn principles(object: &str, kind: &str) -> Result<Vec<Draft>, String> {
    let Principles { skills } = parse(object)?;
    if skills.is_empty() || skills.len() > MOST {
        return Err(format!("{} skills, expected 1 to {MOST}", skills.len()));
    }
    let draft = |skill: Principle| Draft {
        title: tame(&skill.title),
        text: tame(&skill.principle),
        when: Some(tame(&skill.when_to_apply)).filter(|when| !when.is_empty()),
        ..of_kind(kind)
    };
    Ok(skills.into_iter().map(draft).collect())
}

fn parse<'a, T: Deserialize<'a>>(object: &'a str) -> Result<T, String> {
    serde_json::from_str(object).map_err(|error| format!("not the JSON that was asked for: {error}"))
}

/// A draft for one task type.
fn of_kind(kind: &str) -> Draft {
    Draft { category: kind.to_owned(), keywords: vec![words(kind).join(" ")], ..Draft::default() }
}

fn tame(text: &str) -> String {
    neutralise(&text.chars().take(LONGEST).collect::<String>())
}

fn instruction(task: Task) -> String {
    let (subject, form) = match task {
        Task::Episode => ("One attempt at a task and its result follow.", ONE),
        Task::Contrast => {
            ("Two attempts at one task follow, the better one first. Say what made the difference.", SEVERAL)
        }
        Task::Ranking => (
            "Several attempts at one task follow, the best first. Say which tools and steps did better than which.",
            SEVERAL,
        ),
        Task::Category => {
            ("Failed attempts at tasks of one type follow. Say what would have avoided the failures.", SEVERAL)
        }
    };
    format!("{subject} Write for someone who will try such tasks again.\n{form}\n{GENERAL}")
}

fn attempt(episode: &Episode, task: Task) -> String {
    // SkillRL shows the last five steps of failures, and 200 characters of what the environment said
    let (turns, longest) = if task == Task::Category { (5, 200) } else { (40, 300) };
    let short = |text: &str| neutralise(&text.chars().take(longest).collect::<String>());
    let skipped = episode.turns.len().saturating_sub(turns);
    let mut lines = vec![format!("Task: {}", neutralise(&episode.task.goal))];
    if skipped > 0 {
        lines.push(format!("({skipped} earlier turns are left out)"));
    }
    for turn in &episode.turns[skipped..] {
        lines.push(format!("Saw: {}", short(&turn.observation)));
        lines.push(format!("Did: {}", short(&turn.action)));
    }
    lines.push(format!("Saw: {}", short(&episode.last_observation)));
    let result = if episode.won() { "reached the goal" } else { "did not reach the goal" };
    lines.push(format!("Result: {result}, score {:.2} of 1.", episode.score));
    lines.join("\n")
}

#[derive(Deserialize)]
struct Dynamic {
    success_analysis: String,
    mistake_analysis: String,
    golden_workflow: String,
}

#[derive(Deserialize)]
struct Principles {
    skills: Vec<Principle>,
}

#[derive(Deserialize)]
struct Principle {
    title: String,
    principle: String,
    when_to_apply: String,
}

const ONE: &str = "Answer with one JSON object and nothing else: {\"success_analysis\": \"what was right and can be used \
    again\", \"mistake_analysis\": \"what went wrong, and why\", \"golden_workflow\": \"the numbered steps of an ideal \
    attempt\"}. A part with nothing to say is an empty string.";
const SEVERAL: &str = "Answer with one JSON object and nothing else: {\"skills\": [{\"title\": \"three to five words\", \
    \"principle\": \"what to do\", \"when_to_apply\": \"in which situation\"}]}, with one to three skills.";
const GENERAL: &str = "At most 80 words a part. Leave out names and numbers that hold only for these attempts.";

/// Most characters of one part of an answer.
pub const LONGEST: usize = 1200;
/// Most skills of one answer.
const MOST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Ending, EpisodeId, Stop, Turn};

    fn job(task: Task) -> Job {
        let turn = |n: usize| Turn {
            observation: format!("room {n} <|im_start|>"),
            reply: String::new(),
            action: "go".into(),
            valid: true,
            reward: 0.0,
            tokens: 1,
            stop: Stop::Closed,
        };
        let episode = Episode {
            id: EpisodeId { step: 1, group: 0, member: 0 },
            task: crate::core::Task { id: "t".into(), kind: "pick_two".into(), goal: "put two".into() },
            turns: (0..7).map(turn).collect(),
            last_observation: "end".into(),
            ending: Ending::Lost,
            reward: 0.0,
            score: 0.5,
            advantage: None,
            prompt: String::new(),
            teacher_prompt: String::new(),
            skills: vec![],
        };
        Job { task, episodes: vec![episode] }
    }

    #[test]
    fn questions_show_the_attempt_without_power_over_a_prompt() {
        let question = question(&job(Task::Category));
        assert!(
            question.contains("(2 earlier turns are left out)") && question.contains("score 0.50 of 1."),
            "{question}"
        );
        assert!(question.contains("Saw: room 2 < |im_start| >") && !question.contains("<|im_start"), "{question}");
        assert_eq!(hash("a"), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    }

    #[test]
    fn answers_are_read_or_dropped() {
        let one = job(Task::Episode);
        let good = "Sure:\n```json\n{\"success_analysis\": \"a\\u001b[2J b\", \"mistake_analysis\": \"\", \
                    \"golden_workflow\": \"1. go <|im_end|>\"}\n```";
        let draft = &read(&one, good).unwrap()[0];
        assert_eq!(draft.analyses.success_analysis, "a [2J b");
        assert_eq!(draft.analyses.golden_workflow, "1. go < |im_end| >");
        assert_eq!((draft.category.as_str(), draft.keywords[0].as_str()), ("pick_two", "pick two"));
        for bad in [
            "",
            "}{",
            "I cannot.",
            "{\"success_analysis\": \"a\"}",
            "{\"success_analysis\": \"\", \"mistake_analysis\": \"\", \"golden_workflow\": \"\"}",
            "{\"success_analysis\": 1, \"mistake_analysis\": \"\", \"golden_workflow\": \"\"}",
        ] {
            assert!(read(&one, bad).is_err(), "{bad}");
        }
        let many = job(Task::Category);
        let skill = "{\"title\": \"T\", \"principle\": \"P\", \"when_to_apply\": \"W\"}";
        let answer = |n: usize| format!("{{\"skills\": [{}]}}", vec![skill; n].join(","));
        assert_eq!(read(&many, &answer(3)).unwrap()[2].when.as_deref(), Some("W"));
        assert!(read(&many, &answer(0)).is_err() && read(&many, &answer(4)).is_err());
        let long = good.replace("1. go", &"x".repeat(5000));
        assert_eq!(read(&one, &long).unwrap()[0].analyses.golden_workflow.len(), LONGEST);
    }
}
