//! Operands packed for the tile: `[panel][pair][WIDTH]` words, where a panel is WIDTH rows of A or columns of B, and a word holds two
//! bf16 that are neighbours in the sum. Panels and pairs that stick out of the operand hold zeros.

use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use crate::Isa;
use crate::conv::Operand;
use crate::dispatch::elementwise;
use crate::element::{Element, LANES, Lanes, Rounding};
use crate::prefetch::{TO_READ, prefetch};

/// Columns that are read together, whole cache lines of them: some panels.
const TOGETHER: usize = 192;
/// Blocks of a row, or pairs of rows, from what is read to what is asked for.
const AHEAD: usize = 4;

/// A packed operand.
#[derive(Debug, Clone, Default)]
pub(super) struct Panels<const WIDTH: usize> {
    /// As many as the largest operand needed; growing again would clear what is written anyway.
    words: Vec<[u32; WIDTH]>,
    /// Pairs of a panel.
    pairs: usize,
    /// Rows of A or columns of B.
    extent: usize,
}

impl<const WIDTH: usize> Panels<WIDTH> {
    /// Packs `[extent, sum]`: pairs are neighbours in a row.
    pub(super) fn pack_rows(&mut self, isa: Isa, matrix: &[f32], sum: usize) {
        self.reshape(matrix.len() / sum, sum)
            .par_chunks_mut(sum.div_ceil(2))
            .zip(matrix.par_chunks(WIDTH * sum))
            .for_each(|(panel, rows)| pack_panel(isa, rows, sum, panel));
    }

    /// Packs `[sum, extent]`: pairs are neighbours in a column.
    pub(super) fn pack_columns(&mut self, isa: Isa, matrix: &[f32], extent: usize) {
        let pairs = (matrix.len() / extent).div_ceil(2);
        self.reshape(extent, matrix.len() / extent)
            .par_chunks_mut(TOGETHER / WIDTH * pairs)
            .enumerate()
            .for_each(|(job, panels)| {
                let columns = job * TOGETHER..((job + 1) * TOGETHER).min(extent);
                pack_together(isa, matrix, extent, columns, panels);
            });
    }

    fn reshape(&mut self, extent: usize, sum: usize) -> &mut [[u32; WIDTH]] {
        self.extent = extent;
        self.pairs = sum.div_ceil(2);
        let len = self.count() * self.pairs;
        if self.words.len() < len {
            self.words.resize(len, [0; WIDTH]);
        }
        &mut self.words[..len]
    }

    /// Rows of A or columns of B, without padding.
    pub(super) fn extent(&self) -> usize {
        self.extent
    }

    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.extent.div_ceil(WIDTH)
    }

    /// The words of a panel.
    pub(super) fn panel(&self, index: usize) -> &[[u32; WIDTH]] {
        &self.words[index * self.pairs..][..self.pairs]
    }
}

/// The words of a panel that meet the same words of the other operand.
pub(in crate::linear) trait Line: AsMut<[u32]> {}

impl<const WIDTH: usize> Line for [u32; WIDTH] {}

/// Words of a line.
#[inline(always)]
const fn width<L: Line>() -> usize {
    size_of::<L>() / size_of::<u32>()
}

elementwise! {
    /// Packs the rows of a panel, by blocks of 16 rows and 32 columns.
    fn pack_panel<L: Line>(rows: &[f32], sum: usize, panel: &mut [L]) = rounding pack_panel_body::<L>;
}

#[inline(always)]
fn pack_panel_body<L: Line>(rounding: Rounding, rows: &[f32], sum: usize, panel: &mut [L]) {
    for first in (0..width::<L>()).step_by(LANES) {
        let columns = first..width::<L>().min(first + LANES);
        for (run, lines) in panel.chunks_mut(LANES).enumerate() {
            let mut block = [[0; LANES]; LANES];
            let rows = rows.chunks_exact(sum).skip(first);
            for (words, row) in block.iter_mut().zip(rows) {
                let ahead = row.as_ptr().wrapping_add(2 * LANES * (run + AHEAD));
                prefetch::<TO_READ>(ahead);
                prefetch::<TO_READ>(ahead.wrapping_add(LANES));
                *words = neighbours(rounding, &row[2 * LANES * run..]);
            }
            transpose(rounding, &mut block);
            for (line, words) in lines.iter_mut().zip(&block) {
                line.as_mut()[columns.clone()].copy_from_slice(&words[..columns.len()]);
            }
        }
    }
}

/// The words of a row's first 32 numbers; zeros behind its end.
#[inline(always)]
fn neighbours(rounding: Rounding, row: &[f32]) -> [u32; LANES] {
    let mut padded = [[0.0; LANES]; 2];
    let [first, second] = if let Some(blocks) = row.as_chunks().0.first_chunk() {
        blocks
    } else {
        padded.as_flattened_mut()[..row.len()].copy_from_slice(row);
        &padded
    };
    let first = bf16::pack(&<bf16 as Element>::round_block(rounding, first));
    let second = bf16::pack(&<bf16 as Element>::round_block(rounding, second));
    let mut words = [0; LANES];
    words[..LANES / 2].copy_from_slice(&first);
    words[LANES / 2..].copy_from_slice(&second);
    words
}

elementwise! {
    /// Packs some columns of `[sum, extent]` into panels that lie one behind the other.
    fn pack_together<L: Line>(matrix: &[f32], extent: usize, columns: Range<usize>, panels: &mut [L])
        = rounding pack_together_body::<L>;
}

