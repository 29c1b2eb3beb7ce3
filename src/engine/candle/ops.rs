//! Operations of the decoder with their hand-written gradients, over packed rows: all sequences of a batch are
//! laid end to end, `[N, ...]` with N = total tokens, so nothing is padded.
//!
//! Shapes: N packed tokens, D width, H query heads, J key-value heads, E head size, F feed-forward width.
//! Sums over tokens (weight gradients) are done by matrix products or in fixed chunks, so a result does not
//! depend on the number of threads.

use std::ops::{Deref, Range};
use std::sync::OnceLock;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, StorageRef, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{self, Mat};
use super::model::Packed;
use super::plain;

/// Read access to the numbers of a contiguous f32 tensor on the CPU.
pub(super) struct Host<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl Deref for Host<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(data)) => &data[self.range.clone()],
            _ => &[], // excluded by `host`
        }
    }
}

/// Views a tensor's numbers; an error if it is not a contiguous f32 tensor in host memory.
pub(super) fn host(t: &Tensor) -> Result<Host<'_>> {
    let (storage, layout) = t.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("tensor {:?} is not contiguous", t.shape()) };
    if !matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))) {
        bail!("expected an f32 tensor in host memory, got {:?} on {:?}", t.dtype(), t.device().location())
    }
    Ok(Host { storage, range: start..end })
}

pub(super) fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &Device::Cpu)
}

/// Lets `f` write into the numbers of `t`, which must be the caller's alone: clones of a tensor share its storage.
pub(super) fn update(t: &Tensor, f: impl Fn(&mut [f32])) -> Result<()> {
    t.inplace_op1(&Update(f))
}

struct Update<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for Update<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(data), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("expected a contiguous f32 tensor")
        };
        (self.0)(&mut data[start..end]);
        Ok(())
    }
}

/// All numbers of a tensor, wherever it is.
pub(super) fn numbers(t: &Tensor) -> Result<Vec<f32>> {
    if plain::is(t) { t.to_dtype(DType::F32)?.flatten_all()?.to_vec1() } else { Ok(host(t)?.to_vec()) }
}

/// The rows `ids` of x [N, D].
pub(super) fn pick(x: &Tensor, ids: &[u32]) -> Result<Tensor> {
    if plain::is(x) {
        let all = ids.len() == x.dim(0)? && ids.iter().copied().eq(0..ids.len() as u32);
        return if all { Ok(x.clone()) } else { x.index_select(&Tensor::new(ids, x.device())?, 0) };
    }
    let (_, d) = x.dims2()?;
    let xs = host(x)?;
    tensor(ids.iter().flat_map(|id| &xs[*id as usize * d..][..d]).copied().collect(), (ids.len(), d))
}

/// x + y, element-wise.
pub(super) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if plain::is(x) {
        return x + y;
    }
    let (xs, ys) = (host(x)?, host(y)?);
    tensor(xs.iter().zip(ys.iter()).map(|(x, y)| x + y).collect(), x.shape())
}

/// x + y in the memory of x, which must be the caller's alone.
pub(super) fn add_into(x: Tensor, y: &Tensor) -> Result<Tensor> {
    if plain::is(&x) {
        return x + y;
    }
    let ys = host(y)?;
    update(&x, |x| {
        (x.par_chunks_mut(CHUNK), ys.par_chunks(CHUNK)).into_par_iter().for_each(|(x, y)| cpu::add(x, y));
    })?;
    Ok(x)
}

/// Elements a thread handles at a time in element-wise loops.
const CHUNK: usize = 1 << 14;

/// How the matrix at a place is applied: x [N, K] -> [N, M], by [`linear`] or by what the sampler has of it.
pub(super) type Product<'a> = &'a (dyn Fn(&Tensor, usize) -> Result<Tensor> + Sync);

