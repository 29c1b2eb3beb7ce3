//! Continuous batching: rows enter when they are asked for and leave when their reply ends.
//!
//! Each pass runs one token of every row on its way and the whole uncached context of those that are new. What a
//! newcomer's context has in common with any cached sequence, be it its own last turn or another member of its group,
//! is taken over. A row's numbers never depend on its company, so none of this changes a result.

mod row;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::VecDeque;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use rand::RngExt;
use rayon::prelude::*;

use self::row::{Row, State};
use super::draw::{self, How};
use super::kv::{BLOCK, Sequence, Store, common};
use super::meeting::Meeting;
use super::model::{Decoder, Packed, Weights};
use super::ops;
use super::plain;
use super::ready::Sampled;
use crate::engine::{Finish, Finished, Next, Sample, SampleRequest, Sampler};

/// Most tokens of new contexts in one pass (a longer context stands alone).
const PREFILL_TOKENS: usize = 4096;
/// A newcomer waits a pass for another one's context if that saves it so many tokens.
const WORTH_WAITING: usize = 16;
/// Logits held at once.
pub(super) const LOGITS: usize = 1 << 24;
/// Logits worth waking a thread for.
const DRAWN: usize = 1 << 14;
/// Least tokens of a part of a pass: enough to make good use of a weight that was loaded from the cache.
const PART_TOKENS: usize = 4;
/// Models of so many parameters stay in the cache; parts of a pass read larger ones together.
const CACHED: usize = 4 << 20;

/// Samples `first` and everything that `next` asks for thereafter.
pub(super) fn sample(
    decoder: &Decoder,
    from: Sampled,
    sampler: &Sampler,
    first: Vec<SampleRequest>,
    next: &mut Next,
) -> Result<()> {
    let mut batch = Batch::new(decoder, from.weights, sampler);
    batch.ask(first)?;
    loop {
        batch.admit();
        if !batch.rows.is_empty() {
            batch.pass(decoder, from)?;
        } else if batch.done.is_empty() {
            return Ok(());
        }
        for finished in std::mem::take(&mut batch.done) {
            let requests = next(finished)?;
            batch.ask(requests)?;
        }
    }
}

/// Everything on its way, waiting, or remembered.
struct Batch<'a> {
    sampler: &'a Sampler<'a>,
    store: Store,
    /// Most tokens of context and reply.
    longest: usize,
    /// Whether parts of a pass multiply together.
    together: bool,
    rows: Vec<Row<'a>>,
    queue: VecDeque<SampleRequest>,
    /// Caches of ended replies by slot, oldest first: for their next turn, and for what newcomers share with them.
    idle: VecDeque<(usize, Sequence)>,
    done: Vec<Finished>,
}

impl<'a> Batch<'a> {
    fn new(decoder: &Decoder, w: &Weights, sampler: &'a Sampler<'a>) -> Self {
        let model = decoder.config.max_position_embeddings;
        let longest = if sampler.longest == 0 { model } else { model.min(sampler.longest) };
        let parameters: usize = w.iter().map(Tensor::elem_count).sum();
        let together = parameters > CACHED;
        let (rows, queue, idle, done) = Default::default();
        let store = Store::new(decoder.cache_shape(), &w[decoder.head()], longest);
        Self { sampler, store, longest, together, rows, queue, idle, done }
    }

    /// Puts requests before those that wait: conversations that have begun are finished first.
    fn ask(&mut self, requests: Vec<SampleRequest>) -> Result<()> {
        for request in requests.into_iter().rev() {
            ensure!(
                !request.context.is_empty() && request.limit > 0,
                "a sample request needs a context and a limit above 0"
            );
            let open = self.rows.iter().map(|r| r.slot).chain(self.queue.iter().map(|r| r.slot));
            ensure!(!open.into_iter().any(|s| s == request.slot), "slot {} has an open request already", request.slot);
            self.queue.push_front(request);
        }
        Ok(())
    }

