//! The register tile of a bf16 product: [`ROWS`] rows times [`COLUMNS`] columns of C, all in accumulators while the sum goes by.
//!
//! `C[r][c] = Σ_w A[r][2w] B[2w][c] + A[r][2w+1] B[2w+1][c]`: each step loads the four registers of one pair of B's rows and broadcasts
//! the pair of each of A's rows to all their lanes. 24 accumulators, four registers of B and a broadcast leave three of the 32 free.

/// Rows of a tile.
pub(super) const ROWS: usize = 6;
/// Columns of a tile.
pub(super) const COLUMNS: usize = 64;

/// Sums of a tile.
pub(super) type Sums = [[f32; COLUMNS]; ROWS];

/// The product of a panel of A and one of B: a pair of bf16 in each word.
#[cfg(target_arch = "x86_64")]
pub(super) fn tile(a: &[[u32; ROWS]], b: &[[u32; COLUMNS]], sums: &mut Sums) {
    // SAFETY: packed operands are only multiplied for `Isa::Avx512Bf16`, which is only made where the processor has it.
    unsafe { avx512::tile(a, b, sums) }
}

/// Elsewhere packed operands are not multiplied.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn tile(_: &[[u32; ROWS]], _: &[[u32; COLUMNS]], _: &mut Sums) {
    unreachable!("only AVX-512 BF16 multiplies packed operands");
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps,
    };

    use super::{COLUMNS, ROWS, Sums};
    use crate::element::LANES;

    const BLOCKS: usize = COLUMNS / LANES;

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn tile(a: &[[u32; ROWS]], b: &[[u32; COLUMNS]], sums: &mut Sums) {
        // SAFETY: both types are 512 bits without invalid patterns.
        let zero = unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_setzero_si512()) };
        let mut acc = [[_mm512_setzero_ps(); BLOCKS]; ROWS];
        for (a, b) in a.iter().zip(b) {
            let mut lanes = [zero; BLOCKS];
            for (lanes, b) in lanes.iter_mut().zip(b.as_chunks::<LANES>().0) {
                // SAFETY: a block is as long as a register, and both types are 512 bits without invalid patterns.
                *lanes = unsafe {
                    std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(b.as_ptr().cast()))
                };
            }
            for (acc, &pair) in acc.iter_mut().zip(a) {
                // SAFETY: both types are 512 bits without invalid patterns.
                let pair = unsafe {
                    std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair.cast_signed()))
                };
                for (acc, lanes) in acc.iter_mut().zip(lanes) {
                    *acc = _mm512_dpbf16_ps(*acc, lanes, pair);
                }
            }
        }
        for (sums, acc) in sums.iter_mut().zip(acc) {
            for (sums, acc) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(acc) {
                // SAFETY: a block is as long as a register.
                unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), acc) };
            }
        }
    }
}
