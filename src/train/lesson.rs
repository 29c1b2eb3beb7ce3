//! Lessons: rows with everything the method wants to know of their tokens, flattened for it in batches.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, ensure};

use super::row::{Row, TeacherRow};
use crate::core::{self, EpisodeId, TokenRecord};
use crate::engine::{Coefficients, Engine, Parts, ScoreRow, Scores};
use crate::method::view::{self, Top};
use crate::method::{Credit, Method, Plan, RowFacts, Tokens};

/// A row with its signals; every vector has one entry per sampled token. [n]
#[derive(Clone, Debug)]
pub struct Lesson {
    pub id: EpisodeId,
    pub row: Row,
    /// What the sampler read and the row does not show.
    pub read: Option<String>,
    /// What the method may know of the row beside its tokens; places are inside the row.
    pub facts: RowFacts,
    /// From the method's credit.
    pub advantage: Vec<f32>,
    /// Distillation weights from the method's credit; empty where it gave none.
    pub weight: Vec<f32>,
    /// Log-probs under the teacher's context, NaN where it has none; `None` = the method does not ask for them.
    pub teacher: Option<Vec<f32>>,
    /// Entropies of the teacher.
    pub teacher_entropy: Option<Vec<f32>>,
    /// The row under the teacher's prompt, or its turns, each under a prompt of its own; empty = nothing is taught.
    pub teacher_rows: Vec<TeacherRow>,
    /// Tokens listed per position, and the teacher's log-probs of them.
    pub listed: Option<Listed>,
    /// Log-probs under the reference weights.
    pub reference: Option<Vec<f32>>,
    /// Tokens the environment gave that are scored as well; `None` = the method does not ask for them.
    pub given: Option<Given>,
    /// What the update saw and asked for; filled by [`update`].
    pub seen: Option<Seen>,
}

/// Tokens of a row that answered an action. M = their number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Sampled and answered tokens. [T]
    pub mask: Vec<bool>,
    /// Place among the row's turns of the action that was answered. [M]
    pub turn: Vec<u32>,
    /// Log-probs by the student, as the update saw them. [M]
    pub student: Vec<f32>,
}

impl Given {
    /// All tokens of the row that stand behind a sampled one and were not sampled.
    pub fn of(row: &Row) -> Self {
        let mut given = Self::default();
        let (mut turns, mut last) = (0, None);
        for (&sampled, &turn) in row.mask.iter().zip(&row.turns) {
            if sampled && last != Some(turn) {
                (turns, last) = (turns + 1, Some(turn));
            }
            if !sampled && turns > 0 {
                given.turn.push(turns - 1);
            }
            given.mask.push(sampled || turns > 0);
        }
        given
    }
}

/// K tokens of every sampled position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    pub k: usize,
    pub ids: Vec<u32>,     // [n * K]
    pub teacher: Vec<f32>, // [n * K]
    /// By the student: at the step's start, then as the update saw them. [n * K]
    pub student: Vec<f32>,
}

impl Listed {
    /// What is listed at the i-th sampled token.
    fn at(&self, i: usize) -> Vec<core::Listed> {
        let part = i * self.k..(i + 1) * self.k;
        let one = |at: usize| core::Listed { id: self.ids[at], student: self.student[at], teacher: self.teacher[at] };
        part.map(one).collect()
    }
}

/// Signals of the update itself. [n]
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub student: Vec<f32>,
    pub entropy: Vec<f32>,
    pub gate: Option<Vec<f32>>,
    pub coefficient: Vec<f32>,
}

impl Lesson {
    /// The row as the engine scores it, with its listed tokens.
    pub fn score_row(&self) -> ScoreRow<'_> {
        let given = self.listed.as_ref().map_or(&[][..], |listed| &listed.ids);
        let row = ScoreRow { given, ..self.row.score_row() };
        match &self.given {
            Some(answered) => ScoreRow { mask: &answered.mask, ..row },
            None => row,
        }
    }

    /// Whether each scored position of [`Lesson::score_row`] is a sampled one.
    fn scored(&self) -> impl Iterator<Item = bool> + '_ {
        let mask = self.given.as_ref().map_or(&self.row.mask, |given| &given.mask);
        mask.iter().zip(&self.row.mask).skip(1).filter(|(scored, _)| **scored).map(|(_, sampled)| *sampled)
    }
}

/// Sums a method reports, `name -> (sum, count)`.
pub type Sums = BTreeMap<&'static str, (f64, f64)>;

