//! The matrix product of sampling: every row on its own.
//!
//! `y = x w^T` as plain dot products over the rows of both matrices, so no weight is ever packed: for the few rows
//! of a decoding step this is several times faster than a general matrix product.
//!
//! Every output is summed in one fixed order: 16 partial sums over k (fused multiply-adds), then lanes i and i + 8,
//! i + 4, i + 2, i + 1. A row's result therefore is the same to the last bit whatever other rows are beside it and
//! however many threads work. (A blocked product, as the `gemm` crate's, chooses its blocks and with them its order of
//! summation by the number of rows.) AVX-512 and AVX2 agree to the last bit too; without fused multiply-add the last
//! bits differ.
//!
//! While a tile is summed, the weights of the next one are asked for, a cache line with every step: without it the sums
//! of a model larger than the caches wait for memory a third of the time.

use rayon::prelude::*;

use super::cpu::Out;

const LANES: usize = 16;
/// Multiply-adds worth a task of their own (some ten microseconds).
const TASK: usize = 1 << 20;
/// Numbers of x that stay in the cache while the weights stream by.
const BLOCK: usize = 1 << 16;

/// `y[n, m] = x[n, k] w[m, k]^T`.
pub(super) fn dot_product(x: &[f32], w: &[f32], k: usize, y: &mut [f32]) {
    let (n, m) = (x.len() / k, w.len() / k);
    assert!(x.len() == n * k && w.len() == m * k && y.len() == n * m, "shapes of a product disagree");
    let tasks = (n * m * k / TASK).clamp(1, 4 * rayon::current_num_threads());
    let columns = m.div_ceil(tasks).next_multiple_of(4);
    let (out, rows) = (Out::of(y), (BLOCK / k).next_multiple_of(4));
    let run = |first: usize| {
        let w = &w[first * k..(first + columns).min(m) * k];
        for start in (0..n).step_by(rows) {
            let x = &x[start * k..(start + rows).min(n) * k];
            block(&Block { x, w, k, out, at: start * m + first, width: m });
        }
    };
    if tasks == 1 {
        return run(0);
    }
    (0..m).into_par_iter().step_by(columns).for_each(run);
}

/// Part of a product: the rows of `x` times those of `w`, written from `at` on with `width` between rows.
struct Block<'a> {
    x: &'a [f32],
    w: &'a [f32],
    k: usize,
    out: Out,
    at: usize,
    width: usize,
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
        tiles::<Plain, 2, 2>(b)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn block(b: &Block) {
    tiles::<Plain, 2, 2>(b)
}

/// 16 partial sums.
trait Lanes: Copy {
    const ZERO: Self;
    /// self + a * b, lane by lane; `a` and `b` hold at least [`LANES`] numbers.
    unsafe fn add_product(self, a: *const f32, b: *const f32) -> Self;
    /// The sum of the lanes, in the order the module's head gives, of four at once.
    unsafe fn sums(four: [Self; 4]) -> [f32; 4];
}

/// Goes through a block in tiles of R rows and C weights, R * C a multiple of 4.
#[inline(always)]
fn tiles<L: Lanes, const R: usize, const C: usize>(b: &Block) {
    let (n, m) = (b.x.len() / b.k, b.w.len() / b.k);
    for column in (0..m).step_by(C) {
        for row in (0..n).step_by(R) {
            if n - row >= R {
                tile::<L, R, C>(b, row, column);
            } else {
                (row..n).for_each(|row| tile::<L, 1, 4>(b, row, column));
            }
        }
    }
}