/// y = x w^T: x [N, K], w [M, K] -> [N, M]. The order of summation depends on N.
pub(super) fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if plain::is(x) {
        return plain::linear(x, w);
    }
    let ((n, k), (m, _)) = (x.dims2()?, w.dims2()?);
    let (xs, ws) = (host(x)?, host(w)?);
    let (a, b) = (Mat { data: &xs, row: k, col: 1 }, Mat { data: &ws, row: 1, col: k });
    tensor(cpu::product([n, k, m], a, b), (n, m))
}

/// Gradient of [`linear`] by its input: g [N, M], w [M, K] -> [N, K]; added to `onto` if there is one, which must be
/// the caller's alone.
pub(super) fn linear_grad_input(g: &Tensor, w: &Tensor, onto: Option<Tensor>) -> Result<Tensor> {
    if plain::is(g) {
        return plain::linear_grad_input(g, w, onto);
    }
    let ((n, m), (_, k)) = (g.dims2()?, w.dims2()?);
    let (gs, ws) = (host(g)?, host(w)?);
    product([n, m, k], Mat { data: &gs, row: m, col: 1 }, Mat { data: &ws, row: k, col: 1 }, onto)
}

/// Gradient of [`linear`] by its weight: g [N, M], x [N, K] -> [M, K]; added to `onto` as above.
pub(super) fn linear_grad_weight(g: &Tensor, x: &Tensor, onto: Option<Tensor>) -> Result<Tensor> {
    if plain::is(g) {
        return plain::linear_grad_weight(g, x, onto);
    }
    let ((n, m), (_, k)) = (g.dims2()?, x.dims2()?);
    let (gs, xs) = (host(g)?, host(x)?);
    product([m, n, k], Mat { data: &gs, row: 1, col: m }, Mat { data: &xs, row: k, col: 1 }, onto)
}

/// a[m,k] b[k,n], added to `onto` if there is one.
fn product(dims: [usize; 3], a: Mat, b: Mat, onto: Option<Tensor>) -> Result<Tensor> {
    let Some(sum) = onto else { return tensor(cpu::product(dims, a, b), (dims[0], dims[2])) };
    update(&sum, |sum| cpu::gemm(dims, a, b, sum, dims[2], 1.0, 1.0))?;
    Ok(sum)
}

/// x [N, M] + b [M], row by row, in the memory of x, which must be the caller's alone.
pub(super) fn add_bias(x: Tensor, b: &Tensor) -> Result<Tensor> {
    if plain::is(&x) {
        return plain::add_bias(&x, b);
    }
    let bs = host(b)?;
    update(&x, |x| x.chunks_exact_mut(bs.len()).for_each(|x| cpu::add(x, &bs)))?;
    Ok(x)
}

/// Gradient of [`add_bias`] by the bias: g [N, M] -> [M].
pub(super) fn bias_grad(g: &Tensor) -> Result<Tensor> {
    if plain::is(g) {
        return plain::bias_grad(g);
    }
    let (_, m) = g.dims2()?;
    let mut db = vec![0f32; m];
    host(g)?.chunks_exact(m).for_each(|g| db.iter_mut().zip(g).for_each(|(b, g)| *b += g));
    tensor(db, m)
}

/// RMSNorm over the last `w.len()` numbers of x; also 1/rms per normalised group, where the backward pass wants it.
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<(Tensor, Option<Tensor>)> {
    if plain::is(x) {
        return Ok((plain::rms_norm(x, w, eps)?, None));
    }
    let (xs, ws) = (host(x)?, host(w)?);
    let d = ws.len();
    let rows = CHUNK / d + 1;
    let (mut y, mut inv) = (vec![0f32; xs.len()], vec![0f32; xs.len() / d]);
    (xs.par_chunks(rows * d), y.par_chunks_mut(rows * d), inv.par_chunks_mut(rows))
        .into_par_iter()
        .for_each(|(x, y, inv)| cpu::rms_norm(x, &ws, eps as f32, y, inv));
    let groups = inv.len();
    Ok((tensor(y, x.shape())?, Some(tensor(inv, groups)?)))
}

