//! Skills as weights: a hypernetwork makes the adapters of each text, and is what is trained. The model stays frozen.
//!
//! ```text
//! text -> mean hidden state of the frozen model -> Hypernet -> adapters -> forward-backward -> gradient by the adapters
//!                                                     ^------------------------------------------------'
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use super::evaluate::{self, How};
use super::hypernet::{Hypernet, Tape};
use super::lesson::{self, Lesson, Sums};
use super::rollout::Played;
use super::{Sink, Trainer};
use crate::core::rng;
use crate::engine::{AdamW, Update, WeightSet};
use crate::method::needs::Generate;

/// A hypernetwork over the engine's adapters.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    net: Hypernet,
    /// What is taken from every text's hidden state: the mean over the bank the run began with. Mean hidden states of any
    /// two texts are nearly parallel.
    centre: Vec<f32>,
}

impl Generator {
    /// All its numbers, as one list.
    pub fn state(&self) -> Vec<f32> {
        [self.centre.as_slice(), &self.net.state()].concat()
    }

    /// Takes back what [`Generator::state`] gave.
    ///
    /// # Errors
    /// It is of another model or of another width.
    pub fn restore(&mut self, state: &[f32]) -> Result<()> {
        let (centre, net) = state.split_at(self.centre.len().min(state.len()));
        self.net.restore(net)?;
        self.centre.copy_from_slice(centre);
        Ok(())
    }
}

/// Makes the network when a run begins. The adapters are off whenever no text is at work.
pub(super) fn prepare(trainer: &mut Trainer, need: Generate) -> Result<()> {
    if trainer.generator.is_some() {
        return Ok(());
    }
    let shelf = trainer.skills.shelf();
    let mut texts: Vec<String> = (0..shelf.len()).map(|place| shelf.full_text(place)).collect();
    texts.push("A skill.".into());
    let mut centre: Vec<f32> = vec![];
    for text in &texts {
        let hidden = hidden(trainer, text)?;
        centre.resize(hidden.len(), 0.0);
        centre.iter_mut().zip(hidden).for_each(|(sum, x)| *sum += x / texts.len() as f32);
    }
    let shapes = trainer.engine.adapters();
    let net = Hypernet::new(&shapes, centre.len(), need.width as usize, trainer.settings.seed)?;
    trainer.generator = Some(Generator { net, centre });
    switch_off(trainer)
}

/// Mean hidden state of a text under the frozen model; what exceeds the context is left out.
fn hidden(trainer: &mut Trainer, text: &str) -> Result<Vec<f32>> {
    let mut ids = trainer.text.encode(text)?;
    ids.truncate(trainer.engine.info().context);
    Ok(trainer.engine.embed(WeightSet::Initial, &[&ids])?.pop().unwrap_or_default())
}

fn switch_off(trainer: &mut Trainer) -> Result<()> {
    let shapes = trainer.engine.adapters();
    let zeros: Vec<Vec<f32>> = shapes.iter().map(|(_, shape)| vec![0.0; shape.iter().product()]).collect();
    trainer.engine.set_adapters(&zeros)
}

/// Puts the adapters of a text in place.
fn switch_on(trainer: &mut Trainer, generator: &Generator, text: &str) -> Result<Tape> {
    let mut vector = hidden(trainer, text)?;
    vector.iter_mut().zip(&generator.centre).for_each(|(x, mean)| *x -= mean);
    let size = (vector.iter().map(|x| x * x).sum::<f32>() / vector.len().max(1) as f32).sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x /= size);
    let (adapters, tape) = generator.net.forward(&vector);
    trainer.engine.set_adapters(&adapters)?;
    Ok(tape)
}

/// One update of the network: every text's rows go forward and back under its own adapters, and the gradient by those
/// adapters goes on into the network. Rows that read nothing teach nothing. The loss is the mean over the texts' losses,
/// weighed by their tokens.
pub(super) fn update(
    trainer: &mut Trainer,
    step: u64,
    batch: &mut [&mut Lesson],
    optim: &AdamW,
    sums: &mut Sums,
) -> Result<Update> {
    let Some(mut generator) = trainer.generator.take() else {
        return Ok(Update { grad_norm: 0.0, skipped: true });
    };
    let mut parts: BTreeMap<String, Vec<&mut Lesson>> = BTreeMap::new();
    for lesson in batch.iter_mut() {
        if let Some(text) = lesson.read.clone().filter(|text| !text.is_empty()) {
            parts.entry(text).or_default().push(lesson);
        }
    }
    let tokens = |part: &[&mut Lesson]| part.iter().map(|l| l.row.sampled.len()).sum::<usize>() as f32;
    let all: f32 = parts.values().map(|part| tokens(part)).sum();
    let temperature = trainer.settings.sampling.temperature;
    for (text, mut part) in parts {
        let share = tokens(&part) / all.max(1.0);
        let tape = switch_on(trainer, &generator, &text)?;
        lesson::update(&mut *trainer.engine, &*trainer.method, step, &mut part, temperature, sums)?;
        let mut gradient = trainer.engine.take_gradient()?;
        gradient.iter_mut().flatten().for_each(|g| *g *= share);
        generator.net.backward(&tape, &gradient);
    }
    let grad_norm = generator.net.update(optim);
    trainer.generator = Some(generator);
    switch_off(trainer)?;
    Ok(Update { grad_norm, skipped: !grad_norm.is_finite() })
}

/// Plays the panel with each task's skills as weights and none in the prompt.
pub(super) fn play(trainer: &mut Trainer, step: u64, sink: &mut dyn Sink, abort: &AtomicBool) -> Result<Vec<Played>> {
    let seats = evaluate::seats(trainer, step, How::Weights)?;
    let mut by_text: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, seat) in seats.iter().enumerate() {
        let text = seat.skills.as_ref().map_or(String::new(), |context| context.text.clone());
        by_text.entry(text).or_default().push(at);
    }
    let mut played: Vec<(usize, Played)> = vec![];
    for (text, places) in by_text {
        if let (false, Some(generator)) = (text.is_empty(), trainer.generator.clone()) {
            switch_on(trainer, &generator, &text)?;
        }
        let own = places.iter().map(|&at| super::rollout::Seat { skills: None, ..seats[at].clone() }).collect();
        let of_text = evaluate::play_seats(trainer, step, own, sink, abort);
        switch_off(trainer)?;
        played.extend(places.into_iter().zip(of_text?));
    }
    played.sort_by_key(|(at, _)| *at);
    let mut played: Vec<Played> = played.into_iter().map(|(_, p)| p).collect();
    for (p, seat) in played.iter_mut().zip(seats) {
        p.episode.skills = seat.skills.map(|context| context.ids).unwrap_or_default();
    }
    Ok(played)
}

/// Whether a skill is kept from training, for the panel to be judged on: a fixed choice by its id.
pub fn is_held_out(id: &str, share: f64) -> bool {
    rng::seed(0, id, &[]) as f64 / u64::MAX as f64 <= share && share > 0.0
}

#[cfg(test)]
mod tests {
    use super::is_held_out;

    #[test]
    fn about_the_share_is_held_out_and_always_the_same() {
        let held = |share: f64| (0..1000).filter(|i| is_held_out(&format!("skill-{i}"), share)).count();
        assert!((200..300).contains(&held(0.25)), "{}", held(0.25));
        assert_eq!((held(0.0), held(1.0)), (0, 1000));
    }
}
