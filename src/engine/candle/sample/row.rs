//! A reply on its way.

use anyhow::{Result, ensure};
use rand_chacha::ChaCha8Rng;

use crate::core::rng;
use crate::engine::candle::draw::{Drawn, How};
use crate::engine::candle::kv::Sequence;
use crate::engine::{Filter, Finish, Sample, SampleRequest, Sampler};
use crate::text::StopWatch;

pub(super) struct Row<'a> {
    pub slot: usize,
    /// Context and reply so far.
    pub ids: Vec<u32>,
    /// Tokens whose keys and values are there.
    pub cached: Sequence,
    /// Most tokens of the reply, and what it is called to reach that.
    pub limit: usize,
    pub cut: Finish,
    /// Most blocks it can come to hold.
    pub blocks: usize,
    pub rng: ChaCha8Rng,
    pub watch: StopWatch<'a>,
    pub sample: Sample,
    pub state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not run yet, and not in this pass.
    New,
    /// Run for the first time in this pass.
    Entering,
    Running,
    Ended,
}

impl<'a> Row<'a> {
    pub fn new(
        request: SampleRequest,
        limit: usize,
        blocks: usize,
        mut cached: Sequence,
        sampler: &'a Sampler,
    ) -> Self {
        cached.truncate(cached.common(&request.context).min(request.context.len() - 1));
        Self {
            slot: request.slot,
            cached,
            cut: if limit < request.limit { Finish::Context } else { Finish::Length },
            limit,
            blocks,
            rng: rng::stream(request.seed, "sample", &[]),
            watch: sampler.stops.watch(),
            sample: Sample::default(),
            state: State::New,
            ids: request.context,
        }
    }

    /// Tokens to be run.
    pub fn pending(&self) -> usize {
        self.ids.len() - self.cached.len()
    }

    /// Appends what was drawn; an error if the logits were no numbers.
    pub fn take(&mut self, drawn: Drawn, how: &How) -> Result<()> {
        ensure!(drawn.logp.is_finite(), "the model's logits are not finite numbers; its weights are spoilt");
        let sample = &mut self.sample;
        self.ids.push(drawn.id);
        sample.ids.push(drawn.id);
        sample.logp.push(drawn.logp);
        sample.entropy.push(drawn.entropy);
        if how.filter != Filter::NONE {
            sample.kept.push(drawn.kept);
        }
        sample.top.extend(drawn.top);
        let closed = self.watch.push(drawn.id);
        sample.finish = if closed { Finish::Stop } else { self.cut };
        let ended = closed || sample.ids.len() == self.limit;
        self.state = if ended { State::Ended } else { State::Running };
        Ok(())
    }
}
