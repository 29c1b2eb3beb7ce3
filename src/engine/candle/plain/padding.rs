//! Between tokens laid end to end and rows of one length, which batched matrix products need.

use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};

/// Where there is no token: candle looks up 0 there, and writes nothing.
pub(super) const NONE: u32 = u32::MAX;
/// What is added to a score that no softmax shall notice.
const UNSEEN: f64 = 1e30;

/// The way from N tokens to S rows of T places, and back.
pub(in super::super) struct Padding {
    /// The token of every place, [S * T], and the place of every token, [N]; `None` = both are the same.
    ways: Option<[Tensor; 2]>,
}

impl Padding {
    /// `rows` are the tokens of each row, at most `t`; together all of 0..`n`, some may have none.
    pub fn new(rows: &[Range<usize>], t: usize, n: usize, device: &Device) -> Result<Self> {
        if rows.len() * t == n && rows.iter().enumerate().all(|(i, row)| *row == (i * t..(i + 1) * t)) {
            return Ok(Self { ways: None });
        }
        let (mut token, mut place) = (vec![NONE; rows.len() * t], vec![0u32; n]);
        for (i, row) in rows.iter().enumerate() {
            for (at, j) in (i * t..).zip(row.clone()) {
                (token[at], place[j]) = (j as u32, at as u32);
            }
        }
        Ok(Self { ways: Some([Tensor::new(token, device)?, Tensor::new(place, device)?]) })
    }

    /// [N, ...] -> [S * T, W], 0 where there is no token.
    pub fn spread(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.flatten_from(1)?;
        self.ways.as_ref().map_or(Ok(x.clone()), |[token, _]| x.index_select(token, 0))
    }

    /// [S * T, W] -> [N, W].
    pub fn gather(&self, x: &Tensor) -> Result<Tensor> {
        self.ways.as_ref().map_or(Ok(x.clone()), |[_, place]| x.index_select(place, 0))
    }
}

/// What is added to the scores of `keys` keys for queries that see those up to `last` [n, 1]: [n, keys], in the precision
/// of `like`.
pub(super) fn unseen(last: &Tensor, keys: usize, like: DType) -> Result<Tensor> {
    let keys = Tensor::arange(0u32, keys as u32, last.device())?.unsqueeze(0)?;
    last.broadcast_ge(&keys)?.to_dtype(like)?.affine(UNSEEN, -UNSEEN)
}
