//! Loops of the CPU path on plain slices. Compiled for several instruction sets and chosen at run time, so one
//! binary is fast everywhere. Reductions keep 16 partial sums in a fixed order: results do not depend on the
//! number of threads.

use multiversion::multiversion;

const LANES: usize = 16;

/// exp(x) by range reduction and a degree-6 polynomial (Cephes coefficients); relative error < 2e-7.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0; // round to nearest by magic number
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p =
        1.0 + r * (1.0 + r * (0.5 + r * (0.166_666_55 + r * (0.041_665_795 + r * (8.333_452e-3 + r * 1.398_2e-3)))));
    // n is an integer in [-126, 127] after the clamp, so the exponent bits are valid.
    p * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

#[inline(always)]
pub(super) fn sum_by(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let blocks = n / LANES;
    for b in 0..blocks {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f(b * LANES + l);
        }
    }
    let tail: f32 = (blocks * LANES..n).map(f).sum();
    lanes.iter().sum::<f32>() + tail
}

#[inline(always)]
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    sum_by(n, |i| x[i] * y[i])
}

#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    lanes.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// x += y
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// y = x * w / rms(x), row by row; returns 1/rms per row in `inv`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32], inv: &mut [f32]) {
    let d = w.len();
    for ((x, y), inv) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(inv) {
        let s = 1.0 / (dot(x, x) / d as f32 + eps).sqrt();
        for i in 0..d {
            y[i] = x[i] * s * w[i];
        }
        *inv = s;
    }
}

/// Adds to `dx` and `dw`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rms_norm_grad(x: &[f32], w: &[f32], inv: &[f32], g: &[f32], dx: &mut [f32], dw: &mut [f32]) {
    let d = w.len();
    for (((x, g), dx), &s) in x.chunks_exact(d).zip(g.chunks_exact(d)).zip(dx.chunks_exact_mut(d)).zip(inv) {
        let c = s * s * s / d as f32 * sum_by(d, |i| g[i] * w[i] * x[i]);
        for i in 0..d {
            dx[i] += g[i] * w[i] * s - x[i] * c;
            dw[i] += g[i] * x[i] * s;
        }
    }
}

/// h = silu(g) * u
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn swiglu(g: &[f32], u: &[f32], h: &mut [f32]) {
    let n = h.len();
    let (g, u) = (&g[..n], &u[..n]);
    for i in 0..n {
        h[i] = g[i] * u[i] / (1.0 + exp(-g[i]));
    }
}

/// Gradients of [`swiglu`] by its two inputs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn swiglu_grad(g: &[f32], u: &[f32], dh: &[f32], dg: &mut [f32], du: &mut [f32]) {
    let n = dh.len();
    let (g, u, dg, du) = (&g[..n], &u[..n], &mut dg[..n], &mut du[..n]);
    for i in 0..n {
        let s = 1.0 / (1.0 + exp(-g[i]));
        du[i] = dh[i] * g[i] * s;
        dg[i] = dh[i] * u[i] * s * (1.0 + g[i] * (1.0 - s));
    }
}

/// Softmax of `row` in place; returns log-sum-exp.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn softmax(row: &mut [f32]) -> f32 {
    let m = max(row);
    for x in row.iter_mut() {
        *x = exp(*x - m);
    }
    let sum = sum_by(row.len(), |i| row[i]);
    let inv = 1.0 / sum;
    for x in row.iter_mut() {
        *x *= inv;
    }
    m + sum.ln()
}

/// Log-sum-exp and entropy (nats) of softmax(row), the row unchanged.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn log_partition(row: &[f32]) -> (f32, f32) {
    let m = max(row);
    let (mut sums, mut means) = ([0f32; LANES], [0f32; LANES]);
    let (blocks, tail) = row.as_chunks::<LANES>();
    for block in blocks {
        for l in 0..LANES {
            let z = block[l] - m;
            let e = exp(z);
            sums[l] += e;
            means[l] += e * z;
        }
    }
    let (mut sum, mut mean) = (sums.iter().sum::<f32>(), means.iter().sum::<f32>());
    for z in tail {
        sum += exp(z - m);
        mean += exp(z - m) * (z - m);
    }
    (m + sum.ln(), sum.ln() - mean / sum)
}

/// Turns logits into `-p (a + b (log p + H))` in place: what a log-prob with coefficient `a` (but for its onehot) and the
/// entropy H with coefficient `b` send back.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn logits_grad(row: &mut [f32], lse: f32, entropy: f32, a: f32, b: f32) {
    for z in row.iter_mut() {
        let log_p = *z - lse;
        *z = -exp(log_p) * (a + b * (log_p + entropy));
    }
}

/// [`logits_grad`] plus `t p / exp(tail)`, what the log of a tail's mass sends back to its tokens.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn logits_grad_tail(row: &mut [f32], [lse, entropy, tail]: [f32; 3], a: f32, b: f32, t: f32) {
    for z in row.iter_mut() {
        let log_p = *z - lse;
        *z = t * exp(log_p - tail) - exp(log_p) * (a + b * (log_p + entropy));
    }
}

/// p = exp(s - lse), ds = p * (ds - delta) * scale; both in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn attention_row_grad(s: &mut [f32], ds: &mut [f32], lse: f32, delta: f32, scale: f32) {
    let n = s.len();
    let ds = &mut ds[..n];
    for i in 0..n {
        let p = exp(s[i] - lse);
        s[i] = p;
        ds[i] = p * (ds[i] - delta) * scale;
    }
}