/// One tile; weights beyond the last are read as the last one and not written.
#[inline(always)]
fn tile<L: Lanes, const R: usize, const C: usize>(b: &Block, row: usize, column: usize) {
    let (k, m) = (b.k, b.w.len() / b.k);
    let x: [&[f32]; R] = std::array::from_fn(|r| &b.x[(row + r) * k..][..k]);
    let w: [&[f32]; C] = std::array::from_fn(|c| &b.w[(column + c).min(m - 1) * k..][..k]);
    // The tiles of these weights ask for the next C ones together.
    let share = C.div_ceil((b.x.len() / k).div_ceil(R));
    let next = |i: usize| b.w[(column + C + (row / R * share + i) % C).min(m - 1) * k..][..k].as_ptr();
    let next: [*const f32; C] = std::array::from_fn(next);
    let mut sums = [[L::ZERO; C]; R];
    let full = k / LANES * LANES;
    for i in (0..full).step_by(LANES) {
        for line in &next[..share] {
            // SAFETY: i < k, the length of every weight.
            fetch(unsafe { line.add(i) });
        }
        for r in 0..R {
            for c in 0..C {
                // SAFETY: i + LANES <= k, the length of every slice.
                sums[r][c] = unsafe { sums[r][c].add_product(x[r].as_ptr().add(i), w[c].as_ptr().add(i)) };
            }
        }
    }
    if full < k {
        let rest = |s: &[f32]| -> [f32; LANES] { std::array::from_fn(|l| s.get(full + l).copied().unwrap_or(0.0)) };
        for r in 0..R {
            for c in 0..C {
                // SAFETY: both hold LANES numbers; the zeros of the padding add nothing.
                sums[r][c] = unsafe { sums[r][c].add_product(rest(x[r]).as_ptr(), rest(w[c]).as_ptr()) };
            }
        }
    }
    write::<L, R, C>(b, &sums, row, column);
}

/// A hint that the numbers of this cache line will be read soon.
#[inline(always)]
fn fetch(_line: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it, and nothing is read.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(_line.cast());
    }
}

#[inline(always)]
fn write<L: Lanes, const R: usize, const C: usize>(b: &Block, sums: &[[L; C]; R], row: usize, column: usize) {
    let m = b.w.len() / b.k;
    for first in (0..R * C).step_by(4) {
        let four = std::array::from_fn(|i| sums[(first + i) / C][(first + i) % C]);
        // SAFETY: the caller's target features cover L.
        let four = unsafe { L::sums(four) };
        for (i, sum) in four.into_iter().enumerate() {
            let (r, c) = ((first + i) / C, (first + i) % C);
            if column + c < m {
                // SAFETY: blocks and their tiles write disjoint outputs.
                unsafe { b.out.set(b.at + (row + r) * b.width + column + c, sum) };
            }
        }
    }
}

/// Any processor.
#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

impl Lanes for Plain {
    const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    unsafe fn add_product(mut self, a: *const f32, b: *const f32) -> Self {
        for (l, sum) in self.0.iter_mut().enumerate() {
            // SAFETY: both hold LANES numbers.
            *sum += unsafe { *a.add(l) * *b.add(l) };
        }
        self
    }