    /// Lets waiting requests in as far as seats and memory go.
    fn admit(&mut self) {
        let seats = if self.sampler.concurrent == 0 { usize::MAX } else { self.sampler.concurrent };
        while self.rows.len() < seats
            && let Some(request) = self.queue.pop_front()
        {
            let limit = request.limit.min(self.longest.saturating_sub(request.context.len()));
            if limit == 0 {
                let sample = Sample { finish: Finish::Context, ..Sample::default() };
                self.done.push(Finished { slot: request.slot, sample });
                continue;
            }
            let own = self.idle.iter().position(|(slot, _)| *slot == request.slot);
            let own = own.and_then(|at| self.idle.remove(at)).map(|(_, cached)| cached).unwrap_or_default();
            let blocks = (request.context.len() + limit).div_ceil(BLOCK);
            if !self.make_room(blocks) {
                // its cache stays, as the first to go if a row needs the memory
                self.idle.push_front((request.slot, own));
                self.queue.push_front(request);
                break;
            }
            self.rows.push(Row::new(request, limit, blocks, own, self.sampler));
        }
        if self.queue.is_empty() {
            self.idle.clear(); // nobody is left who could use them
        }
        if let Some(pool) = self.store.pool() {
            // rather than that it grows
            let wanted = self.rows.iter().filter(|row| row.cached.seat().is_none()).count();
            while pool.spare() < wanted && self.idle.pop_front().is_some() {}
        }
    }

    /// Whether `blocks` more fit beside what the rows can come to hold; idle caches make way. If there are no rows,
    /// one fits always.
    fn make_room(&mut self, blocks: usize) -> bool {
        if self.sampler.cache_bytes == 0 {
            return true;
        }
        let all = self.sampler.cache_bytes / self.store.block_bytes();
        let own = self.rows.iter().map(|r| r.blocks).chain([blocks]);
        // on a device every sequence has the room of the longest
        let room = self.store.pool().and_then(|pool| own.clone().chain([pool.blocks()]).max());
        let rows: usize = own.map(|own| room.unwrap_or(own)).sum();
        if rows > all && !self.rows.is_empty() {
            return false;
        }
        let held = |(_, c): &(usize, Sequence)| room.unwrap_or_else(|| c.held(&self.store));
        while rows + self.idle.iter().map(held).sum::<usize>() > all {
            if self.idle.pop_front().is_none() {
                break; // a single row may exceed the limit
            }
        }
        true
    }

    /// Runs the rows whose turn it is, and draws a token for each.
    fn pass(&mut self, decoder: &Decoder, from: Sampled) -> Result<()> {
        self.choose();
        let mut rows: Vec<&mut Row> = self.rows.iter_mut().filter(|r| r.state != State::New).collect();
        let how = How { temperature: self.sampler.temperature, filter: self.sampler.filter, top: self.sampler.top };
        let store = &self.store;
        if store.pool().is_some() {
            // one queue of work for the device; those with much to run would pad the others to its length
            let seat = |row: &Row| row.cached.seat().map(|seat| seat.index);
            rows.sort_by_key(|row| (Reverse(row.pending()), seat(row)));
            for rows in rows.chunk_by_mut(|a, b| a.pending().ilog2() == b.pending().ilog2()) {
                run(decoder, from, rows, &how, store)?;
            }
        } else {
            let parts = parts(&mut rows, rayon::current_num_threads());
            let meeting = (self.together && parts.len() > 1).then(|| Meeting::new(parts.len()));
            let run = |(part, rows)| {
                let member = meeting.as_ref().map(|meeting| meeting.member(part));
                run(decoder, Sampled { meeting: member.as_ref(), ..from }, rows, &how, store)
            };
            // inside the pool, where a product that is split need not be handed over to it first
            rayon::scope(|_| parts.into_par_iter().enumerate().with_max_len(1).try_for_each(run))?;
        }
        self.part();
        Ok(())
    }

    /// Decides which newcomers are in this pass, after they have taken over what is cached of their contexts.
    fn choose(&mut self) {
        let mut tokens = 0;
        for i in 0..self.rows.len() {
            if self.rows[i].state != State::New {
                continue;
            }
            self.share(i);
            let row = &self.rows[i];
            let (cached, new) = (row.cached.len(), row.pending());
            let saves =
                |other: &Row| other.state == State::Entering && common(&other.ids, &row.ids) >= cached + WORTH_WAITING;
            let waits = tokens > 0 && (tokens + new > PREFILL_TOKENS || self.rows[..i].iter().any(saves));
            if !waits {
                tokens += new;
                self.rows[i].state = State::Entering;
            }
        }
    }

