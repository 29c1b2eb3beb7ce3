//! Rows laid end to end.

use std::ops::Range;
use std::sync::OnceLock;

use candle_core::{Device, Result, Tensor};

use crate::engine::candle::plain::Padding;

/// Packed input of a forward pass: sequences end to end.
#[derive(Default)]
pub(in super::super) struct Packed {
    pub ids: Vec<u32>,               // [N]
    pub positions: Vec<u32>,         // [N]
    pub segments: Vec<Range<usize>>, // one per sequence
    /// The same for another device; made when first asked for, and so after the last [`Packed::push`].
    there: OnceLock<Index>,
}

/// A packed input on a device.
pub(in super::super) struct Index {
    pub ids: Tensor,       // [N]
    pub positions: Tensor, // [N]
    pub padding: Padding,
    /// cos, sin and -sin of every token's position, [N, E/2]; made when first asked for.
    pub turns: OnceLock<[Tensor; 3]>,
}

impl Packed {
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut packed = Self::default();
        for row in rows {
            packed.push(row, 0);
        }
        packed
    }

    /// Adds `ids` that stand at `offset` of their sequence.
    pub fn push(&mut self, ids: &[u32], offset: usize) {
        let start = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.positions.extend((0..ids.len()).map(|i| (offset + i) as u32));
        self.segments.push(start..self.ids.len());
    }

    /// Tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        self.segments.iter().map(|s| s.len()).max().unwrap_or(0)
    }

    /// The input on `device`, the only one it is asked for.
    pub fn on(&self, device: &Device) -> Result<&Index> {
        if let Some(index) = self.there.get() {
            return Ok(index);
        }
        let index = Index {
            ids: Tensor::new(&self.ids[..], device)?,
            positions: Tensor::new(&self.positions[..], device)?,
            padding: Padding::new(&self.segments, self.longest(), self.ids.len(), device)?,
            turns: OnceLock::new(),
        };
        Ok(self.there.get_or_init(|| index))
    }
}
