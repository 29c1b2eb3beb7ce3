//! Checks of what is played: the environment opens and its prompt fits, the skill bank can be read.

use anyhow::Result;

use super::{Answer, Subject};
use crate::config::{Retrieval, Summariser};
use crate::core::Split;
use crate::env;
use crate::env::prompt::Layout;
use crate::skill::Bank;
use crate::text::Message;
use crate::train::row::Prompt;

pub(super) fn environment(subject: &mut Subject) -> Result<Answer> {
    let Subject { recipe, architecture, text, .. } = subject;
    let world = env::open_world(recipe.env.name(), &recipe.env.table())?;
    let prompts = world.prompts()?.with_history(recipe.rollout.history as usize);
    let task = world.task(Split::Train, 0)?;
    let game = world.open(&task)?;
    if let Some(failure) = game.failure() {
        anyhow::bail!("{failure}");
    }
    let observation = game.observation().to_owned();
    let prompt = match recipe.rollout.layout {
        Layout::Transcript => Prompt::Transcript { observation },
        Layout::History => Prompt::History { past: vec![], observation, admissible: game.admissible() },
    };
    let message = prompt.message(&prompts, &task.goal, None);
    let opened = format!("`{}` opens; the first task is `{}`", world.kind(), task.goal);
    let (Some(architecture), Some(text)) = (architecture, text) else { return Ok(Answer::ok(opened)) };
    let tokens = text.open(&[Message::user(message)])?.len();
    let skills = recipe.skills.budget_tokens as usize;
    let needed = tokens + skills + recipe.rollout.max_new_tokens as usize + 1;
    let context = architecture.max_position_embeddings;
    let opened = format!("{opened} ({tokens} tokens of a context of {context})");
    if needed > context {
        let message = format!("{opened}; with skills ({skills}) and one reply it does not fit");
        return Ok(Answer::fail(
            message,
            "lower `skills.budget_tokens` or `rollout.max_new_tokens`, or take another model",
        ));
    }
    Ok(Answer::ok(opened))
}

pub(super) fn skills(subject: &mut Subject) -> Result<Answer> {
    let skills = &subject.recipe.skills;
    let bank = Bank::open(&skills.bank)?;
    let count = bank.skills().count();
    let learns = skills.learn.author != Summariser::None;
    let message = match (skills.bank.as_str(), learns) {
        ("", true) => "an empty bank, filled from the run's own episodes".to_owned(),
        (bank, _) => format!("{count} skills in `{bank}`"),
    };
    Ok(match count {
        0 if learns => Answer::ok(message),
        0 if skills.retrieval != Retrieval::None => {
            Answer::warn(message, "the teacher will read the student's prompt: name another `skills.bank`")
        }
        _ => Answer::ok(message),
    })
}