    #[inline(always)]
    unsafe fn sums(four: [Self; 4]) -> [f32; 4] {
        four.map(|Self(mut lanes)| {
            for half in [8, 4, 2, 1] {
                for l in 0..half {
                    lanes[l] += lanes[l + half];
                }
            }
            lanes[0]
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, Lanes, tiles};

    #[target_feature(enable = "avx512f")]
    pub(super) fn block512(b: &Block) {
        tiles::<V512, 4, 4>(b)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn block256(b: &Block) {
        tiles::<V256, 2, 2>(b)
    }

    #[derive(Clone, Copy)]
    struct V512(__m512);

    impl Lanes for V512 {
        // SAFETY: all zeros is a value of the type.
        const ZERO: Self = Self(unsafe { std::mem::zeroed() });

        #[inline(always)]
        unsafe fn add_product(self, a: *const f32, b: *const f32) -> Self {
            // SAFETY: both hold 16 numbers, and `block512` has checked the feature.
            unsafe { Self(_mm512_fmadd_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b), self.0)) }
        }

        #[inline(always)]
        unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
            // SAFETY: `block512` has checked the feature.
            unsafe {
                // Lanes i and i + 8 of two vectors at a time, then i and i + 4: quarter q belongs to vector q.
                let ab = halves(a.0, b.0);
                let cd = halves(c.0, d.0);
                let abcd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xDD>(ab, cd));
                let two = _mm512_add_ps(abcd, _mm512_permute_ps::<0b01_00_11_10>(abcd));
                let one = _mm512_add_ps(two, _mm512_permute_ps::<0b10_11_00_01>(two));
                let pick = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
                let mut sums = [0f32; 4];
                _mm_storeu_ps(sums.as_mut_ptr(), _mm512_castps512_ps128(_mm512_permutexvar_ps(pick, one)));
                sums
            }
        }
    }

    #[inline(always)]
    unsafe fn halves(a: __m512, b: __m512) -> __m512 {
        // SAFETY: called under AVX-512 only.
        unsafe { _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xEE>(a, b)) }
    }

    #[derive(Clone, Copy)]
    struct V256(__m256, __m256);

    impl Lanes for V256 {
        // SAFETY: all zeros is a value of the type.
        const ZERO: Self = unsafe { std::mem::zeroed() };

        #[inline(always)]
        unsafe fn add_product(self, a: *const f32, b: *const f32) -> Self {
            // SAFETY: both hold 16 numbers, and `block256` has checked the features.
            unsafe {
                let low = _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), self.0);
                let high = _mm256_fmadd_ps(_mm256_loadu_ps(a.add(8)), _mm256_loadu_ps(b.add(8)), self.1);
                Self(low, high)
            }
        }

        #[inline(always)]
        unsafe fn sums(four: [Self; 4]) -> [f32; 4] {
            // SAFETY: `block256` has checked the features.
            unsafe {
                let [a, b, c, d] = four.map(|v| {
                    let eight = _mm256_add_ps(v.0, v.1);
                    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
                });
                let ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a)); // a0+a2 a1+a3 b0+b2 b1+b3
                let cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
                let sum = _mm_add_ps(_mm_shuffle_ps::<0b10_00_10_00>(ab, cd), _mm_shuffle_ps::<0b11_01_11_01>(ab, cd));
                let mut sums = [0f32; 4];
                _mm_storeu_ps(sums.as_mut_ptr(), sum);
                sums
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
        let mut kernels: Vec<Kernel> = vec![("plain", tiles::<Plain, 2, 2>)];
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
        let m = w.len() / k;
        let mut y = vec![f32::NAN; x.len() / k * m];
        kernel(&Block { x, w, k, out: Out::of(&mut y), at: 0, width: m });
        y
    }

    #[test]
    fn kernels_equal_sums_in_double_precision_and_each_other() {
        for (n, m, k) in [(1, 1, 1), (3, 5, 7), (4, 4, 16), (5, 9, 33), (7, 6, 192), (2, 3, 1000)] {
            let (x, w) = (numbers(n * k, 0.1), numbers(m * k, 0.7));
            let all: Vec<_> = kernels().into_iter().map(|(name, f)| (name, run(f, &x, &w, k))).collect();
            for (name, y) in &all {
                for (i, y) in y.iter().enumerate() {
                    let (x, w) = (&x[i / m * k..][..k], &w[i % m * k..][..k]);
                    let want: f64 = x.iter().zip(w).map(|(x, w)| *x as f64 * *w as f64).sum();
                    assert!((*y as f64 - want).abs() < 1e-5 * (k as f64).sqrt(), "{name} {n}x{m}x{k}: {y}, not {want}");
                }
            }
            let fused: Vec<_> = all.iter().filter(|(name, _)| *name != "plain").collect();
            assert!(fused.windows(2).all(|pair| pair[0].1 == pair[1].1), "AVX2 and AVX-512 differ at {n}x{m}x{k}");
        }
    }

    #[test]
    fn a_row_is_the_same_in_every_batch() {
        for (m, k) in [(37, 50), (96, 192), (1031, 64)] {
            let (x, w) = (numbers(200 * k, 0.3), numbers(m * k, 0.9));
            let mut whole = vec![0f32; 200 * m];
            dot_product(&x, &w, k, &mut whole);
            for n in 1..=200 {
                let mut y = vec![0f32; n * m];
                dot_product(&x[(200 - n) * k..], &w, k, &mut y);
                assert!(y == whole[(200 - n) * m..], "{n} rows of {m} x {k}");
            }
        }
    }
}
