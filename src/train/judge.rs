//! The judge: who says what a turn did for the outcome, or what went wrong at which turn. The policy itself, a model
//! behind an OpenAI-compatible endpoint, or, for tests, the environment's expert. Wording is ours.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rollout::Played;
use super::{Trainer, oracle};
use crate::config::{JudgeBy, JudgeSettings};
use crate::core::{Episode, Role, rng};
use crate::engine::{SampleRequest, Sampler, sample_all};
use crate::method::needs::Verdict;
use crate::text::Message;

/// What was said of one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnVerdict {
    /// Number of the turn, from 0.
    pub turn: u32,
    pub role: Option<Role>,
    /// What should have been done; given to the teacher at that turn.
    pub feedback: Option<String>,
}

/// How many episodes were judged, and how many answers could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub episodes: usize,
    pub unread: usize,
}

/// Lets the judge see every episode the method wants judged, and notes what it says.
pub fn ask(trainer: &mut Trainer, step: u64, played: &mut [Played]) -> Result<Asked> {
    let Some(wanted) = trainer.needs().judge else { return Ok(Asked::default()) };
    let of = |p: &Played| matches!(wanted, Verdict::Roles) || !p.episode.won();
    let asked: Vec<usize> = (0..played.len()).filter(|&i| of(&played[i])).collect();
    let settings = trainer.settings.judge.clone();
    if settings.by == JudgeBy::Oracle {
        for &i in &asked {
            played[i].verdicts = oracle::judge(&*trainer.world, &played[i].episode, wanted)?;
        }
        return Ok(Asked { episodes: asked.len(), unread: 0 });
    }
    let questions: Vec<String> = asked.iter().map(|&i| question(&played[i].episode, wanted)).collect();
    let answers = match settings.by {
        JudgeBy::Endpoint => answers(&questions, |question| patient(&settings, question))?,
        _ => own(trainer, step, &questions, &settings)?,
    };
    let mut unread = 0;
    for (&i, answer) in asked.iter().zip(&answers) {
        match read(answer, wanted, played[i].episode.turns.len()) {
            Some(verdicts) => played[i].verdicts = verdicts,
            None => unread += 1,
        }
    }
    Ok(Asked { episodes: asked.len(), unread })
}

/// The policy answers by itself.
fn own(trainer: &mut Trainer, step: u64, questions: &[String], settings: &JudgeSettings) -> Result<Vec<String>> {
    let room = trainer.engine.info().context;
    let limit = (settings.max_tokens as usize).min(room / 2).max(1);
    let mut requests = Vec::with_capacity(questions.len());
    for (slot, question) in questions.iter().enumerate() {
        let mut context = trainer.text.open(&[Message::user(question)])?;
        // the end of a transcript says more than its start
        let most = room.saturating_sub(limit + 1);
        context.drain(..context.len().saturating_sub(most));
        let seed = rng::seed(trainer.settings.seed, "judge", &[step, slot as u64]);
        requests.push(SampleRequest { slot, context, limit, seed });
    }
    let stops = trainer.text.closing(&[]);
    let sampler = Sampler::new(trainer.settings.sampling.temperature, &stops);
    let samples = sample_all(&mut *trainer.engine, &sampler, requests)?;
    samples.iter().map(|sample| trainer.text.decode(&sample.ids)).collect()
}

/// What the endpoint says, asked again where it fails.
fn patient(settings: &JudgeSettings, question: &str) -> Result<String> {
    for pause in PAUSES {
        if let Ok(answer) = remote(settings, question) {
            return Ok(answer);
        }
        thread::sleep(pause);
    }
    remote(settings, question)
}

/// All answers. An episode without one is not judged; a judge that fails two episodes in a row, or the only one, is not
/// there.
fn answers(questions: &[String], ask: impl Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let (mut found, mut failed) = (Vec::with_capacity(questions.len()), questions.len() == 1);
    for question in questions {
        match ask(question) {
            Ok(answer) => {
                found.push(answer);
                failed = false;
            }
            Err(error) if failed => return Err(error),
            Err(_) => {
                found.push(String::new());
                failed = true;
            }
        }
    }
    Ok(found)
}

/// Between attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// A model behind an endpoint answers.
fn remote(settings: &JudgeSettings, question: &str) -> Result<String> {
    let url = format!("{}/chat/completions", settings.url.trim_end_matches('/'));
    let body = json!({
        "model": settings.model, "max_tokens": settings.max_tokens, "temperature": 0,
        "messages": [{ "role": "user", "content": question }],
    });
    let timeout = Some(Duration::from_secs_f64(settings.timeout));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(timeout).build().into();
    let ask = || -> Result<String, ureq::Error> {
        let request = agent.post(&url).header("content-type", "application/json");
        request.send(body.to_string().as_str())?.body_mut().read_to_string()
    };
    let answer = ask().with_context(|| format!("the judge `{url}` does not answer"))?;
    let answer: Value = serde_json::from_str(&answer).with_context(|| format!("the judge `{url}` answers no JSON"))?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
    Ok(text.with_context(|| format!("the judge `{url}` answers without `choices[0].message.content`"))?.to_owned())
}

/// Characters of a transcript that are shown, its last ones.
const SHOWN: usize = 12_000;

