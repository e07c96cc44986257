//! The most multiplications and additions a second that the processor reaches: independent multiply-adds between registers, nothing
//! loaded. Kernels are measured as a fraction of it, in the same minute, since clocks and neighbours change.

use std::hint::black_box;
use std::time::Instant;

use crate::{Isa, Precision};

/// Accumulators side by side, which hide the latency of the multiply-add.
const ACCUMULATORS: usize = 24;
/// Steps of a measurement, of some milliseconds.
const STEPS: usize = 1 << 20;
const MEASUREMENTS: usize = 5;

/// Floating point operations a second, in 10⁹, of all threads of the current rayon pool together: the best of five measurements of some
/// milliseconds. bf16 counts as f32 on processors that do not multiply it.
pub fn peak_gflops(isa: Isa, precision: Precision) -> f64 {
    let measurements = (0..MEASUREMENTS).map(|_| {
        let start = Instant::now();
        let flops: f64 = rayon::broadcast(|_| multiply_adds(isa, precision))
            .iter()
            .sum();
        flops / start.elapsed().as_secs_f64() / 1e9
    });
    measurements.fold(0.0, f64::max)
}

/// Runs the steps; gives the number of their operations.
fn multiply_adds(isa: Isa, precision: Precision) -> f64 {
    let lanes = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 if precision == Precision::Bf16 => avx512::pairs(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 => avx512::singles(),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => plain::avx2(),
        _ => plain::portable(),
    };
    2.0 * (lanes * ACCUMULATORS * STEPS) as f64
}

mod plain {
    use super::{ACCUMULATORS, STEPS, black_box};

    pub(super) fn portable() -> usize {
        body::<4, false>()
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx2() -> usize {
        #[target_feature(enable = "avx2,fma")]
        fn compiled() -> usize {
            body::<8, true>()
        }
        // SAFETY: `Isa::Avx2` is only made where the processor has AVX2 and FMA.
        unsafe { compiled() }
    }

    #[inline(always)]
    fn body<const LANES: usize, const FUSED: bool>() -> usize {
        let mut acc = [[1.0_f32; LANES]; ACCUMULATORS];
        let (a, b) = black_box(([0.5_f32; LANES], [0.5_f32; LANES]));
        for _ in 0..STEPS {
            for acc in &mut acc {
                for ((acc, a), b) in acc.iter_mut().zip(a).zip(b) {
                    *acc = if FUSED {
                        acc.mul_add(a, b)
                    } else {
                        *acc * a + b
                    };
                }
            }
        }
        black_box(acc);
        LANES
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_set1_ps};

    use super::{ACCUMULATORS, STEPS, black_box};

    pub(super) fn singles() -> usize {
        #[target_feature(enable = "avx512f")]
        fn compiled() {
            let operand = black_box(_mm512_set1_ps(0.5));
            let mut acc = [operand; ACCUMULATORS];
            for _ in 0..STEPS {
                for acc in &mut acc {
                    *acc = _mm512_fmadd_ps(*acc, operand, operand);
                }
            }
            black_box(acc);
        }
        // SAFETY: the caller's instruction set has AVX-512 F.
        unsafe { compiled() };
        16
    }

    pub(super) fn pairs() -> usize {
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn compiled() {
            let mut acc = [_mm512_set1_ps(0.5); ACCUMULATORS];
            // SAFETY: both types are 512 bits without invalid patterns.
            let operand = unsafe { std::mem::transmute::<__m512, __m512bh>(black_box(acc[0])) };
            for _ in 0..STEPS {
                for acc in &mut acc {
                    *acc = _mm512_dpbf16_ps(*acc, operand, operand);
                }
            }
            black_box(acc);
        }
        // SAFETY: the caller's instruction set has AVX-512 BF16.
        unsafe { compiled() };
        32
    }
}
