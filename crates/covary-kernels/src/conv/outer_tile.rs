//! Register tiles of weight gradients: K neighbouring taps, P input channels and NB blocks of 16 output channels in accumulators while
//! the pixels go by.
//!
//! Each pixel q of the input loads NB registers of the gradient, keeps those of the K - 1 pixels before, and broadcasts one word of each
//! input channel: `acc[k][p][b] += x[q][p] · dy[q - k][b]`. A layer of one block takes a row of three taps at a time, as it would load a
//! word for every multiply-add otherwise. Twelve or more accumulators hide the latency of the multiply-add.

use super::operand::Operand;
use crate::Isa;
use crate::element::LANES;

/// The pixels of one tile's walk; extents in words, and in f32 for the sums.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    /// Input channels, from the first pixel's first channel on.
    pub(super) x: &'a [u32],
    /// Gradients of the output, from the first pixel's first block on.
    pub(super) dy: &'a [u32],
    pub(super) images: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) x_image: usize,
    pub(super) x_row: usize,
    pub(super) x_step: usize,
    pub(super) dy_image: usize,
    /// From one block of output channels to the next.
    pub(super) dy_block: usize,
    /// Taps of a row that are taken together, 1 or 3; neighbouring pixels of the input then lie `x_step` apart.
    pub(super) across: usize,
    /// From the sums of one tap to the next.
    pub(super) sums_tap: usize,
    /// From the sums of one input channel to the next.
    pub(super) sums_row: usize,
    /// Adds to the sums instead of replacing them.
    pub(super) accumulate: bool,
}

impl Pixels<'_> {
    fn reaches(&self, p: usize, blocks: usize) -> bool {
        let last = (self.images - 1) * self.x_image
            + (self.rows - 1) * self.x_row
            + (self.columns + self.across - 2) * self.x_step;
        let last_dy = (self.images - 1) * self.dy_image
            + (blocks - 1) * self.dy_block
            + self.rows * self.columns * LANES;
        self.x.len() >= last + p && self.dy.len() >= last_dy
    }
}

/// Puts the walk's sums into `sums`, or adds them.
pub(super) fn tile<O: Operand>(
    isa: Isa,
    pixels: &Pixels<'_>,
    p: usize,
    blocks: usize,
    sums: &mut [f32],
) {
    assert!(
        pixels.reaches(p, blocks),
        "the pixels lie in frame and gradient"
    );
    assert!(
        sums.len()
            >= (pixels.across - 1) * pixels.sums_tap + (p - 1) * pixels.sums_row + blocks * LANES,
        "the tile lies in the sums"
    );
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 if O::BF16 => avx512::choose_bf16(pixels, p, blocks, sums),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 => {
            avx512::choose_f32(pixels, p, blocks, sums);
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => plain::avx2(pixels, p, blocks, sums),
        _ => plain::portable(pixels, p, blocks, sums),
    }
}

/// Tiles in plain Rust: f32 words, four input channels times one block at a time.
mod plain {
    use super::{LANES, Pixels};

    pub(super) fn portable(pixels: &Pixels<'_>, p: usize, blocks: usize, sums: &mut [f32]) {
        body::<false>(pixels, p, blocks, sums);
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx2(pixels: &Pixels<'_>, p: usize, blocks: usize, sums: &mut [f32]) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled(pixels: &Pixels<'_>, p: usize, blocks: usize, sums: &mut [f32]) {
            body::<true>(pixels, p, blocks, sums);
        }
        // SAFETY: `Isa::Avx2` is only made where the processor has AVX2 and FMA.
        unsafe { compiled(pixels, p, blocks, sums) }
    }

    #[inline(always)]
    fn body<const FUSED: bool>(pixels: &Pixels<'_>, p: usize, blocks: usize, sums: &mut [f32]) {
        for k in 0..pixels.across {
            let one = Pixels {
                x: &pixels.x[k * pixels.x_step..],
                ..*pixels
            };
            one_tap::<FUSED>(&one, p, blocks, &mut sums[k * pixels.sums_tap..]);
        }
    }

