//! Scores of given tokens from hidden states, and the way back from coefficients; see [`super::super::loss`] for what is
//! computed. Logits exist for one chunk of positions at a time.

use std::ops::Range;

use anyhow::Result;
use candle_core::{D, Device, Tensor};

use super::draw::most;
use super::{linear, linear_grad_input, linear_grad_weight, narrowed, single, wide, wide_zeros};
use crate::engine::Coefficients;
use crate::engine::candle::loss::{CHUNK, HIDDEN, LEAST_TAIL, Pull, Scored, Targets, pulls};

/// Positions with as many given tokens each, on the device.
struct Part {
    range: Range<usize>,
    from: Tensor,          // [m]
    target: Tensor,        // [m, 1]
    given: Option<Tensor>, // [m, K]
}

impl Part {
    fn new(targets: &Targets, range: Range<usize>, device: &Device) -> Result<Self> {
        let positions = &targets.positions[range.clone()];
        let (m, k) = (positions.len(), positions[0].given.len());
        let column = |ids: Vec<u32>, k: usize| Tensor::from_vec(ids, (m, k), device);
        let given: Vec<u32> = positions.iter().flat_map(|p| &targets.given[p.given.clone()]).copied().collect();
        Ok(Self {
            range,
            from: Tensor::from_vec(positions.iter().map(|p| p.from as u32).collect::<Vec<_>>(), m, device)?,
            target: column(positions.iter().map(|p| p.target).collect(), 1)?,
            given: if k == 0 { None } else { Some(column(given, k)?) },
        })
    }

    /// A column of numbers of the positions, [m, 1].
    fn column(&self, like: &Tensor, numbers: impl Iterator<Item = f32>) -> Result<Tensor> {
        let column = Tensor::from_vec(numbers.collect::<Vec<f32>>(), (self.range.len(), 1), like.device())?;
        Ok(column.to_dtype(like.dtype())?)
    }

    /// `z` with the given tokens' logits so low that no sum notices them.
    fn hidden(&self, z: &Tensor, lse: &Tensor, ids: &Tensor) -> Result<Tensor> {
        let low = (lse + f64::from(HIDDEN))?.broadcast_as(ids.shape())?.contiguous()?;
        Ok(z.scatter(ids, &low, D::Minus1)?)
    }
}

/// Runs of at most [`CHUNK`] positions that have as many given tokens each.
fn parts(targets: &Targets) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = vec![];
    for (i, position) in targets.positions.iter().enumerate() {
        let alike = |part: &Range<usize>| targets.positions[part.start].given.len() == position.given.len();
        match parts.last_mut() {
            Some(part) if part.len() < CHUNK && alike(part) => part.end = i + 1,
            _ => parts.push(i..i + 1),
        }
    }
    parts
}

/// logits [m, V] / temperature, and their log-sum-exp [m, 1].
fn logits(states: &Tensor, head: &Tensor, temperature: f32) -> Result<(Tensor, Tensor)> {
    let z = (wide(&linear(states, head)?)? / f64::from(temperature))?;
    let lse = z.log_sum_exp(D::Minus1)?.unsqueeze(1)?;
    Ok((z, lse))
}

/// As `loss::score`: hidden [N, D], head [V, D].
pub(in super::super) fn score(
    hidden: &Tensor,
    head: &Tensor,
    targets: &Targets,
    temperature: f32,
) -> Result<Vec<Scored>> {
    let mut scored = Vec::with_capacity(targets.positions.len());
    for range in parts(targets) {
        let part = Part::new(targets, range, hidden.device())?;
        let (z, lse) = logits(&hidden.index_select(&part.from, 0)?, head, temperature)?;
        let p = z.broadcast_sub(&lse)?.exp()?;
        let entropy = host(&(&lse - (p * &z)?.sum_keepdim(1)?)?)?;
        let logp = host(&(z.gather(&part.target, 1)? - &lse)?)?;
        let (mut given, mut tail, k) = (vec![], vec![], part.given.as_ref().map_or(0, |ids| ids.dims()[1]));
        if let Some(ids) = &part.given {
            given = host(&z.gather(ids, 1)?.broadcast_sub(&lse)?)?;
            tail = host(&(part.hidden(&z, &lse, ids)?.log_sum_exp(D::Minus1)?.unsqueeze(1)? - &lse)?)?;
        }
        let lse = host(&lse)?;
        let most_asked = targets.positions[part.range.clone()].iter().map(|p| p.top).max().unwrap_or(0);
        let top = if most_asked > 0 { most(&single(&z)?, most_asked)? } else { vec![vec![]; lse.len()] };
        for (i, position) in targets.positions[part.range.clone()].iter().enumerate() {
            let mut one = Scored { logp: logp[i], entropy: entropy[i], lse: lse[i], ..Scored::default() };
            if k > 0 {
                one.given = given[i * k..(i + 1) * k].to_vec();
                one.tail = tail[i].max(LEAST_TAIL);
            }
            one.top = top[i].iter().take(position.top).map(|(id, z)| (*id, z - lse[i])).collect();
            scored.push(one);
        }
    }
    Ok(scored)
}

