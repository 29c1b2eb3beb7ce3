//! Multiply-adds over a cache line, for every kind of processor.

use super::LANES;

/// A line's worth of numbers.
pub(super) trait Lanes: Copy {
    const ZERO: Self;
    /// # Safety
    /// `from` holds [`LANES`] numbers.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `to` holds [`LANES`] numbers.
    unsafe fn add_to(self, to: *mut f32);
    /// self + x * w, lane by lane.
    ///
    /// # Safety
    /// The processor has the instructions of this kind of lanes.
    unsafe fn add_product(self, x: f32, w: Self) -> Self;
}

/// Any processor.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

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
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::super::{Block, all};
    use super::Lanes;

    #[target_feature(enable = "avx512f")]
    pub(in super::super) fn block512(b: &Block) {
        all::<V512, 8>(b)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn block256(b: &Block) {
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
