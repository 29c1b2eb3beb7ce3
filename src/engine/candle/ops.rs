//! Operations of the decoder with their hand-written gradients, over packed rows: all sequences of a batch are
//! laid end to end, `[N, ...]` with N = total tokens, so nothing is padded.
//!
//! Shapes: N packed tokens, D width, H query heads, J key-value heads, E head size, F feed-forward width.
//! Sums over tokens (weight gradients) are done by matrix products or in fixed chunks, so a result does not
//! depend on the number of threads.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Result, Shape, Storage, StorageRef, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{self, Mat};
use super::dot::dot_product;

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

/// x + y, element-wise.
pub(super) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (xs, ys) = (host(x)?, host(y)?);
    tensor(xs.iter().zip(ys.iter()).map(|(x, y)| x + y).collect(), x.shape())
}

/// Elements a thread handles at a time in element-wise loops.
const CHUNK: usize = 1 << 14;

/// How a matrix is applied: [`linear`] or [`linear_by_row`].
pub(super) type Product = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// y = x w^T: x [N, K], w [M, K] -> [N, M]. The order of summation depends on N.
pub(super) fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let ((n, k), (m, _)) = (x.dims2()?, w.dims2()?);
    let mut y = vec![0f32; n * m];
    let (xs, ws) = (host(x)?, host(w)?);
    let (a, b) = (Mat { data: &xs, row: k, col: 1 }, Mat { data: &ws, row: 1, col: k });
    cpu::gemm([n, k, m], a, b, &mut y, m, 1.0, 0.0);
    tensor(y, (n, m))
}

/// [`linear`] for sampling: every row's result is the same to the last bit whatever rows are beside it.
pub(super) fn linear_by_row(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let ((n, k), (m, _)) = (x.dims2()?, w.dims2()?);
    let mut y = vec![0f32; n * m];
    dot_product(&host(x)?, &host(w)?, k, &mut y);
    tensor(y, (n, m))
}

/// Gradient of [`linear`] by its input: g [N, M], w [M, K] -> [N, K].
pub(super) fn linear_grad_input(g: &Tensor, w: &Tensor) -> Result<Tensor> {
    let ((n, m), (_, k)) = (g.dims2()?, w.dims2()?);
    let mut dx = vec![0f32; n * k];
    let (gs, ws) = (host(g)?, host(w)?);
    let (a, b) = (Mat { data: &gs, row: m, col: 1 }, Mat { data: &ws, row: k, col: 1 });
    cpu::gemm([n, m, k], a, b, &mut dx, k, 1.0, 0.0);
    tensor(dx, (n, k))
}

/// Gradient of [`linear`] by its weight: g [N, M], x [N, K] -> [M, K].
pub(super) fn linear_grad_weight(g: &Tensor, x: &Tensor) -> Result<Tensor> {
    let ((n, m), (_, k)) = (g.dims2()?, x.dims2()?);
    let mut dw = vec![0f32; m * k];
    let (gs, xs) = (host(g)?, host(x)?);
    let (a, b) = (Mat { data: &gs, row: 1, col: m }, Mat { data: &xs, row: k, col: 1 });
    cpu::gemm([m, n, k], a, b, &mut dw, k, 1.0, 0.0);
    tensor(dw, (m, k))
}

/// x [N, M] + b [M], row by row.
pub(super) fn add_bias(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (xs, bs) = (host(x)?, host(b)?);
    let mut y = xs.to_vec();
    y.chunks_exact_mut(bs.len()).for_each(|y| y.iter_mut().zip(bs.iter()).for_each(|(y, b)| *y += b));
    tensor(y, x.shape())
}

/// Gradient of [`add_bias`] by the bias: g [N, M] -> [M].
pub(super) fn bias_grad(g: &Tensor) -> Result<Tensor> {
    let (_, m) = g.dims2()?;
    let mut db = vec![0f32; m];
    host(g)?.chunks_exact(m).for_each(|g| db.iter_mut().zip(g).for_each(|(b, g)| *b += g));
    tensor(db, m)
}

