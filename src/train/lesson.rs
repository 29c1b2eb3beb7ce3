//! Lessons: rows with everything the method wants to know of their tokens, flattened for it in batches.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, ensure};

use super::row::Row;
use crate::core::{EpisodeId, TokenRecord};
use crate::engine::{Coefficients, Engine, Scores};
use crate::method::{Method, Plan, Tokens};

/// A row with its signals; every vector has one entry per sampled token. [n]
#[derive(Clone, Debug)]
pub struct Lesson {
    pub id: EpisodeId,
    pub row: Row,
    pub advantage: f32,
    /// Log-probs under the teacher's context; `None` = the method does not ask for them.
    pub teacher: Option<Vec<f32>>,
    /// Log-probs under the reference weights.
    pub reference: Option<Vec<f32>>,
    /// What the update saw and asked for; filled by [`update`].
    pub seen: Option<Seen>,
}

/// Signals of the update itself. [n]
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub student: Vec<f32>,
    pub entropy: Vec<f32>,
    pub gate: Option<Vec<f32>>,
    pub coefficient: Vec<f32>,
}

/// Sums a method reports, `name -> (sum, count)`.
pub type Sums = BTreeMap<&'static str, (f64, f64)>;

/// One forward-backward pass over `batch`: scores, the method's plan, gradient into the engine. Fills
/// [`Lesson::seen`] and adds the method's sums to `sums`.
pub fn update(
    engine: &mut dyn Engine,
    method: &dyn Method,
    batch: &mut [&mut Lesson],
    temperature: f32,
    sums: &mut Sums,
) -> Result<()> {
    let mut plan = Plan::default();
    let mut flat = Flat::new(batch);
    let rows: Vec<_> = batch.iter().map(|l| l.row.score_row()).collect();
    engine.forward_backward(&rows, temperature, &mut |scores| {
        flat.student = scores.iter().flat_map(|s| s.logp.iter().copied()).collect();
        flat.entropy = scores.iter().flat_map(|s| s.entropy.iter().copied()).collect();
        plan = method.token_loss(&flat.tokens());
        ensure!(plan.d_logp.len() == flat.student.len(), "method `{}` gave too few coefficients", method.name());
        Ok(coefficients(&plan, &flat.rows, scores))
    })?;
    for (name, (sum, count)) in &plan.metrics {
        let entry = sums.entry(name).or_insert((0.0, 0.0));
        *entry = (entry.0 + sum, entry.1 + count);
    }
    for (lesson, range) in batch.iter_mut().zip(&flat.rows) {
        lesson.seen = Some(Seen {
            student: flat.student[range.clone()].to_vec(),
            entropy: flat.entropy[range.clone()].to_vec(),
            gate: plan.gate.as_ref().map(|g| g[range.clone()].to_vec()),
            coefficient: plan.d_logp[range.clone()].to_vec(),
        });
    }
    Ok(())
}

fn coefficients(plan: &Plan, rows: &[Range<usize>], scores: &[Scores]) -> Vec<Coefficients> {
    let cut = |v: &[f32], r: &Range<usize>| if v.is_empty() { vec![] } else { v[r.clone()].to_vec() };
    debug_assert_eq!(rows.len(), scores.len());
    rows.iter()
        .map(|r| Coefficients { logp: cut(&plan.d_logp, r), entropy: cut(&plan.d_entropy, r), ..Default::default() })
        .collect()
}

/// The slices behind [`Tokens`], N = sampled tokens of the batch.
struct Flat {
    rows: Vec<Range<usize>>,
    student: Vec<f32>,
    entropy: Vec<f32>,
    old: Vec<f32>,
    teacher: Option<Vec<f32>>,
    reference: Option<Vec<f32>>,
    advantage: Vec<f32>,
}

impl Flat {
    fn new(batch: &[&mut Lesson]) -> Self {
        let mut rows = vec![];
        let mut end = 0;
        for lesson in batch {
            rows.push(end..end + lesson.row.sampled.len());
            end += lesson.row.sampled.len();
        }
        let all = |of: fn(&Lesson) -> Option<&Vec<f32>>| -> Option<Vec<f32>> {
            let parts: Option<Vec<&Vec<f32>>> = batch.iter().map(|l| of(l)).collect();
            Some(parts?.into_iter().flatten().copied().collect())
        };
        let advantage = |l: &&mut Lesson| std::iter::repeat_n(l.advantage, l.row.sampled.len());
        Self {
            rows,
            student: vec![],
            entropy: vec![],
            // Sampled and scored by one engine with one set of weights: the sampler's log-probs are the step-start
            // ones, to the rounding that `mismatch/max` reports.
            old: batch.iter().flat_map(|l| l.row.sampled.iter().copied()).collect(),
            teacher: all(|l| l.teacher.as_ref()),
            reference: all(|l| l.reference.as_ref()),
            advantage: batch.iter().flat_map(advantage).collect(),
        }
    }

    fn tokens(&self) -> Tokens<'_> {
        Tokens {
            rows: &self.rows,
            student: &self.student,
            entropy: &self.entropy,
            old: &self.old,
            teacher: self.teacher.as_deref(),
            reference: self.reference.as_deref(),
            advantage: &self.advantage,
        }
    }
}

/// Every token of a lesson as it is recorded.
pub fn records(lesson: &Lesson) -> Vec<TokenRecord> {
    let row = &lesson.row;
    let mut next = 0;
    let mut record = |position: usize| {
        let i = row.mask[position].then_some(next);
        next += usize::from(row.mask[position]);
        let at = |values: Option<&Vec<f32>>| Some(values?[i?]);
        let seen = lesson.seen.as_ref();
        TokenRecord {
            group: lesson.id.group,
            member: lesson.id.member,
            position: position as u32,
            turn: row.turns[position],
            id: row.ids[position],
            mask: row.mask[position],
            sampled: at(Some(&row.sampled)),
            old: at(Some(&row.sampled)),
            student: at(seen.map(|s| &s.student)),
            teacher: at(lesson.teacher.as_ref()),
            reference: at(lesson.reference.as_ref()),
            entropy: at(seen.map(|s| &s.entropy)),
            gate: at(seen.and_then(|s| s.gate.as_ref())),
            advantage: i.map(|_| lesson.advantage),
            coefficient: at(seen.map(|s| &s.coefficient)),
        }
    };
    (0..row.ids.len()).map(&mut record).collect()
}
