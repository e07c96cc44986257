//! Register tiles of a walk: a run of P output pixels times NB blocks of 16 outputs, all in accumulators while taps and words go by.
//!
//! Each step takes one word of a row of K taps: it loads K times NB registers of weights and broadcasts the word of each of the
//! `P + K - 1` pixels below, `acc[q - k][b] += word[q] · weight[k][b]`, since neighbouring outputs read the same pixel through
//! neighbouring taps. Without that a layer of one block would load a word for every multiply-add, and loads would be the limit.
//! Sixteen accumulators hide the latency; the shapes 16x1, 8x2 and 4x4 go from narrow to wide layers, and shorter runs finish a row.

use super::operand::Operand;
use crate::Isa;
use crate::element::LANES;

/// One run of a walk, over words. Distances are in words for the input and in f32 for the output.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// The frame from the first pixel's first word on.
    pub(super) input: &'a [u32],
    /// Offsets of the rows of taps.
    pub(super) taps: &'a [usize],
    /// Taps of a row, each a pixel of the run further: 1, 2 or 3.
    pub(super) across: usize,
    /// Words of a tap.
    pub(super) words: usize,
    /// Distance of neighbouring pixels of the run.
    pub(super) step: usize,
    /// The panel from the first block on.
    pub(super) weights: &'a [u32],
    /// Distance of blocks in the panel.
    pub(super) block: usize,
    /// Distance of neighbouring pixels in the output.
    pub(super) out_step: usize,
    /// Adds to the output instead of replacing it.
    pub(super) accumulate: bool,
}

/// Blocks of outputs that a tile takes of those that are left: 4, 2 or 1.
pub(super) fn blocks_at_once(left: usize) -> usize {
    match left {
        4.. => 4,
        2 | 3 => 2,
        _ => 1,
    }
}

/// Computes `pixels` neighbouring output pixels of `blocks` (1, 2 or 4) blocks.
pub(super) fn run<O: Operand>(
    isa: Isa,
    mut run: Run<'_>,
    blocks: usize,
    mut pixels: usize,
    mut out: &mut [f32],
) {
    let long = 16 / blocks;
    while pixels > 0 {
        let now = if pixels >= long {
            long
        } else if pixels >= 4 {
            4
        } else {
            1
        };
        tile::<O>(isa, &run, blocks, now, out);
        pixels -= now;
        if pixels > 0 {
            run.input = &run.input[now * run.step..];
            out = &mut out[now * run.out_step..];
        }
    }
}