/// Gradients of [`rms_norm`] by input, added to `base` if there is one, and by weight. `eps` is that of the norm.
pub(super) fn rms_norm_grad(
    x: &Tensor,
    (w, eps): (&Tensor, f64),
    inv: Option<&Tensor>,
    g: &Tensor,
    base: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let Some(inv) = inv else { return plain::rms_norm_grad(x, w, eps, g, base) };
    let (xs, ws, gs, inv) = (host(x)?, host(w)?, host(g)?, host(inv)?);
    let d = ws.len();
    let rows = CHUNK / d + 1;
    let mut dx =
        base.map_or_else(|| Ok(vec![0f32; xs.len()]), |base| Ok::<_, candle_core::Error>(host(base)?.to_vec()))?;
    let partial: Vec<Vec<f32>> =
        (xs.par_chunks(rows * d), inv.par_chunks(rows), gs.par_chunks(rows * d), dx.par_chunks_mut(rows * d))
            .into_par_iter()
            .map(|(x, inv, g, dx)| {
                let mut dw = vec![0f32; d];
                cpu::rms_norm_grad(x, &ws, inv, g, dx, &mut dw);
                dw
            })
            .collect();
    let dw = (0..d).map(|i| partial.iter().map(|p| p[i]).sum()).collect();
    Ok((tensor(dx, x.shape())?, tensor(dw, d)?))
}

/// cos and sin of position * frequency: [context, E/2] each.
pub(super) struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
    /// The same where other devices compute; made when first asked for.
    there: OnceLock<[Tensor; 2]>,
}

impl Rope {
    /// `frequencies` [E/2] in radians per position; the rotate-half layout of Hugging Face models.
    pub fn new(context: usize, frequencies: &[f32]) -> Self {
        let table =
            |f: fn(f32) -> f32| (0..context).flat_map(|p| frequencies.iter().map(move |w| f(p as f32 * w))).collect();
        Self { cos: table(f32::cos), sin: table(f32::sin), half: frequencies.len(), there: OnceLock::new() }
    }

    /// Rotates x [N, heads, E], which must be the caller's alone, by each token's position; `sign` -1 is the inverse,
    /// which is also the gradient.
    pub fn rotate(&self, x: Tensor, input: &Packed, sign: f32) -> Result<Tensor> {
        if plain::is(&x) {
            return self.rotate_there(&x, input, sign);
        }
        let (_, heads, e) = x.dims3()?;
        let row = heads * e;
        let rows = CHUNK / row + 1;
        update(&x, |x| {
            (x.par_chunks_mut(rows * row), input.positions.par_chunks(rows)).into_par_iter().for_each(
                |(x, positions)| {
                    for (x, &p) in x.chunks_exact_mut(row).zip(positions) {
                        self.rotate_token(x, p as usize, sign);
                    }
                },
            );
        })?;
        Ok(x)
    }

    fn rotate_there(&self, x: &Tensor, input: &Packed, sign: f32) -> Result<Tensor> {
        let index = input.on(x.device())?;
        let [cos, sin, minus] = match index.turns.get() {
            Some(turns) => turns,
            None => {
                let turns = self.turns(&index.positions, x)?;
                index.turns.get_or_init(|| turns)
            }
        };
        plain::rotate(x, cos, if sign < 0.0 { minus } else { sin })
    }

    /// cos, sin and -sin of `positions` [N], in the precision of `like`.
    fn turns(&self, positions: &Tensor, like: &Tensor) -> Result<[Tensor; 3]> {
        let table = |numbers: &[f32]| Tensor::from_slice(numbers, ((), self.half), like.device());
        let [cos, sin] = match self.there.get() {
            Some(tables) => tables,
            None => {
                let tables = [table(&self.cos)?, table(&self.sin)?];
                self.there.get_or_init(|| tables)
            }
        };
        let of = |table: &Tensor| table.index_select(positions, 0)?.to_dtype(like.dtype());
        let (cos, sin) = (of(cos)?, of(sin)?);
        let minus = sin.neg()?;
        Ok([cos, sin, minus])
    }