    /// Gives row `i` the longest beginning of its context that is cached anywhere, but for its last token: that must
    /// be run for the hidden state behind it.
    fn share(&mut self, i: usize) {
        let context = &self.rows[i].ids;
        let mut best = self.rows[i].cached.len();
        let mut source = None;
        for cached in self.rows.iter().map(|r| &r.cached).chain(self.idle.iter().map(|(_, c)| c)) {
            if cached.may_exceed(best, context) {
                let length = cached.common(context).min(context.len() - 1);
                (best, source) = if length > best { (length, Some(cached)) } else { (best, source) };
            }
        }
        if let Some(source) = source {
            self.rows[i].cached = source.fork(best);
        }
    }

    /// Takes out the rows that have ended.
    fn part(&mut self) {
        for row in self.rows.extract_if(.., |row| row.state == State::Ended) {
            self.idle.push_back((row.slot, row.cached));
            self.done.push(Finished { slot: row.slot, sample: row.sample });
        }
    }
}

/// Splits rows into parts of about equal work: one for a thread, but none of less than [`PART_TOKENS`]. Whole passes side
/// by side need far less waiting for each other than the products inside one, and give the same numbers.
fn parts<'r, 'x, 'a>(mut rows: &'r mut [&'x mut Row<'a>], threads: usize) -> Vec<&'r mut [&'x mut Row<'a>]> {
    let total: usize = rows.iter().map(|r| r.pending()).sum();
    let quota = total.div_ceil(threads).max(PART_TOKENS);
    let mut parts = vec![];
    while !rows.is_empty() {
        let mut tokens = 0;
        let full = rows.iter().position(|row| {
            tokens += row.pending();
            tokens >= quota
        });
        let end = full.map_or(rows.len(), |last| last + 1);
        let (part, rest) = std::mem::take(&mut rows).split_at_mut(end);
        parts.push(part);
        rows = rest;
    }
    parts
}

/// Runs all pending tokens of `rows`, and draws the next one of each.
fn run(decoder: &Decoder, from: Sampled, rows: &mut [&mut Row], how: &How, store: &Store) -> Result<()> {
    let mut input = Packed::new([]);
    for row in rows.iter_mut() {
        let from = row.cached.len();
        input.push(&row.ids[from..], from);
        row.cached.extend(store, &row.ids[from..])?;
    }
    let mut caches: Vec<&mut Sequence> = rows.iter_mut().map(|r| &mut r.cached).collect();
    let hidden = decoder.decode(from, &input, &mut caches, store)?;
    let at_once = (LOGITS / decoder.config.vocab_size).max(1);
    for (rows, segments) in rows.chunks_mut(at_once).zip(input.segments.chunks(at_once)) {
        let last: Vec<u32> = segments.iter().map(|s| s.end as u32 - 1).collect();
        let last = ops::pick(&hidden, &last)?;
        if plain::is(&last) && plain::draws(how) {
            let logits = from.product(&last, decoder.head())?;
            let drawn = plain::draw(&logits, how, |row| rows[row].rng.random())?;
            rows.iter_mut().zip(drawn).try_for_each(|(row, drawn)| row.take(drawn, how))?;
        } else {
            draw_all(rows, from.numbers(&last, decoder.head())?, how)?;
        }
    }
    Ok(())
}

/// Draws one token per row. `logits` [R, V].
fn draw_all(rows: &mut [&mut Row], mut logits: Vec<f32>, how: &How) -> Result<()> {
    let vocab = logits.len() / rows.len();
    rows.par_iter_mut().zip(logits.par_chunks_mut(vocab)).with_min_len(DRAWN / vocab + 1).try_for_each_init(
        Vec::new,
        |weights, (row, logits)| {
            let drawn = draw::draw(logits, how, weights, &mut row.rng);
            row.take(drawn, how)
        },
    )
}
