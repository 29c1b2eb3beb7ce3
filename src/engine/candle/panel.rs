//! The matrix product of sampling: every row on its own, weights in the order in which they are read.
//!
//! A decoding step multiplies few rows by every weight of the model. [`Panels`] holds a matrix once more, 32 outputs
//! side by side, so that a step reads it from end to end in whole aligned cache lines, and multiplies each line by one
//! number of every row: 1.5 to 1.8 times as fast as dot products over the rows of the matrix as it stands. Making it costs
//! about as much as two steps.
//!
//! Every output is a chain of fused multiply-adds over 256 steps of k, to which those over the next 256 are added, and so
//! on. A row's result therefore is the same to the last bit whatever other rows are beside it and however many threads work. (A blocked product, as the `gemm`
//! crate's, chooses its blocks and with them its order of summation by the number of rows.) AVX-512, AVX2 and 64-bit Arm
//! agree to the last bit too; without fused multiply-add the last bits differ.

use rayon::prelude::*;

use super::cpu::Out;

/// Numbers summed by one instruction, at best.
const LANES: usize = 16;
/// Outputs of a panel.
const WIDTH: usize = 2 * LANES;
/// Steps over k after which the next rows are taken: the weights of so many stay in the nearest cache. Shorter chains lose
/// less to rounding, too.
const DEPTH: usize = 256;
/// Multiply-adds worth a task of their own (some ten microseconds).
const TASK: usize = 1 << 20;
/// Rows whose sums are kept while the weights go by: as many as the second cache holds the inputs of.
const ROWS: usize = 256;
/// Panels that few rows are multiplied by at a time; more sums on their way hide how long each takes.
const ABREAST: usize = 4;

/// A matrix w [M, K] as the sampler reads it: panels of 32 outputs, in each of them the weights [K, 32].
pub(super) struct Panels {
    lines: Vec<Line>,
    m: usize,
    k: usize,
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; LANES]);

impl Panels {
    /// `w` [M, K], row by row.
    pub fn of(w: &[f32], k: usize) -> Self {
        let m = w.len() / k;
        let mut panels = Self { lines: vec![Line([0.0; LANES]); m.div_ceil(WIDTH) * 2 * k], m, k };
        panels.fill(w);
        panels
    }

    /// Takes another matrix of the same shape.
    pub fn fill(&mut self, w: &[f32]) {
        let k = self.k;
        assert!(w.len() == self.m * k, "a matrix has another shape than its panels");
        (self.lines.par_chunks_mut(2 * k), w.par_chunks(WIDTH * k)).into_par_iter().for_each(|(lines, w)| {
            for (c, w) in w.chunks_exact(k).enumerate() {
                for (lines, w) in lines.chunks_exact_mut(2).zip(w) {
                    lines[c / LANES].0[c % LANES] = *w;
                }
            }
        });
    }

    /// [M, K]
    pub fn shape(&self) -> [usize; 2] {
        [self.m, self.k]
    }

    /// x [N, K] w^T -> [N, M]
    pub fn product(&self, x: &[f32]) -> Vec<f32> {
        let (m, k) = (self.m, self.k);
        let n = x.len() / k;
        let mut y = Vec::with_capacity(n * m);
        let out: *mut f32 = y.as_mut_ptr();
        // SAFETY: row i is within the capacity.
        let row = |(i, x)| Row { x, y: Out::at(unsafe { out.add(i * m) }, m) };
        let rows: Vec<Row> = x.chunks_exact(k).enumerate().map(row).collect();
        let tasks = (n * m * k / TASK).clamp(1, 4 * rayon::current_num_threads());
        match tasks {
            1 => self.share(&rows, 0, 1),
            _ => (0..tasks).into_par_iter().for_each(|task| self.share(&rows, task, tasks)),
        }
        // SAFETY: the shares together have written all outputs of all rows.
        unsafe { y.set_len(n * m) };
        y
    }

    /// Multiplies by one of `parts` shares of the panels.
    pub fn share(&self, rows: &[Row], part: usize, parts: usize) {
        let panels = self.m.div_ceil(WIDTH);
        block(&Block { rows, w: self, panels: [panels * part / parts, panels * (part + 1) / parts] });
    }
}

/// A row of a product.
pub(super) struct Row<'a> {
    pub x: &'a [f32], // [K]
    pub y: Out,       // [M]
}

/// Part of a product: some rows times some panels of `w`.
struct Block<'a> {
    rows: &'a [Row<'a>],
    w: &'a Panels,
    panels: [usize; 2],
}