    fn rotate_token(&self, x: &mut [f32], position: usize, sign: f32) {
        let h = self.half;
        let (cos, sin) = (&self.cos[position * h..][..h], &self.sin[position * h..][..h]);
        for x in x.chunks_exact_mut(2 * h) {
            let (a, b) = x.split_at_mut(h);
            for i in 0..h {
                let (s, x, y) = (sin[i] * sign, a[i], b[i]);
                a[i] = x * cos[i] - y * s;
                b[i] = y * cos[i] + x * s;
            }
        }
    }
}

/// silu(gate) * up, all [N, F].
pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if plain::is(gate) {
        return plain::swiglu(gate, up);
    }
    let (g, u) = (host(gate)?, host(up)?);
    let mut h = vec![0f32; g.len()];
    (g.par_chunks(CHUNK), u.par_chunks(CHUNK), h.par_chunks_mut(CHUNK))
        .into_par_iter()
        .for_each(|(g, u, h)| cpu::swiglu(g, u, h));
    tensor(h, gate.shape())
}

/// Gradients of [`swiglu`] by gate and up.
pub(super) fn swiglu_grad(gate: &Tensor, up: &Tensor, dh: &Tensor) -> Result<(Tensor, Tensor)> {
    if plain::is(gate) {
        return plain::swiglu_grad(gate, up, dh);
    }
    let (g, u, dh) = (host(gate)?, host(up)?, host(dh)?);
    let (mut dg, mut du) = (vec![0f32; g.len()], vec![0f32; g.len()]);
    (
        g.par_chunks(CHUNK),
        u.par_chunks(CHUNK),
        dh.par_chunks(CHUNK),
        dg.par_chunks_mut(CHUNK),
        du.par_chunks_mut(CHUNK),
    )
        .into_par_iter()
        .for_each(|(g, u, dh, dg, du)| cpu::swiglu_grad(g, u, dh, dg, du));
    Ok((tensor(dg, gate.shape())?, tensor(du, gate.shape())?))
}

/// Rows of `table` [V, D] picked by the ids of `input` -> [N, D].
pub(super) fn embed(table: &Tensor, input: &Packed) -> Result<Tensor> {
    let (v, d) = table.dims2()?;
    if let Some(id) = input.ids.iter().find(|id| **id as usize >= v) {
        bail!("token id {id} is outside the vocabulary of {v}")
    }
    if plain::is(table) {
        return table.index_select(&input.on(table.device())?.ids, 0);
    }
    let rows = host(table)?;
    let mut h = Vec::with_capacity(input.ids.len() * d);
    for &id in &input.ids {
        h.extend_from_slice(&rows[id as usize * d..][..d]);
    }
    tensor(h, (input.ids.len(), d))
}

/// Adds the gradient of [`embed`] to `dtable` [V, D], which must be the caller's alone; `None` = zero.
pub(super) fn embed_grad(table: &Tensor, dtable: Option<Tensor>, input: &Packed, dh: &Tensor) -> Result<Tensor> {
    if plain::is(dh) {
        return plain::embed_grad(table, dtable, &input.on(dh.device())?.ids, dh);
    }
    let dtable = dtable.map_or_else(|| tensor(vec![0f32; table.elem_count()], table.shape()), Ok)?;
    let (_, d) = dh.dims2()?;
    let dh = host(dh)?;
    update(&dtable, |dtable| {
        for (&id, dh) in input.ids.iter().zip(dh.chunks_exact(d)) {
            cpu::add(&mut dtable[id as usize * d..][..d], dh);
        }
    })?;
    Ok(dtable)
}