/// Adds the sums of a part to those of the whole.
pub fn add(sums: &mut Sums, part: &Sums) {
    for (name, (sum, count)) in part {
        let entry = sums.entry(name).or_insert((0.0, 0.0));
        *entry = (entry.0 + sum, entry.1 + count);
    }
}

/// Lets the method credit a whole step: fills advantages and weights.
pub fn credit(method: &dyn Method, step: u64, lessons: &mut [Lesson], sums: &mut Sums) -> Result<()> {
    let all: Vec<&Lesson> = lessons.iter().collect();
    let flat = Flat::new(&all);
    let Credit { advantage, weight, metrics } = method.credit(&flat.tokens(step));
    let n = flat.old.len();
    ensure!(
        advantage.len() == n && (weight.is_empty() || weight.len() == n),
        "method `{}` credited too few tokens",
        method.name()
    );
    add(sums, &metrics);
    for (lesson, range) in lessons.iter_mut().zip(flat.rows) {
        lesson.advantage = advantage[range.clone()].to_vec();
        lesson.weight = weight.get(range).map(<[f32]>::to_vec).unwrap_or_default();
    }
    Ok(())
}

/// One forward-backward pass over `batch`: scores, the method's plan, gradient into the engine. Fills
/// [`Lesson::seen`] and adds the method's sums to `sums`. Returns what the reward alone asks for, if something else asks
/// beside it.
pub fn update(
    engine: &mut dyn Engine,
    method: &dyn Method,
    step: u64,
    batch: &mut [&mut Lesson],
    temperature: f32,
    sums: &mut Sums,
) -> Result<Option<Vec<Coefficients>>> {
    let mut plan = Plan::default();
    let mut flat = Flat::new(&batch.iter().map(|lesson| &**lesson).collect::<Vec<_>>());
    let rows: Vec<_> = batch.iter().map(|l| l.score_row()).collect();
    let sampled: Vec<Vec<bool>> = batch.iter().map(|l| l.scored().collect()).collect();
    let mut reward = None;
    engine.forward_backward(&rows, temperature, &mut |scores| {
        flat.see(scores, &sampled);
        flat.see_listed(scores);
        plan = method.token_loss(&flat.tokens(step));
        ensure!(plan.d_logp.len() == flat.student.len(), "method `{}` gave too few coefficients", method.name());
        reward = reward_of(&plan).map(|reward| coefficients(&reward, &flat, scores, &sampled));
        Ok(coefficients(&plan, &flat, scores, &sampled))
    })?;
    add(sums, &plan.metrics);
    for ((lesson, range), given) in batch.iter_mut().zip(&flat.rows).zip(&flat.given_rows) {
        if let Some(answered) = &mut lesson.given {
            answered.student = flat.given[given.clone()].to_vec();
        }
        lesson.seen = Some(Seen {
            student: flat.student[range.clone()].to_vec(),
            entropy: flat.entropy[range.clone()].to_vec(),
            gate: plan.gate.as_ref().map(|g| g[range.clone()].to_vec()),
            coefficient: plan.d_logp[range.clone()].to_vec(),
        });
        if let Some(listed) = &mut lesson.listed {
            listed.student = flat.top_student[range.start * flat.k..range.end * flat.k].to_vec();
        }
    }
    Ok(reward)
}

/// How the gradient of the reward and that of everything else compare, right after [`update`] over the same batch.
pub fn compare(
    engine: &mut dyn Engine,
    batch: &[&mut Lesson],
    temperature: f32,
    reward: Vec<Coefficients>,
) -> Result<Option<Parts>> {
    let rows: Vec<_> = batch.iter().map(|l| l.score_row()).collect();
    engine.compare(&rows, temperature, reward)
}

/// The plan without its auxiliary losses, where it has both.
fn reward_of(plan: &Plan) -> Option<Plan> {
    let reward = plan.reward.clone().filter(|_| plan.is_mixed())?;
    Some(Plan { d_logp: reward.d_logp, d_entropy: reward.d_entropy, ..Plan::default() })
}

