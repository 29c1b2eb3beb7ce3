//! A step as it was recorded, flattened as methods look at it.

use std::ops::Range;

use crate::core::{Episode, TokenRecord, View};
use crate::method::needs::TeacherNeed;
use crate::method::view::{Given, Top, anchor};
use crate::method::{RowFacts, Tokens, TurnFacts};

/// The sampled tokens of a step with their rows and facts. N = sampled tokens, M = given ones that were scored.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub step: u64,
    /// For every sampled token its place among the records. [N]
    pub places: Vec<usize>,
    /// Whether it is known which rollouts share a task.
    pub grouped: bool,
    /// Whether entropies were recorded.
    pub entropies: bool,
    /// The teacher that was recorded, if it is known.
    pub teacher_was: Option<TeacherNeed>,
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
    ids: Vec<u32>,
    sampled_id: Vec<u32>,
    top_student: Vec<f32>,
    top_teacher: Vec<f32>,
    given_rows: Vec<Range<usize>>,
    given_turn: Vec<u32>,
    given: Vec<f32>,
}

impl Recorded {
    /// Flattens the records of a step; `episodes` give rewards and states, `penalty` is what a reply without the
    /// required form costs its row. Tokens of one row stand together, in order (as they are recorded).
    pub fn new(step: u64, tokens: &[TokenRecord], episodes: &[Episode], penalty: f64) -> Self {
        let mut recorded = Self { step, grouped: true, ..Self::default() };
        recorded.k = tokens.iter().map(|t| t.top.len()).max().unwrap_or(0);
        for row in rows(tokens) {
            let first = &tokens[row.start];
            let episode = episodes.iter().find(|e| (e.id.group, e.id.member) == (first.group, first.member));
            recorded.push(tokens, row, episode, penalty);
        }
        let sampled = || recorded.places.iter().map(|&at| &tokens[at]);
        let channel = |of: fn(&TokenRecord) -> Option<f32>| {
            let any = sampled().any(|t| of(t).is_some());
            any.then(|| sampled().map(|t| of(t).unwrap_or(f32::NAN)).collect::<Vec<f32>>())
        };
        (recorded.teacher, recorded.teacher_entropy) = (channel(|t| t.teacher), channel(|t| t.teacher_entropy));
        recorded.reference = channel(|t| t.reference);
        recorded.entropies = sampled().any(|t| t.entropy.is_some());
        recorded
    }

