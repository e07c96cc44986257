//! Operands packed for the tile: `[panel][pair][WIDTH]` words, where a panel is WIDTH rows of A or columns of B, and a word holds two
//! bf16 that are neighbours in the sum. Panels and pairs that stick out of the operand hold zeros.

use half::bf16;
use rayon::prelude::*;

use crate::Isa;
use crate::conv::Operand;
use crate::dispatch::elementwise;
use crate::element::LANES;

/// Rows or columns that are read together, whole cache lines of them: some panels.
const TOGETHER: usize = 192;

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
            .for_each(|(panel, rows)| {
                if rows.len() < WIDTH * sum {
                    panel.fill([0; WIDTH]);
                }
                for (run, panel) in panel.chunks_mut(LANES).enumerate() {
                    pack_run::<WIDTH>(isa, rows, sum, 2 * LANES * run, panel);
                }
            });
    }

    /// Packs `[sum, extent]`: pairs are neighbours in a column.
    pub(super) fn pack_columns(&mut self, isa: Isa, matrix: &[f32], extent: usize) {
        let pairs = (matrix.len() / extent).div_ceil(2);
        self.reshape(extent, matrix.len() / extent)
            .par_chunks_mut(TOGETHER / WIDTH * pairs)
            .enumerate()
            .for_each(|(job, panels)| {
                let columns = job * TOGETHER..((job + 1) * TOGETHER).min(extent);
                for (pair, rows) in matrix.chunks(2 * extent).enumerate() {
                    let (first, second) = rows.split_at(extent);
                    let mut words = [0; TOGETHER];
                    let second = if second.is_empty() {
                        &[]
                    } else {
                        &second[columns.clone()]
                    };
                    pair_rows(isa, &first[columns.clone()], second, &mut words);
                    let panels = panels.iter_mut().skip(pair).step_by(pairs);
                    panels
                        .zip(words.as_chunks::<WIDTH>().0)
                        .for_each(|(panel, words)| *panel = *words);
                }
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

/// Packs rows from a column on into 16 pairs of their panel.
fn pack_run<const WIDTH: usize>(
    isa: Isa,
    rows: &[f32],
    sum: usize,
    column: usize,
    panel: &mut [[u32; WIDTH]],
) {
    for (group, rows) in rows.chunks(LANES * sum).enumerate() {
        let mut block = [[0; LANES]; LANES];
        pair_neighbours(isa, rows, sum, column, &mut block);
        transpose(isa, &mut block);
        let columns = group * LANES..WIDTH.min((group + 1) * LANES);
        for (panel, words) in panel.iter_mut().zip(&block) {
            panel[columns.clone()].copy_from_slice(&words[..columns.len()]);
        }
    }
}

fn transpose(isa: Isa, block: &mut [[u32; LANES]; LANES]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 => {
            // SAFETY: the instruction set is only made where the processor has it.
            unsafe { avx512::transpose(block) }
        }
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

elementwise! {
    /// Words of numbers above each other; `second` is empty behind the last row.
    fn pair_rows(first: &[f32], second: &[f32], words: &mut [u32; TOGETHER]) = pair_rows_body;
}

#[inline(always)]
fn pair_rows_body(first: &[f32], second: &[f32], words: &mut [u32; TOGETHER]) {
    if second.is_empty() {
        words
            .iter_mut()
            .zip(first)
            .for_each(|(word, first)| *word = bf16::word(*first, 0.0));
    } else {
        words
            .iter_mut()
            .zip(first.iter().zip(second))
            .for_each(|(word, (first, second))| *word = bf16::word(*first, *second));
    }
}

elementwise! {
    /// Words of neighbouring numbers, up to 16 rows from a column on; zeros behind the end of a row.
    fn pair_neighbours(rows: &[f32], sum: usize, column: usize, words: &mut [[u32; LANES]; LANES]) = pair_neighbours_body;
}

#[inline(always)]
fn pair_neighbours_body(
    rows: &[f32],
    sum: usize,
    column: usize,
    words: &mut [[u32; LANES]; LANES],
) {
    for (row, words) in rows.chunks_exact(sum).zip(words) {
        let row = &row[column..];
        let mut padding = [0.0; 2 * LANES];
        let row = if let Some(row) = row.first_chunk() {
            row
        } else {
            padding[..row.len()].copy_from_slice(row);
            &padding
        };
        words
            .iter_mut()
            .zip(row.as_chunks().0)
            .for_each(|(word, [first, second])| *word = bf16::word(*first, *second));
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