fn tile<O: Operand>(isa: Isa, run: &Run<'_>, blocks: usize, pixels: usize, out: &mut [f32]) {
    let last_tap = run.taps.iter().max().copied().unwrap_or(0);
    let last_pixel = pixels + run.across - 2;
    assert!(
        run.input.len() >= last_pixel * run.step + last_tap + run.words,
        "the run lies in its frame"
    );
    let weights = run.taps.len() * run.words * run.across * LANES;
    assert!(
        run.weights.len() >= (blocks - 1) * run.block + weights,
        "the panel holds the blocks"
    );
    assert!(
        out.len() >= (pixels - 1) * run.out_step + blocks * LANES,
        "the run lies in its output"
    );
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 if O::BF16 => avx512::choose_bf16(run, blocks, pixels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 => avx512::choose_f32(run, blocks, pixels, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => plain::avx2(run, blocks, pixels, out),
        _ => plain::portable(run, blocks, pixels, out),
    }
}

/// Tiles in plain Rust, f32 words, one block at a time.
mod plain {
    use super::{LANES, Run};

    pub(super) fn portable(run: &Run<'_>, blocks: usize, pixels: usize, out: &mut [f32]) {
        body::<false>(run, blocks, pixels, out);
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx2(run: &Run<'_>, blocks: usize, pixels: usize, out: &mut [f32]) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled(run: &Run<'_>, blocks: usize, pixels: usize, out: &mut [f32]) {
            body::<true>(run, blocks, pixels, out);
        }
        // SAFETY: `Isa::Avx2` is only made where the processor has AVX2 and FMA.
        unsafe { compiled(run, blocks, pixels, out) }
    }

    #[inline(always)]
    fn body<const FUSED: bool>(run: &Run<'_>, blocks: usize, pixels: usize, out: &mut [f32]) {
        for b in 0..blocks {
            let mut done = 0;
            while done < pixels {
                let weights = &run.weights[b * run.block..];
                let input = &run.input[done * run.step..];
                let target = &mut out[done * run.out_step + b * LANES..];
                if pixels - done >= 4 {
                    run_of::<FUSED, 4>(run, input, weights, target);
                    done += 4;
                } else {
                    run_of::<FUSED, 1>(run, input, weights, target);
                    done += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn run_of<const FUSED: bool, const P: usize>(
        run: &Run<'_>,
        input: &[u32],
        weights: &[u32],
        out: &mut [f32],
    ) {
        let mut acc = [[0.0_f32; LANES]; P];
        let mut rows = weights.as_chunks::<LANES>().0.iter();
        for &tap in run.taps {
            for word in tap..tap + run.words {
                for k in 0..run.across {
                    let row = rows.next().expect("the panel holds the blocks");
                    for (p, acc) in acc.iter_mut().enumerate() {
                        let x = f32::from_bits(input[(p + k) * run.step + word]);
                        for (sum, &w) in acc.iter_mut().zip(row) {
                            let w = f32::from_bits(w);
                            *sum = if FUSED {
                                x.mul_add(w, *sum)
                            } else {
                                x * w + *sum
                            };
                        }
                    }
                }
            }
        }
        for (p, acc) in acc.iter().enumerate() {
            let target = &mut out[p * run.out_step..][..LANES];
            for (t, sum) in target.iter_mut().zip(acc) {
                *t = if run.accumulate { *t + sum } else { *sum };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512bh, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{LANES, Run};

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(in crate::conv) fn multiply_f32(acc: __m512, word: __m512, weights: __m512) -> __m512 {
        _mm512_fmadd_ps(word, weights, acc)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(in crate::conv) fn multiply_bf16(acc: __m512, word: __m512, weights: __m512) -> __m512 {
        // SAFETY: both types are 512 bits without invalid patterns.
        let (word, weights) = unsafe {
            (
                std::mem::transmute::<__m512, __m512bh>(word),
                std::mem::transmute::<__m512, __m512bh>(weights),
            )
        };
        _mm512_dpbf16_ps(acc, word, weights)
    }

    /// Runs a block for p = 0, 1, ..., P - 1 at most 15, written out: the compiler leaves a loop of so many multiply-adds a loop, with
    /// its accumulators in memory.
    macro_rules! unrolled {
        ($p:ident < $count:ident => $body:block) => {
            unrolled!(@ $p $count $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
        };
        (@ $p:ident $count:ident $body:block $($n:literal)*) => {
            $(if $n < $count {
                let $p = $n;
                $body
            })*
        };
    }

    macro_rules! tiles {
        ($choose:ident, $rows:ident, $tile:ident, $features:literal, $multiply:ident) => {
            pub(super) fn $choose(run: &Run<'_>, blocks: usize, pixels: usize, out: &mut [f32]) {
                // SAFETY: the caller checked the slices against these extents, and the instruction set is available.
                unsafe {
                    match run.across {
                        1 => $rows::<1>(run, blocks, pixels, out),
                        2 => $rows::<2>(run, blocks, pixels, out),
                        3 => $rows::<3>(run, blocks, pixels, out),
                        _ => unreachable!("a row of the kernel has 1, 2 or 3 taps"),
                    }
                }
            }

            /// # Safety
            /// As the tiles'.
            unsafe fn $rows<const K: usize>(
                run: &Run<'_>,
                blocks: usize,
                pixels: usize,
                out: &mut [f32],
            ) {
                // SAFETY: passed on.
                unsafe {
                    match (blocks, pixels, run.step) {
                        (1, 16, 8) => $tile::<16, 1, K, 8>(run, out),
                        (1, 16, 16) => $tile::<16, 1, K, 16>(run, out),
                        (1, 16, 32) => $tile::<16, 1, K, 32>(run, out),
                        (1, 16, _) => $tile::<16, 1, K, 0>(run, out),
                        (1, 4, _) => $tile::<4, 1, K, 0>(run, out),
                        (1, _, _) => $tile::<1, 1, K, 0>(run, out),
                        (2, 8, 8) => $tile::<8, 2, K, 8>(run, out),
                        (2, 8, 16) => $tile::<8, 2, K, 16>(run, out),
                        (2, 8, 32) => $tile::<8, 2, K, 32>(run, out),
                        (2, 8, _) => $tile::<8, 2, K, 0>(run, out),
                        (2, 4, _) => $tile::<4, 2, K, 0>(run, out),
                        (2, _, _) => $tile::<1, 2, K, 0>(run, out),
                        (4, 4, _) => $tile::<4, 4, K, 0>(run, out),
                        (4, _, _) => $tile::<1, 4, K, 0>(run, out),
                        _ => unreachable!("blocks are 1, 2 or 4"),
                    }
                }
            }

            /// # Safety
            /// `run.input` reaches `(P + K - 2) * step + max tap + words`, `run.weights` NB blocks, `out` P pixels of NB blocks.
            #[target_feature(enable = $features)]
            unsafe fn $tile<const P: usize, const NB: usize, const K: usize, const STEP: usize>(
                run: &Run<'_>,
                out: &mut [f32],
            ) {
                let step = if STEP == 0 { run.step } else { STEP };
                let input = run.input.as_ptr().cast::<f32>();
                let mut weights = run.weights.as_ptr().cast::<f32>();
                let mut acc = [[_mm512_setzero_ps(); NB]; P];
                for &tap in run.taps {
                    for word in tap..tap + run.words {
                        let mut lanes = [[_mm512_setzero_ps(); NB]; K];
                        for (k, lanes) in lanes.iter_mut().enumerate() {
                            for (b, lanes) in lanes.iter_mut().enumerate() {
                                // SAFETY: block b of the panel has this row.
                                *lanes = unsafe {
                                    _mm512_loadu_ps(weights.add(b * run.block + k * LANES))
                                };
                            }
                        }
                        // The words of K neighbouring pixels, the next in the place of the first.
                        let mut pixels = [_mm512_setzero_ps(); K];
                        for (q, pixel) in pixels.iter_mut().enumerate().take(K - 1) {
                            // SAFETY: pixel q of the run has this word.
                            *pixel = _mm512_set1_ps(unsafe { *input.add(q * step + word) });
                        }
                        unrolled!(p < P => {
                            // SAFETY: as above.
                            let next = unsafe { *input.add((p + K - 1) * step + word) };
                            pixels[(p + K - 1) % K] = _mm512_set1_ps(next);
                            for (k, lanes) in lanes.iter().enumerate() {
                                for (acc, lanes) in acc[p].iter_mut().zip(lanes) {
                                    *acc = $multiply(*acc, pixels[(p + k) % K], *lanes);
                                }
                            }
                        });
                        // SAFETY: at most one past the end of the panel.
                        weights = unsafe { weights.add(K * LANES) };
                    }
                }
                let out = out.as_mut_ptr();
                for (p, acc) in acc.iter().enumerate() {
                    for (b, &sum) in acc.iter().enumerate() {
                        // SAFETY: pixel p, block b of the output.
                        unsafe {
                            let target = out.add(p * run.out_step + b * LANES);
                            let sum = if run.accumulate {
                                _mm512_add_ps(sum, _mm512_loadu_ps(target))
                            } else {
                                sum
                            };
                            _mm512_storeu_ps(target, sum);
                        }
                    }
                }
            }
        };
    }
    tiles!(choose_f32, rows_f32, tile_f32, "avx512f", multiply_f32);
    tiles!(
        choose_bf16,
        rows_bf16,
        tile_bf16,
        "avx512f,avx512bf16",
        multiply_bf16
    );
}