/// AdamW with decoupled weight decay; `c1`, `c2` are the bias corrections `1/(1-beta^t)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn adamw(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], s: &AdamWStep) {
    let n = w.len();
    let (m, v, g) = (&mut m[..n], &mut v[..n], &g[..n]);
    for i in 0..n {
        let gi = g[i] * s.grad_scale;
        m[i] = s.beta1 * m[i] + (1.0 - s.beta1) * gi;
        v[i] = s.beta2 * v[i] + (1.0 - s.beta2) * gi * gi;
        w[i] = w[i] * (1.0 - s.lr * s.weight_decay) - s.lr * (m[i] * s.c1) / ((v[i] * s.c2).sqrt() + s.eps);
    }
}

/// Numbers of one AdamW update, in single precision.
pub(super) struct AdamWStep {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    pub c1: f32,
    pub c2: f32,
    pub grad_scale: f32,
}

/// A buffer that parallel tasks write disjoint parts of.
#[derive(Clone, Copy)]
pub(super) struct Out(*mut f32, usize);
// SAFETY: every access goes through the unsafe functions below, whose callers write disjoint elements.
unsafe impl Send for Out {}
unsafe impl Sync for Out {}

impl Out {
    pub fn of(v: &mut [f32]) -> Self {
        Self(v.as_mut_ptr(), v.len())
    }

    /// `n` numbers at `start`, which need not be numbers yet.
    pub fn at(start: *mut f32, n: usize) -> Self {
        Self(start, n)
    }

    /// SAFETY: the buffer is alive, and no two live slices of it touch the same elements.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn from(&self, start: usize) -> &mut [f32] {
        assert!(start <= self.1);
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), self.1 - start) }
    }

    /// SAFETY: the buffer is alive, and nobody else touches element `at` meanwhile.
    #[inline(always)]
    pub unsafe fn set(&self, at: usize, value: f32) {
        assert!(at < self.1);
        unsafe { *self.0.add(at) = value }
    }
}

/// A matrix inside a slice: element (i, j) is `data[start + i * row + j * col]`.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub col: usize,
}

/// out[m,n] (row stride `ldo`) = beta * out + alpha * a[m,k] b[k,n].
pub(super) fn gemm(dims: [usize; 3], a: Mat, b: Mat, out: &mut [f32], ldo: usize, alpha: f32, beta: f32) {
    let [m, _, n] = dims;
    assert!(m == 0 || (m - 1) * ldo + n <= out.len());
    // SAFETY: the assertion bounds what is written, and `out` is exclusively borrowed and initialised.
    unsafe { gemm_raw(dims, a, b, out.as_mut_ptr(), ldo, alpha, beta) }
}

/// a[m,k] b[k,n] in memory of its own, which is not cleared first.
pub(super) fn product(dims: [usize; 3], a: Mat, b: Mat) -> Vec<f32> {
    let [m, _, n] = dims;
    let mut out = Vec::with_capacity(m * n);
    // SAFETY: m * n numbers fit, with beta = 0 all of them are written and none is read.
    unsafe {
        gemm_raw(dims, a, b, out.as_mut_ptr(), n, 1.0, 0.0);
        out.set_len(m * n);
    }
    out
}

/// SAFETY: `out` can be written as [m, n] with `ldo` between rows by nobody else, and read too if `beta` is not 0.
unsafe fn gemm_raw(dims: [usize; 3], a: Mat, b: Mat, out: *mut f32, ldo: usize, alpha: f32, beta: f32) {
    let [m, k, n] = dims;
    if m == 0 || n == 0 {
        return;
    }
    let last = |mat: &Mat, r: usize, c: usize| (r - 1) * mat.row + (c - 1) * mat.col;
    assert!(k > 0 && last(&a, m, k) < a.data.len() && last(&b, k, n) < b.data.len());
    // Small products are not worth waking a thread for.
    let threads = if m * n * k > 1 << 20 { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: the assertion bounds every index the strides can reach in a and b; the caller vouches for `out`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            ldo as isize,
            beta != 0.0,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            beta,
            alpha,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for i in -8000..800 {
            let x = i as f32 / 100.0;
            let (got, want) = (exp(x) as f64, (x as f64).exp());
            assert!((got - want).abs() <= 4e-7 * want, "exp({x}) = {got}, not {want}");
        }
    }

    #[test]
    fn log_partition_of_uniform_is_log_n() {
        let (lse, h) = log_partition(&[2.0; 37]);
        assert!((lse - (2.0 + 37f32.ln())).abs() < 1e-5 && (h - 37f32.ln()).abs() < 1e-5);
    }

    #[test]
    fn gemm_accumulates_with_strides() {
        let (a, b) = ([1., 2., 3., 4.], [5., 6., 7., 8.]); // a^T b + 1
        let mut out = [1f32; 4];
        let (a, b) = (Mat { data: &a, row: 1, col: 2 }, Mat { data: &b, row: 2, col: 1 });
        gemm([2, 2, 2], a, b, &mut out, 2, 1.0, 1.0);
        assert_eq!(out, [27., 31., 39., 45.]);
    }
}