    #[inline(always)]
    fn one_tap<const FUSED: bool>(pixels: &Pixels<'_>, p: usize, blocks: usize, sums: &mut [f32]) {
        for ci in (0..p).step_by(4) {
            for b in 0..blocks {
                let mut acc = [[0.0_f32; LANES]; 4];
                for image in 0..pixels.images {
                    for row in 0..pixels.rows {
                        for column in 0..pixels.columns {
                            let x = &pixels.x[image * pixels.x_image
                                + row * pixels.x_row
                                + column * pixels.x_step
                                + ci..][..4];
                            let at = image * pixels.dy_image
                                + b * pixels.dy_block
                                + (row * pixels.columns + column) * LANES;
                            let dy: &[u32; LANES] = pixels.dy[at..]
                                .first_chunk()
                                .expect("checked by the caller");
                            for (acc, &x) in acc.iter_mut().zip(x) {
                                let x = f32::from_bits(x);
                                for (sum, &dy) in acc.iter_mut().zip(dy) {
                                    let dy = f32::from_bits(dy);
                                    *sum = if FUSED {
                                        x.mul_add(dy, *sum)
                                    } else {
                                        x * dy + *sum
                                    };
                                }
                            }
                        }
                    }
                }
                if !pixels.accumulate {
                    // Sums that were copied instead of added would lie in memory all along.
                    for q in 0..4 {
                        sums[(ci + q) * pixels.sums_row + b * LANES..][..LANES].fill(0.0);
                    }
                }
                for (q, acc) in acc.iter().enumerate() {
                    let target = &mut sums[(ci + q) * pixels.sums_row + b * LANES..][..LANES];
                    target.iter_mut().zip(acc).for_each(|(t, sum)| *t += sum);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        _mm512_add_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::super::tile::avx512::{multiply_bf16, multiply_f32};
    use super::{LANES, Pixels};

    macro_rules! tiles {
        ($choose:ident, $tile:ident, $features:literal, $multiply:ident) => {
            pub(super) fn $choose(pixels: &Pixels<'_>, p: usize, blocks: usize, sums: &mut [f32]) {
                // SAFETY: the caller checked the slices against these extents, and the instruction set is available.
                unsafe {
                    match (pixels.across, p, blocks) {
                        (3, 8, 1) => $tile::<3, 8, 1>(pixels, sums),
                        (3, 4, 1) => $tile::<3, 4, 1>(pixels, sums),
                        (1, 16, 1) => $tile::<1, 16, 1>(pixels, sums),
                        (1, 8, 2) => $tile::<1, 8, 2>(pixels, sums),
                        (1, 4, 4) => $tile::<1, 4, 4>(pixels, sums),
                        (1, 4, 2) => $tile::<1, 4, 2>(pixels, sums),
                        (1, 4, 1) => $tile::<1, 4, 1>(pixels, sums),
                        _ => unreachable!(
                            "tiles are 16x1, 8x2, 4x4, 4x2 and 4x1, or 3 taps of 8x1 or 4x1"
                        ),
                    }
                }
            }

            /// # Safety
            /// All pixels lie in their `x` and `dy`, the tile in `sums`.
            #[target_feature(enable = $features)]
            unsafe fn $tile<const K: usize, const P: usize, const NB: usize>(
                pixels: &Pixels<'_>,
                sums: &mut [f32],
            ) {
                let mut acc = [[[_mm512_setzero_ps(); NB]; P]; K];
                for image in 0..pixels.images {
                    let first = pixels.dy.as_ptr().cast::<f32>();
                    // SAFETY: every image lies in `dy`.
                    let mut dy = unsafe { first.add(image * pixels.dy_image) };
                    for row in 0..pixels.rows {
                        let start = image * pixels.x_image + row * pixels.x_row;
                        // SAFETY: every row lies in `x`.
                        let mut x = unsafe { pixels.x.as_ptr().add(start) }.cast::<f32>();
                        // Gradients of the pixels q, q - 1, ... of the row, zeros beyond its ends.
                        let mut window = [[_mm512_setzero_ps(); NB]; K];
                        for q in 0..pixels.columns + K - 1 {
                            for k in (1..K).rev() {
                                window[k] = window[k - 1];
                            }
                            for (b, lanes) in window[0].iter_mut().enumerate() {
                                *lanes = if q < pixels.columns {
                                    // SAFETY: NB blocks of this pixel lie in `dy`.
                                    unsafe { _mm512_loadu_ps(dy.add(b * pixels.dy_block)) }
                                } else {
                                    _mm512_setzero_ps()
                                };
                            }
                            for p in 0..P {
                                // SAFETY: P channels of this pixel lie in `x`.
                                let word = _mm512_set1_ps(unsafe { *x.add(p) });
                                for (acc, lanes) in acc.iter_mut().zip(window) {
                                    for (acc, lanes) in acc[p].iter_mut().zip(lanes) {
                                        *acc = $multiply(*acc, word, lanes);
                                    }
                                }
                            }
                            x = x.wrapping_add(pixels.x_step);
                            dy = dy.wrapping_add(LANES);
                        }
                        dy = dy.wrapping_sub((K - 1) * LANES);
                    }
                }
                let sums = sums.as_mut_ptr();
                for (k, acc) in acc.iter().enumerate() {
                    for (p, acc) in acc.iter().enumerate() {
                        for (b, &sum) in acc.iter().enumerate() {
                            // SAFETY: the tile lies in `sums`.
                            unsafe {
                                let at = k * pixels.sums_tap + p * pixels.sums_row + b * LANES;
                                let target = sums.add(at);
                                let sum = if pixels.accumulate {
                                    _mm512_add_ps(sum, _mm512_loadu_ps(target))
                                } else {
                                    sum
                                };
                                _mm512_storeu_ps(target, sum);
                            }
                        }
                    }
                }
            }
        };
    }
    tiles!(choose_f32, tile_f32, "avx512f", multiply_f32);
    tiles!(choose_bf16, tile_bf16, "avx512f,avx512bf16", multiply_bf16);
}