#[cfg(target_arch = "x86_64")]
fn block(b: &Block) {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there.
        unsafe { x86::block512(b) }
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features are there.
        unsafe { x86::block256(b) }
    } else {
        all::<Plain, 2>(b)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn block(b: &Block) {
    all::<Plain, 2>(b)
}

/// A line's worth of numbers.
trait Lanes: Copy {
    const ZERO: Self;
    /// # Safety
    /// `from` holds [`LANES`] numbers.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `to` holds [`LANES`] numbers.
    unsafe fn add_to(self, to: *mut f32);
    /// self + x * w, lane by lane.
    unsafe fn add_product(self, x: f32, w: Self) -> Self;
}

/// Sums of many rows by one panel, or of one row by several.
type Sums = [[f32; WIDTH]; ROWS];

/// Goes through a block, R rows at a time.
#[inline(always)]
fn all<L: Lanes, const R: usize>(b: &Block) {
    let n = b.rows.len();
    let mut sums: Sums = [[0.0; WIDTH]; ROWS];
    for start in (0..n).step_by(ROWS) {
        let rows = ROWS.min(n - start);
        let [mut panel, last] = b.panels;
        while panel < last {
            // a single row alone would wait for each of its sums
            let abreast = if rows == 1 && last - panel >= ABREAST { ABREAST } else { 1 };
            sums[..rows * abreast].fill([0.0; WIDTH]);
            for from in (0..b.w.k).step_by(DEPTH) {
                let mut row = 0;
                while row < rows {
                    let (at, sums) = ([start, row], &mut sums);
                    row += match rows - row {
                        left if left >= R => tile::<L, R, 1>(b, at, panel, from, sums),
                        left if left >= 4 && R > 4 => tile::<L, 4, 1>(b, at, panel, from, sums),
                        left if left >= 2 => tile::<L, 2, 1>(b, at, panel, from, sums),
                        _ if abreast > 1 => tile::<L, 1, ABREAST>(b, at, panel, from, sums),
                        _ => tile::<L, 1, 1>(b, at, panel, from, sums),
                    };
                }
            }
            for sums in sums[..rows * abreast].chunks(rows) {
                write(b, start, panel, sums);
                panel += 1;
            }
        }
    }
}

/// Adds the products of at most [`DEPTH`] steps over k, from `from` on, to the sums of R rows and P panels, one of which is
/// 1. Returns R.
#[inline(always)]
fn tile<L: Lanes, const R: usize, const P: usize>(
    b: &Block,
    [start, row]: [usize; 2],
    panel: usize,
    from: usize,
    sums: &mut Sums,
) -> usize {
    let k = b.w.k;
    let steps = DEPTH.min(k - from);
    let x: [&[f32]; R] = std::array::from_fn(|r| &b.rows[start + row + r].x[from..][..steps]);
    let w: [&[Line]; P] = std::array::from_fn(|p| &b.w.lines[2 * ((panel + p) * k + from)..][..2 * steps]);
    let w = w.map(|lines| lines.as_ptr().cast::<f32>());
    let x = x.map(<[f32]>::as_ptr);
    let mut on = [[[L::ZERO; 2]; P]; R];
    for i in 0..steps {
        for p in 0..P {
            // SAFETY: i < steps: the panel has two lines and every row a number there.
            unsafe {
                let at = w[p].add(i * WIDTH);
                fetch(at.wrapping_add(AHEAD));
                fetch(at.wrapping_add(AHEAD + LANES));
                let w = [L::load(at), L::load(at.add(LANES))];
                for (on, x) in on.iter_mut().zip(x) {
                    let x = *x.add(i);
                    on[p] = [on[p][0].add_product(x, w[0]), on[p][1].add_product(x, w[1])];
                }
            }
        }
    }
    for (r, on) in on.into_iter().enumerate() {
        for (p, [low, high]) in on.into_iter().enumerate() {
            let sums = sums[row + r + p].as_mut_ptr();
            // SAFETY: a row of sums holds two lines.
            unsafe {
                low.add_to(sums);
                high.add_to(sums.add(LANES));
            }
        }
    }
    R
}

/// How far ahead weights are asked for.
const AHEAD: usize = 64 * WIDTH;

/// A hint that the numbers of this cache line will be read soon. It may point anywhere.
#[inline(always)]
fn fetch(_line: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it, and nothing is read.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(_line.cast());
    }
}

/// Writes the sums of a panel's outputs; the last panel may have less than its width.
fn write(b: &Block, start: usize, panel: usize, sums: &[[f32; WIDTH]]) {
    let first = panel * WIDTH;
    for (row, sums) in sums.iter().enumerate() {
        for (c, sum) in sums.iter().enumerate().take(b.w.m - first) {
            // SAFETY: blocks write disjoint outputs.
            unsafe { b.rows[start + row].y.set(first + c, *sum) };
        }
    }
}

/// Any processor.
#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