fn question(episode: &Episode, wanted: Verdict) -> String {
    let turn = |(k, turn): (usize, &crate::core::Turn)| {
        format!("Turn {}\nThe environment said: {}\nThe agent did: {}\n", k + 1, turn.observation, turn.action)
    };
    let transcript: String = episode.turns.iter().enumerate().map(turn).collect();
    let cut = transcript.len().saturating_sub(SHOWN);
    let from = (cut..=transcript.len()).find(|&at| transcript.is_char_boundary(at)).unwrap_or(cut);
    let task = match wanted {
        // the outcome is hidden: neither the ending nor the last answer is shown
        Verdict::Roles => ROLES.to_owned(),
        Verdict::Failures(most) => format!(
            "The agent did not reach the goal; at the end the environment said: {}\nName at most {most} turns that went \
             wrong, the earliest first. {FAILURES}",
            episode.last_observation
        ),
    };
    format!("An agent was given this goal: {}\n\n{}\n{task}", episode.task.goal, &transcript[from..])
}

const ROLES: &str = "Say for every turn what it did for the goal: `decisive` (it brought the goal nearer), `exploration` \
    (it found out something useful), `no-progress` (it changed nothing), or `regression` (it made the goal harder to \
    reach). Answer with JSON alone, and quote the words of the turn that show it: \
    {\"turns\": [{\"turn\": 1, \"role\": \"decisive\", \"evidence\": \"...\"}]}";
const FAILURES: &str = "For each say in one sentence what should have been done instead. Answer with JSON alone: \
    {\"failures\": [{\"step\": 1, \"feedback\": \"...\"}]}";

#[derive(Deserialize)]
struct Roles {
    turns: Vec<RoleOf>,
}

#[derive(Deserialize)]
struct RoleOf {
    turn: u32,
    role: Role,
    /// A verdict without evidence does not count.
    evidence: String,
}

#[derive(Deserialize)]
struct Failures {
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    step: u32,
    feedback: String,
}

/// What an answer says of an episode of so many turns; `None` if it cannot be read.
fn read(answer: &str, wanted: Verdict, turns: usize) -> Option<Vec<TurnVerdict>> {
    let object = answer.get(answer.find('{')?..=answer.rfind('}')?)?;
    let there = |number: u32| (1..=turns as u32).contains(&number).then(|| number - 1);
    let mut found: Vec<TurnVerdict> = match wanted {
        Verdict::Roles => {
            let roles: Roles = serde_json::from_str(object).ok()?;
            let with_evidence = roles.turns.into_iter().filter(|of| !of.evidence.trim().is_empty());
            with_evidence
                .filter_map(|of| Some(TurnVerdict { turn: there(of.turn)?, role: Some(of.role), feedback: None }))
                .collect()
        }
        Verdict::Failures(_) => {
            let failures: Failures = serde_json::from_str(object).ok()?;
            let said = failures.failures.into_iter().filter(|of| !of.feedback.trim().is_empty());
            let verdict =
                |of: Failure| Some(TurnVerdict { turn: there(of.step)?, role: None, feedback: Some(of.feedback) });
            said.filter_map(verdict).collect()
        }
    };
    found.sort_by_key(|verdict| verdict.turn);
    found.dedup_by_key(|verdict| verdict.turn);
    if let Verdict::Failures(most) = wanted {
        found.truncate(most as usize); // the earliest, whatever came first in the answer
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_costs_one_verdict_and_two_in_a_row_mean_that_nobody_is_there() {
        let all = |asked: &[&str]| {
            let questions: Vec<String> = asked.iter().map(|text| text.to_string()).collect();
            answers(&questions, |question| match question {
                "bad" => anyhow::bail!("no answer"),
                _ => Ok(question.to_owned()),
            })
        };
        assert_eq!(all(&["a", "bad", "b", "bad"]).unwrap(), ["a", "", "b", ""]);
        assert_eq!(all(&["bad", "a"]).unwrap(), ["", "a"]);
        for gone in [&["bad"][..], &["a", "bad", "bad"]] {
            assert_eq!(all(gone).unwrap_err().to_string(), "no answer");
        }
        assert!(all(&[]).unwrap().is_empty());
    }

    #[test]
    fn answers_are_read_and_nonsense_is_not() {
        let roles = r#"Sure. {"turns": [{"turn": 2, "role": "no-progress", "evidence": "Nothing happens."},
            {"turn": 1, "role": "decisive", "evidence": " "}, {"turn": 9, "role": "decisive", "evidence": "x"}]}"#;
        let found = read(roles, Verdict::Roles, 3).unwrap();
        assert_eq!(found, [TurnVerdict { turn: 1, role: Some(Role::NoProgress), feedback: None }]);
        let failures = r#"{"failures": [{"step": 3, "feedback": "open it"}, {"step": 1, "feedback": "look"},
            {"step": 2, "feedback": "more"}]}"#;
        let turns = |most: u32| {
            let found = read(failures, Verdict::Failures(most), 3).unwrap();
            found.iter().map(|v| v.turn).collect::<Vec<_>>()
        };
        assert_eq!((turns(1), turns(2)), (vec![0], vec![0, 1]), "the first that failed, not the first that was named");
        for bad in ["", "}{", "no", r#"{"turns": 1}"#, r#"{"turns": [{"turn": 1, "role": "great", "evidence": "x"}]}"#]
        {
            assert_eq!(read(bad, Verdict::Roles, 3), None, "{bad}");
        }
    }
}