/// RMSNorm over the last `w.len()` numbers of x; also 1/rms per normalised group.
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<(Tensor, Vec<f32>)> {
    let (xs, ws) = (host(x)?, host(w)?);
    let d = ws.len();
    let rows = CHUNK / d + 1;
    let (mut y, mut inv) = (vec![0f32; xs.len()], vec![0f32; xs.len() / d]);
    (xs.par_chunks(rows * d), y.par_chunks_mut(rows * d), inv.par_chunks_mut(rows))
        .into_par_iter()
        .for_each(|(x, y, inv)| cpu::rms_norm(x, &ws, eps as f32, y, inv));
    Ok((tensor(y, x.shape())?, inv))
}

/// Gradients of [`rms_norm`] by input and weight.
pub(super) fn rms_norm_grad(x: &Tensor, w: &Tensor, inv: &[f32], g: &Tensor) -> Result<(Tensor, Tensor)> {
    let (xs, ws, gs) = (host(x)?, host(w)?, host(g)?);
    let d = ws.len();
    let rows = CHUNK / d + 1;
    let mut dx = vec![0f32; xs.len()];
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
}

impl Rope {
    /// `frequencies` [E/2] in radians per position; the rotate-half layout of Hugging Face models.
    pub fn new(context: usize, frequencies: &[f32]) -> Self {
        let table =
            |f: fn(f32) -> f32| (0..context).flat_map(|p| frequencies.iter().map(move |w| f(p as f32 * w))).collect();
        Self { cos: table(f32::cos), sin: table(f32::sin), half: frequencies.len() }
    }

    /// Rotates x [N, heads, E] by each token's position; `sign` -1 is the inverse, which is also the gradient.
    pub fn rotate(&self, x: &Tensor, positions: &[u32], sign: f32) -> Result<Tensor> {
        let (_, heads, e) = x.dims3()?;
        let xs = host(x)?;
        let mut y = vec![0f32; xs.len()];
        let row = heads * e;
        let rows = CHUNK / row + 1;
        (xs.par_chunks(rows * row), y.par_chunks_mut(rows * row), positions.par_chunks(rows)).into_par_iter().for_each(
            |(x, y, positions)| {
                for ((x, y), &p) in x.chunks_exact(row).zip(y.chunks_exact_mut(row)).zip(positions) {
                    self.rotate_token(x, y, p as usize, sign);
                }
            },
        );
        tensor(y, x.shape())
    }

    fn rotate_token(&self, x: &[f32], y: &mut [f32], position: usize, sign: f32) {
        let h = self.half;
        let (cos, sin) = (&self.cos[position * h..][..h], &self.sin[position * h..][..h]);
        for (x, y) in x.chunks_exact(2 * h).zip(y.chunks_exact_mut(2 * h)) {
            let ((a, b), (ya, yb)) = (x.split_at(h), y.split_at_mut(h));
            for i in 0..h {
                let s = sin[i] * sign;
                ya[i] = a[i] * cos[i] - b[i] * s;
                yb[i] = b[i] * cos[i] + a[i] * s;
            }
        }
    }
}

/// silu(gate) * up, all [N, F].
pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let (g, u) = (host(gate)?, host(up)?);
    let mut h = vec![0f32; g.len()];
    (g.par_chunks(CHUNK), u.par_chunks(CHUNK), h.par_chunks_mut(CHUNK))
        .into_par_iter()
        .for_each(|(g, u, h)| cpu::swiglu(g, u, h));
    tensor(h, gate.shape())
}

/// Gradients of [`swiglu`] by gate and up.
pub(super) fn swiglu_grad(gate: &Tensor, up: &Tensor, dh: &Tensor) -> Result<(Tensor, Tensor)> {
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

/// Rows of `table` [V, D] picked by `ids` -> [N, D].
pub(super) fn embed(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let (v, d) = table.dims2()?;
    let rows = host(table)?;
    let mut h = Vec::with_capacity(ids.len() * d);
    for &id in ids {
        if id as usize >= v {
            bail!("token id {id} is outside the vocabulary of {v}")
        }
        h.extend_from_slice(&rows[id as usize * d..][..d]);
    }
    tensor(h, (ids.len(), d))
}

/// Adds the gradient of [`embed`] into `dtable` [V * D].
pub(super) fn embed_grad(dtable: &mut [f32], ids: &[u32], dh: &Tensor) -> Result<()> {
    let (_, d) = dh.dims2()?;
    let dh = host(dh)?;
    for (&id, dh) in ids.iter().zip(dh.chunks_exact(d)) {
        for (w, g) in dtable[id as usize * d..][..d].iter_mut().zip(dh) {
            *w += g;
        }
    }
    Ok(())
}