impl Lanes for Plain {
    const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Self(std::array::from_fn(|l| unsafe { *from.add(l) }))
    }

    #[inline(always)]
    unsafe fn add_to(self, to: *mut f32) {
        // SAFETY: the caller's.
        self.0.iter().enumerate().for_each(|(l, sum)| unsafe { *to.add(l) += *sum });
    }

    #[inline(always)]
    unsafe fn add_product(mut self, x: f32, w: Self) -> Self {
        for (sum, w) in self.0.iter_mut().zip(w.0) {
            *sum = if cfg!(target_arch = "aarch64") { x.mul_add(w, *sum) } else { x * w + *sum };
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, Lanes, all};

    #[target_feature(enable = "avx512f")]
    pub(super) fn block512(b: &Block) {
        all::<V512, 8>(b)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn block256(b: &Block) {
        all::<V256, 2>(b)
    }

    #[derive(Clone, Copy)]
    struct V512(__m512);

    // SAFETY of all: `block512` runs only where the feature is, pointers are the caller's, and zeros are a value.
    impl Lanes for V512 {
        const ZERO: Self = Self(unsafe { std::mem::zeroed() });

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn add_to(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), self.0)) }
        }

        #[inline(always)]
        unsafe fn add_product(self, x: f32, w: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(_mm512_set1_ps(x), w.0, self.0)) }
        }
    }

    #[derive(Clone, Copy)]
    struct V256(__m256, __m256);

    // SAFETY of all: `block256` runs only where the features are, pointers are the caller's, and zeros are a value.
    impl Lanes for V256 {
        const ZERO: Self = unsafe { std::mem::zeroed() };

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }

        #[inline(always)]
        unsafe fn add_to(self, to: *mut f32) {
            unsafe {
                for (to, sum) in [(to, self.0), (to.add(8), self.1)] {
                    _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), sum));
                }
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, x: f32, w: Self) -> Self {
            unsafe {
                let x = _mm256_set1_ps(x);
                Self(_mm256_fmadd_ps(x, w.0, self.0), _mm256_fmadd_ps(x, w.1, self.1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, salt: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37 + salt).sin()).collect()
    }

    type Kernel = (&'static str, fn(&Block));

    /// Every kernel this machine can run.
    fn kernels() -> Vec<Kernel> {
        let mut kernels: Vec<Kernel> = vec![("plain", all::<Plain, 2>)];
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: each only after its features were found.
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(("avx2", |b| unsafe { x86::block256(b) }));
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(("avx512", |b| unsafe { x86::block512(b) }));
            }
        }
        kernels
    }

    fn run(kernel: fn(&Block), x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
        let w = Panels::of(w, k);
        let mut y = vec![f32::NAN; x.len() / k * w.m];
        let rows: Vec<Row> = x.chunks(k).zip(y.chunks_mut(w.m)).map(|(x, y)| Row { x, y: Out::of(y) }).collect();
        kernel(&Block { rows: &rows, w: &w, panels: [0, w.m.div_ceil(WIDTH)] });
        y
    }

    #[test]
    fn kernels_equal_sums_in_double_precision_and_each_other() {
        let shapes = [(1, 1, 1), (1, 300, 40), (3, 5, 7), (4, 32, 16), (13, 33, 31), (7, 100, 257), (270, 65, 1000)];
        for (n, m, k) in shapes {
            let (x, w) = (numbers(n * k, 0.1), numbers(m * k, 0.7));
            let all: Vec<_> = kernels().into_iter().map(|(name, f)| (name, run(f, &x, &w, k))).collect();
            for (name, y) in &all {
                for (i, y) in y.iter().enumerate() {
                    let (x, w) = (&x[i / m * k..][..k], &w[i % m * k..][..k]);
                    let terms = || x.iter().zip(w).map(|(x, w)| *x as f64 * *w as f64);
                    let (want, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
                    assert!((*y as f64 - want).abs() < 1e-6 * size, "{name} {n}x{m}x{k}: {y}, not {want}");
                }
            }
            let fused: Vec<_> = all.iter().filter(|(name, _)| *name != "plain").collect();
            assert!(fused.windows(2).all(|pair| pair[0].1 == pair[1].1), "AVX2 and AVX-512 differ at {n}x{m}x{k}");
        }
    }

    #[test]
    fn a_row_is_the_same_in_every_batch() {
        for (m, k) in [(37, 50), (96, 192), (1031, 300)] {
            let (x, w) = (numbers(300 * k, 0.3), Panels::of(&numbers(m * k, 0.9), k));
            let whole = w.product(&x);
            for n in (1..=40).chain([255, 256, 257, 300]) {
                assert!(w.product(&x[(300 - n) * k..]) == whole[(300 - n) * m..], "{n} rows of {m} x {k}");
            }
        }
    }

    #[test]
    fn panels_take_another_matrix() {
        let (m, k) = (45, 33);
        let (old, new) = (numbers(m * k, 0.2), numbers(m * k, 0.5));
        let mut panels = Panels::of(&old, k);
        panels.fill(&new);
        let x = numbers(3 * k, 0.8);
        assert_eq!(panels.product(&x), Panels::of(&new, k).product(&x));
    }
}
