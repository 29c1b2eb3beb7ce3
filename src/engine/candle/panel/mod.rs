//! The matrix product of sampling: every row on its own, weights in the order in which they are read.
//!
//! A decoding step multiplies few rows by every weight of the model. [`Panels`] holds a matrix once more, 32 outputs
//! side by side, so that a step reads it from end to end in whole aligned cache lines, and multiplies each line by one
//! number of every row: 1.5 to 1.8 times as fast as dot products over the rows of the matrix as it stands. Making it costs
//! about as much as two steps.
//!
//! Every output is a chain of fused multiply-adds over 256 steps of k, to which those over the next 256 are added, and so
//! on. A row's result therefore is the same to the last bit whatever other rows are beside it and however many threads work.
//! (A blocked product, as the `gemm` crate's, chooses its blocks and with them its order of summation by the number of
//! rows.) AVX-512, AVX2 and 64-bit Arm agree to the last bit too; without fused multiply-add the last bits differ.

mod lanes;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use self::lanes::x86;
use self::lanes::{Lanes, Plain};
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