#[inline(always)]
fn pack_together_body<L: Line>(
    rounding: Rounding,
    matrix: &[f32],
    extent: usize,
    columns: Range<usize>,
    panels: &mut [L],
) {
    let pairs = (matrix.len() / extent).div_ceil(2);
    let part = |row: usize| {
        let row = matrix.get(row * extent..).unwrap_or_default();
        row.get(columns.clone()).unwrap_or_default()
    };
    let mut padded = [[[0.0; LANES]; TOGETHER / LANES]; 2];
    let mut words = [[0; LANES]; TOGETHER / LANES];
    for pair in 0..pairs {
        for row in [2 * (pair + AHEAD), 2 * (pair + AHEAD) + 1] {
            part(row)
                .iter()
                .step_by(LANES)
                .for_each(|line| prefetch::<TO_READ>(line));
        }
        let [first, second] = &mut padded;
        let first = whole(part(2 * pair), first);
        let second = whole(part(2 * pair + 1), second);
        for (words, (first, second)) in words.iter_mut().zip(first.iter().zip(second)) {
            *words = bf16::words(rounding, first, second);
        }
        let panels = panels.iter_mut().skip(pair).step_by(pairs);
        for (line, words) in panels.zip(words.as_flattened().chunks_exact(width::<L>())) {
            line.as_mut().copy_from_slice(words);
        }
    }
}

/// Blocks of a part of a row; in `padded` where it is shorter than others, with zeros behind.
#[inline(always)]
fn whole<'a>(
    part: &'a [f32],
    padded: &'a mut [Lanes; TOGETHER / LANES],
) -> &'a [Lanes; TOGETHER / LANES] {
    if let Some(blocks) = part.as_chunks().0.first_chunk() {
        return blocks;
    }
    let (values, rest) = padded.as_flattened_mut().split_at_mut(part.len());
    values.copy_from_slice(part);
    rest.fill(0.0);
    padded
}

#[inline(always)]
fn transpose(rounding: Rounding, block: &mut [[u32; LANES]; LANES]) {
    match rounding {
        // SAFETY: only loops that are compiled for AVX-512 round by an instruction of it.
        #[cfg(target_arch = "x86_64")]
        Rounding::Instruction => unsafe { avx512::transpose(block) },
        _ => {
            let rows = *block;
            for (column, out) in block.iter_mut().enumerate() {
                out.iter_mut()
                    .zip(&rows)
                    .for_each(|(out, row)| *out = row[column]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        _mm512_loadu_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_unpackhi_epi32,
        _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };

    use super::LANES;

    /// Four steps: words, then pairs of words within the quarters of four rows, then the quarters themselves.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn transpose(block: &mut [[u32; LANES]; LANES]) {
        // SAFETY: a row is as long as a register.
        let mut rows = block
            .each_ref()
            .map(|row| unsafe { _mm512_loadu_si512(row.as_ptr().cast()) });
        for four in rows.as_chunks_mut::<4>().0 {
            let [a, b, c, d] = *four;
            let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            *four = [
                _mm512_unpacklo_epi64(ab_low, cd_low),
                _mm512_unpackhi_epi64(ab_low, cd_low),
                _mm512_unpacklo_epi64(ab_high, cd_high),
                _mm512_unpackhi_epi64(ab_high, cd_high),
            ];
        }
        for i in 0..4 {
            let [a, b, c, d] = [rows[i], rows[i + 4], rows[i + 8], rows[i + 12]];
            let (ab_even, ab_odd) = (
                _mm512_shuffle_i32x4::<0x88>(a, b),
                _mm512_shuffle_i32x4::<0xdd>(a, b),
            );
            let (cd_even, cd_odd) = (
                _mm512_shuffle_i32x4::<0x88>(c, d),
                _mm512_shuffle_i32x4::<0xdd>(c, d),
            );
            rows[i] = _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even);
            rows[i + 4] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
            rows[i + 8] = _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even);
            rows[i + 12] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
        }
        for (row, register) in block.iter_mut().zip(rows) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), register) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_packed<const WIDTH: usize>(isa: Isa, extent: usize, sum: usize) {
        let at = |line: usize, term: usize| {
            if line < extent && term < sum {
                (line * sum + term) as f32
            } else {
                0.0
            }
        };
        let rows: Vec<f32> = (0..extent * sum).map(|i| at(i / sum, i % sum)).collect();
        let columns: Vec<f32> = (0..extent * sum)
            .map(|i| at(i % extent, i / extent))
            .collect();
        // What an earlier, larger operand left behind.
        let leftover = || Panels::<WIDTH> {
            words: vec![[u32::MAX; WIDTH]; 4096],
            pairs: 0,
            extent: 0,
        };
        let (mut from_rows, mut from_columns) = (leftover(), leftover());
        from_rows.pack_rows(isa, &rows, sum);
        from_columns.pack_columns(isa, &columns, extent);
        for panels in [&from_rows, &from_columns] {
            assert_eq!(
                (panels.extent(), panels.count()),
                (extent, extent.div_ceil(WIDTH))
            );
            for line in 0..panels.count() * WIDTH {
                for (pair, words) in panels.panel(line / WIDTH).iter().enumerate() {
                    assert_eq!(
                        words[line % WIDTH],
                        bf16::word(at(line, 2 * pair), at(line, 2 * pair + 1)),
                        "line {line}, pair {pair}"
                    );
                }
            }
        }
    }

    #[test]
    fn words_lie_where_the_tile_reads_them() {
        for isa in Isa::available() {
            for (extent, sum) in [
                (1, 1),
                (6, 32),
                (7, 33),
                (64, 3),
                (65, 31),
                (84, 5),
                (193, 70),
                (200, 64),
            ] {
                is_packed::<6>(isa, extent, sum);
                is_packed::<64>(isa, extent, sum);
            }
        }
    }
}