/// As `loss::score_grad`: dL/dhidden [N, D] and, if `head_trained`, dL/dhead [V, D].
pub(in super::super) fn score_grad(
    hidden: &Tensor,
    head: &Tensor,
    targets: &Targets,
    scored: &[Scored],
    coefficients: &[Coefficients],
    temperature: f32,
    head_trained: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let pulls = pulls(targets, coefficients)?;
    let mut dhidden = hidden.zeros_like()?;
    let mut dhead = if head_trained { Some(wide_zeros(head)?) } else { None };
    for range in parts(targets) {
        let part = Part::new(targets, range, hidden.device())?;
        let states = hidden.index_select(&part.from, 0)?;
        let (z, lse) = logits(&states, head, temperature)?;
        let dz = pull_back(&part, &z, &lse, &scored[part.range.clone()], &pulls[part.range.clone()])?;
        let dz = narrowed(&(dz / f64::from(temperature))?, hidden)?;
        dhidden = dhidden.index_add(&part.from, &linear_grad_input(&dz, head, None)?, 0)?;
        dhead = dhead.map(|sum| linear_grad_weight(&dz, &states, Some(sum))).transpose()?;
    }
    Ok((dhidden, dhead))
}

/// dL/dz of a part; the formula stands at `loss::pull_back`.
fn pull_back(part: &Part, z: &Tensor, lse: &Tensor, scored: &[Scored], pulls: &[Pull]) -> Result<Tensor> {
    let each = || scored.iter().zip(pulls);
    let tail = |s: &Scored, pull: &Pull| if s.tail > LEAST_TAIL { pull.tail } else { 0.0 };
    let all = |(s, pull): (&Scored, &Pull)| {
        pull.logp + pull.given.iter().sum::<f32>() + tail(s, pull) + pull.entropy * s.entropy
    };
    let logp = z.broadcast_sub(lse)?;
    let slope = part.column(z, each().map(|(_, pull)| pull.entropy))?;
    let inner = logp.broadcast_mul(&slope)?.broadcast_add(&part.column(z, each().map(all))?)?;
    let mut dz = (logp.exp()? * inner)?.neg()?;
    if let Some(ids) = &part.given {
        let k = ids.dim(1)?;
        let pull = part.column(z, each().map(|(s, pull)| tail(s, pull)))?;
        let rest = part.column(z, each().map(|(s, _)| s.tail))?;
        let outside = part.hidden(&logp, &lse.zeros_like()?, ids)?.broadcast_sub(&rest)?.exp()?;
        dz = (dz + outside.broadcast_mul(&pull)?)?;
        let given: Vec<f32> =
            pulls.iter().flat_map(|pull| (0..k).map(|i| pull.given.get(i).copied().unwrap_or(0.0))).collect();
        let given = Tensor::from_vec(given, (pulls.len(), k), z.device())?.to_dtype(z.dtype())?;
        dz = dz.scatter_add(ids, &given, 1)?;
    }
    let own = part.column(z, pulls.iter().map(|pull| pull.logp))?;
    Ok(dz.scatter_add(&part.target, &own, 1)?)
}

/// All numbers, on the host.
fn host(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()?)
}