    /// What a method sees; advantages and weights are the caller's to add.
    pub fn tokens(&self) -> Tokens<'_> {
        let top = Top { k: self.k, ids: &self.ids, student: &self.top_student, teacher: &self.top_teacher };
        let given = Given { rows: &self.given_rows, turn: &self.given_turn, student: &self.given };
        Tokens {
            step: self.step,
            rows: &self.rows,
            facts: &self.facts,
            student: &self.student,
            entropy: &self.entropy,
            old: &self.old,
            teacher: self.teacher.as_deref(),
            teacher_entropy: self.teacher_entropy.as_deref(),
            reference: self.reference.as_deref(),
            top: (self.k > 0).then_some(top),
            given: (!self.given.is_empty()).then_some(given),
            ..Tokens::default()
        }
    }

    /// Says that members of a group from this number on are extra rollouts, beside the student's own.
    pub fn own_members(&mut self, members: usize) {
        self.facts.iter_mut().for_each(|row| row.extra = row.member >= members);
    }

    /// Sampled tokens, N.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Tokens listed per position; 0 = none.
    pub fn listed(&self) -> usize {
        self.k
    }

    /// Whether part of the rollouts was played with skills.
    pub fn skilled(&self) -> bool {
        self.facts.iter().any(|row| row.view == View::Skilled)
    }

    /// Of derivatives by listed log-probs, those by the sampled tokens' own. [N * K] -> [N], or empty
    pub(super) fn listed_share(&self, d_top: &[f32]) -> Vec<f32> {
        if d_top.is_empty() {
            return vec![];
        }
        let own = |t: usize| {
            let part = t * self.k..(t + 1) * self.k;
            self.ids[part.clone()]
                .iter()
                .position(|id| *id == self.sampled_id[t])
                .map_or(0.0, |i| d_top[part.start + i])
        };
        (0..self.len()).map(own).collect()
    }

    fn push(&mut self, tokens: &[TokenRecord], row: Range<usize>, episode: Option<&Episode>, penalty: f64) {
        let (start, given_start) = (self.places.len(), self.given.len());
        let mut turns: Vec<TurnFacts> = Vec::new();
        for at in row.clone() {
            let token = &tokens[at];
            if !token.mask {
                // a given token answers the action of the turn before the one it opens
                if let (Some(lp), Some(last)) = (token.student, turns.len().checked_sub(1)) {
                    self.given.push(lp);
                    self.given_turn.push(last as u32);
                }
                continue;
            }
            let place = self.places.len();
            match turns.last_mut().filter(|turn| turn.index == token.turn) {
                Some(turn) => turn.tokens.end = place + 1,
                None => turns.push(turn(episode, token, place)),
            }
            if let (true, Some(turn)) = (token.action, turns.last_mut()) {
                let from = if turn.action.is_empty() { place } else { turn.action.start };
                turn.action = from..place + 1;
            }
            self.token(token, at);
        }
        self.rows.push(start..self.places.len());
        self.given_rows.push(given_start..self.given.len());
        let first = &tokens[row.start];
        let invalid = turns.iter().filter(|turn| !turn.valid).count() as f64;
        self.facts.push(RowFacts {
            group: first.group as usize,
            member: first.member as usize,
            episode_return: episode.map_or(0.0, |e| f64::from(e.reward)),
            won: episode.is_some_and(Episode::won),
            score: episode.map_or(0.0, |e| f64::from(e.score)),
            penalty: if episode.is_some() { penalty * invalid } else { 0.0 },
            view: first.view,
            taught: row.clone().any(|at| tokens[at].teacher.is_some()),
            extra: false,
            turns,
        });
    }

    fn token(&mut self, token: &TokenRecord, at: usize) {
        self.places.push(at);
        let old = token.old.or(token.sampled).or(token.student).unwrap_or(0.0);
        self.old.push(old);
        self.student.push(token.student.unwrap_or(old));
        self.entropy.push(token.entropy.unwrap_or(0.0));
        self.sampled_id.push(token.id);
        for k in 0..self.k {
            let listed = token.top.get(k);
            self.ids.push(listed.map_or(u32::MAX, |l| l.id));
            self.top_student.push(listed.map_or(f32::NEG_INFINITY, |l| l.student));
            self.top_teacher.push(listed.map_or(f32::NEG_INFINITY, |l| l.teacher));
        }
    }
}

fn turn(episode: Option<&Episode>, token: &TokenRecord, place: usize) -> TurnFacts {
    let turn = episode.and_then(|e| e.turns.get(token.turn as usize));
    TurnFacts {
        index: token.turn,
        tokens: place..place + 1,
        action: place..place,
        reward: turn.map_or(0.0, |turn| f64::from(turn.reward)),
        anchor: turn.map_or(0, |turn| anchor(&turn.observation)),
        valid: turn.is_some_and(|turn| turn.valid),
        role: token.role,
        chosen: token.chosen,
    }
}

/// Runs of records that are one row: the same episode, positions rising.
fn rows(tokens: &[TokenRecord]) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let goes_on = at.checked_sub(1).is_some_and(|last| {
            let last = &tokens[last];
            (last.group, last.member) == (token.group, token.member) && last.position < token.position
        });
        match rows.last_mut().filter(|_| goes_on) {
            Some(row) => row.end = at + 1,
            None => rows.push(at..at + 1),
        }
    }
    rows
}