fn coefficients(plan: &Plan, flat: &Flat, scores: &[Scores], sampled: &[Vec<bool>]) -> Vec<Coefficients> {
    let cut = |v: &[f32], r: &Range<usize>, k: usize| {
        if v.is_empty() { vec![] } else { v[r.start * k..r.end * k].to_vec() }
    };
    let one = |(r, (row, score)): (usize, (&Range<usize>, &Scores))| Coefficients {
        logp: merged(&sampled[r], &cut(&plan.d_logp, row, 1), &cut(&plan.d_given, &flat.given_rows[r], 1)),
        entropy: merged(&sampled[r], &cut(&plan.d_entropy, row, 1), &[]),
        // a row that lists nothing has nothing to go back through
        given: if score.given.is_empty() { vec![] } else { cut(&plan.d_top, row, flat.k) },
        tail: vec![],
    };
    flat.rows.iter().zip(scores).enumerate().map(one).collect()
}

/// Values of sampled and of answered tokens in the order of the scored positions; missing ones are 0. Nothing stays
/// nothing.
fn merged(sampled: &[bool], own: &[f32], answered: &[f32]) -> Vec<f32> {
    if own.is_empty() && answered.is_empty() || own.len() == sampled.len() {
        return own.to_vec();
    }
    let (mut own, mut answered) = (own.iter(), answered.iter());
    let next = |sampled: &bool| if *sampled { own.next() } else { answered.next() };
    sampled.iter().map(next).map(|value| value.copied().unwrap_or(0.0)).collect()
}

/// The slices behind [`Tokens`], N = sampled tokens of the batch.
#[derive(Default)]
struct Flat {
    rows: Vec<Range<usize>>,
    facts: Vec<RowFacts>,
    student: Vec<f32>,
    entropy: Vec<f32>,
    old: Vec<f32>,
    teacher: Option<Vec<f32>>,
    teacher_entropy: Option<Vec<f32>>,
    reference: Option<Vec<f32>>,
    /// Tokens listed per position; 0 = none.
    k: usize,
    top_ids: Vec<u32>,
    top_student: Vec<f32>,
    top_teacher: Vec<f32>,
    advantage: Vec<f32>,
    weight: Option<Vec<f32>>,
    given_rows: Vec<Range<usize>>,
    given_turn: Vec<u32>,
    /// Filled by [`Flat::see`].
    given: Vec<f32>,
}

impl Flat {
    fn new(batch: &[&Lesson]) -> Self {
        let mut flat = Self::default();
        for lesson in batch {
            // Sampled and scored by one engine with one set of weights: the sampler's log-probs are the step-start
            // ones, to the rounding that `mismatch/max` reports.
            let start = flat.old.len();
            flat.old.extend(&lesson.row.sampled);
            flat.entropy.extend(&lesson.row.entropy);
            flat.rows.push(start..flat.old.len());
            flat.facts.push(lesson.facts.moved(start));
            flat.advantage.extend(&lesson.advantage);
            let before = flat.given_turn.len();
            flat.given_turn.extend(lesson.given.iter().flat_map(|given| &given.turn));
            flat.given_rows.push(before..flat.given_turn.len());
        }
        flat.k = batch.iter().find_map(|l| l.listed.as_ref()).map_or(0, |listed| listed.k);
        for lesson in batch.iter().filter(|_| flat.k > 0) {
            let size = lesson.row.sampled.len() * flat.k;
            match &lesson.listed {
                Some(listed) => {
                    flat.top_ids.extend(&listed.ids);
                    flat.top_teacher.extend(&listed.teacher);
                    flat.top_student.extend(&listed.student);
                }
                None => {
                    flat.top_ids.extend(std::iter::repeat_n(u32::MAX, size));
                    flat.top_teacher.extend(std::iter::repeat_n(f32::NEG_INFINITY, size));
                    flat.top_student.extend(std::iter::repeat_n(f32::NEG_INFINITY, size));
                }
            }
        }
        flat.teacher = channel(batch, |l| l.teacher.as_ref());
        flat.teacher_entropy = channel(batch, |l| l.teacher_entropy.as_ref());
        flat.reference = channel(batch, |l| l.reference.as_ref());
        flat.weight = channel(batch, |l| Some(&l.weight)).filter(|weight| weight.len() == flat.old.len());
        flat
    }

    /// Takes the student's log-probs and entropies; `sampled` tells sampled positions from answered ones.
    fn see(&mut self, scores: &[Scores], sampled: &[Vec<bool>]) {
        for part in [&mut self.student, &mut self.entropy, &mut self.given] {
            part.clear();
        }
        for (score, sampled) in scores.iter().zip(sampled) {
            for ((&logp, &entropy), &own) in score.logp.iter().zip(&score.entropy).zip(sampled) {
                if own {
                    self.student.push(logp);
                    self.entropy.push(entropy);
                } else {
                    self.given.push(logp);
                }
            }
        }
    }

