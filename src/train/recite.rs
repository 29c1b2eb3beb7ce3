//! Texts of the bank as training rows: asked what it knows, the model says the text. No play.

use anyhow::Result;
use rand::seq::SliceRandom;

use super::Trainer;
use super::generate::is_held_out;
use super::rollout::Played;
use super::row::{Prompt, Row};
use crate::core::{Ending, Episode, EpisodeId, Stop, Task, Turn, View, rng};
use crate::engine::Sample;
use crate::text::Message;

/// What is asked; ours.
const ASK: &str = "Say what you know.";

/// `n` skills of the bank, those kept from training left out, drawn by the seed; fewer if the bank has fewer.
pub(super) fn texts(trainer: &Trainer, step: u64, n: u32) -> Result<Vec<Played>> {
    let share = trainer.needs().generate.map_or(0.0, |generate| generate.held_out);
    let shelf = trainer.skills.shelf();
    let skills = (0..shelf.len()).map(|place| shelf.skill(place).1).filter(|skill| !is_held_out(&skill.id, share));
    let layout = trainer.skills.way().layout;
    let mut known: Vec<(String, String)> = skills.map(|skill| (skill.id.clone(), layout.line(skill))).collect();
    anyhow::ensure!(
        !known.is_empty(),
        "the bank has no skill to be recited: name one in `skills.bank`, or lower the method's `held_out`"
    );
    known.shuffle(&mut rng::stream(trainer.settings.seed, "recite", &[step]));
    known
        .into_iter()
        .zip(0..n)
        .map(|((id, text), group)| recitation(trainer, EpisodeId { step, group, member: 0 }, id, text))
        .collect()
}

fn recitation(trainer: &Trainer, id: EpisodeId, skill: String, text: String) -> Result<Played> {
    let opening = [Message::user(ASK)];
    let mut row = Row::begin(Prompt::Transcript { observation: ASK.into() }, &trainer.text.open(&opening)?, 0);
    let mut ids = trainer.text.encode(&text)?;
    ids.truncate(trainer.engine.info().context.saturating_sub(row.ids.len() + 1));
    ids.push(trainer.text.end());
    let n = ids.len();
    row.reply(&Sample { ids, logp: vec![0.0; n], entropy: vec![0.0; n], ..Sample::default() }, 0.0);
    let turn = Turn {
        observation: ASK.into(),
        reply: text.clone(),
        action: String::new(),
        valid: true,
        reward: 0.0,
        tokens: n as u32,
        stop: Stop::Closed,
    };
    let episode = Episode {
        id,
        task: Task { id: format!("recite/{skill}"), kind: "recite".into(), goal: ASK.into() },
        turns: vec![turn],
        last_observation: String::new(),
        ending: Ending::Won,
        reward: 0.0,
        score: 0.0,
        advantage: None,
        prompt: trainer.text.render(&opening, true)?,
        teacher_prompt: String::new(),
        skills: vec![skill],
    };
    // it is nobody's rollout: in no statistic of play
    Ok(Played {
        episode,
        rows: vec![row],
        view: View::Plain,
        extra: true,
        context: None,
        read: Some(text),
        verdicts: vec![],
        penalty: 0.0,
    })
}