    /// Takes the student's log-probs of the listed tokens.
    fn see_listed(&mut self, scores: &[Scores]) {
        self.top_student.clear(); // those of the step's start
        for (row, score) in self.rows.iter().zip(scores).filter(|_| self.k > 0) {
            match score.given.is_empty() {
                true => self.top_student.extend(std::iter::repeat_n(f32::NEG_INFINITY, row.len() * self.k)),
                false => self.top_student.extend(&score.given),
            }
        }
    }

    /// The listed tokens, once the student has scored them.
    fn top(&self) -> Option<Top<'_>> {
        let seen = self.k > 0 && self.top_student.len() == self.top_ids.len();
        seen.then_some(Top { k: self.k, ids: &self.top_ids, student: &self.top_student, teacher: &self.top_teacher })
    }

    fn tokens(&self, step: u64) -> Tokens<'_> {
        let given = view::Given { rows: &self.given_rows, turn: &self.given_turn, student: &self.given };
        Tokens {
            given: (!self.given.is_empty()).then_some(given),
            step,
            rows: &self.rows,
            facts: &self.facts,
            student: &self.student,
            entropy: &self.entropy,
            old: &self.old,
            teacher: self.teacher.as_deref(),
            teacher_entropy: self.teacher_entropy.as_deref(),
            reference: self.reference.as_deref(),
            top: self.top(),
            advantage: &self.advantage,
            weight: self.weight.as_deref(),
        }
    }
}

/// One signal of all rows end to end; `None` = the method asked for none. Rows without it, while others have it, are
/// filled with NaN.
fn channel(batch: &[&Lesson], of: fn(&Lesson) -> Option<&Vec<f32>>) -> Option<Vec<f32>> {
    batch.iter().any(|lesson| of(lesson).is_some()).then(|| {
        let part = |lesson: &&Lesson| of(lesson).cloned().unwrap_or_else(|| vec![f32::NAN; lesson.row.sampled.len()]);
        batch.iter().flat_map(part).collect()
    })
}

/// Every token of a lesson as it is recorded.
pub fn records(lesson: &Lesson) -> Vec<TokenRecord> {
    let row = &lesson.row;
    let mut next = 0;
    let mut answers = lesson.given.iter().flat_map(|given| given.student.iter().copied());
    let asked = lesson.given.as_ref().map(|given| &given.mask);
    let mut answered = |position: usize| {
        let wanted = asked.is_some_and(|mask| mask[position]) && !row.mask[position];
        if wanted { answers.next() } else { None }
    };
    let taught = |i: usize| lesson.teacher.as_ref().is_none_or(|teacher| !teacher[i].is_nan());
    let mut record = |position: usize| {
        let i = row.mask[position].then_some(next);
        next += usize::from(row.mask[position]);
        let at = |values: Option<&Vec<f32>>| Some(values?[i?]).filter(|value| !value.is_nan());
        let turn = i.and_then(|i| lesson.facts.turns.iter().find(|turn| turn.tokens.contains(&i)));
        let seen = lesson.seen.as_ref();
        TokenRecord {
            group: lesson.id.group,
            member: lesson.id.member,
            position: position as u32,
            turn: row.turns[position],
            id: row.ids[position],
            mask: row.mask[position],
            action: i.is_some_and(|i| turn.is_some_and(|turn| turn.action.contains(&i))),
            view: lesson.facts.view,
            role: turn.and_then(|turn| turn.role),
            chosen: turn.is_some_and(|turn| turn.chosen),
            sampled: at(Some(&row.sampled)),
            old: at(Some(&row.sampled)),
            student: at(seen.map(|s| &s.student)).or_else(|| answered(position)),
            teacher: at(lesson.teacher.as_ref()),
            teacher_entropy: at(lesson.teacher_entropy.as_ref()),
            reference: at(lesson.reference.as_ref()),
            entropy: at(seen.map(|s| &s.entropy)).or(i.and_then(|i| row.entropy.get(i).copied())),
            gate: at(seen.and_then(|s| s.gate.as_ref())),
            advantage: i.and_then(|i| lesson.advantage.get(i).copied()),
            coefficient: at(seen.map(|s| &s.coefficient)),
            top: i.filter(|&i| taught(i)).zip(lesson.listed.as_ref()).map_or(vec![], |(i, listed)| listed.at(i)),
        }
    };
    (0..row.ids.len()).map(&mut record).collect()
}
