//! What the register tiles multiply: 32-bit words, each one f32 or a pair of bf16.
//!
//! A product is a sum over words: `acc[lane] += word · weight[lane]`, where a word of bf16 holds two neighbouring numbers of the sum
//! (two channels in a convolution, two images in a weight gradient) and the instruction adds both products. The tiles are therefore the
//! same for both operands but for one instruction.

use half::bf16;

#[cfg(target_arch = "x86_64")]
use crate::element::avx512_bf16;
use crate::element::{Element, LANES, Lanes, Rounding, lanes, widen};

/// An operand of the tiles.
pub trait Operand: Element {
    /// Numbers in a word.
    const PER_WORD: usize;
    /// The words of a block of neighbours.
    type Words: Copy;
    /// Whether tiles multiply pairs of bf16.
    const BF16: bool;
    /// The word of `first` and, where a word holds two, `second`.
    fn word(first: f32, second: f32) -> u32;
    /// The words of a block of first and a block of second numbers.
    #[inline(always)]
    fn words(_: Rounding, first: &Lanes, second: &Lanes) -> [u32; LANES] {
        lanes!(|i| Self::word(first[i], second[i]))
    }
    /// What [`Operand::word`] made of the first number (0) or of the second (1) of a word; of a single one, always that.
    fn part(word: u32, index: usize) -> f32;
    /// The words of a block of neighbours.
    fn pack(block: &[Self; LANES]) -> Self::Words;
    /// The numbers of a block's words.
    fn unpack(words: &Self::Words) -> Lanes;
    /// Words by blocks of neighbours.
    fn blocks(words: &[u32]) -> &[Self::Words];
    /// Words by blocks of neighbours.
    fn blocks_mut(words: &mut [u32]) -> &mut [Self::Words];
}

impl Operand for f32 {
    const PER_WORD: usize = 1;
    type Words = [u32; LANES];
    const BF16: bool = false;
    #[inline(always)]
    fn word(first: f32, _: f32) -> u32 {
        first.to_bits()
    }
    #[inline(always)]
    fn part(word: u32, _: usize) -> f32 {
        Self::from_bits(word)
    }
    #[inline(always)]
    fn pack(block: &[Self; LANES]) -> Self::Words {
        lanes!(|i| block[i].to_bits())
    }
    #[inline(always)]
    fn unpack(words: &Self::Words) -> Lanes {
        lanes!(|i| Self::from_bits(words[i]))
    }
    #[inline(always)]
    fn blocks(words: &[u32]) -> &[Self::Words] {
        words.as_chunks().0
    }
    #[inline(always)]
    fn blocks_mut(words: &mut [u32]) -> &mut [Self::Words] {
        words.as_chunks_mut().0
    }
}

impl Operand for bf16 {
    const PER_WORD: usize = 2;
    type Words = [u32; LANES / 2];
    const BF16: bool = true;
    #[inline(always)]
    fn word(first: f32, second: f32) -> u32 {
        let low = u32::from(<Self as Element>::round(first).to_bits());
        low | u32::from(<Self as Element>::round(second).to_bits()) << 16
    }
    #[inline(always)]
    fn words(rounding: Rounding, first: &Lanes, second: &Lanes) -> [u32; LANES] {
        match rounding {
            // SAFETY: only loops that are compiled for AVX-512 BF16 round by its instruction.
            #[cfg(target_arch = "x86_64")]
            Rounding::Instruction => unsafe { avx512_bf16::pairs(first, second) },
            _ => lanes!(|i| Self::word(first[i], second[i])),
        }
    }
    #[inline(always)]
    fn part(word: u32, index: usize) -> f32 {
        f32::from_bits(if index == 0 {
            word << 16
        } else {
            word & 0xffff_0000
        })
    }
    #[inline(always)]
    fn pack(block: &[Self; LANES]) -> Self::Words {
        // SAFETY: 32 bytes without padding are as many of any integer. The first number is the lower half where the tiles read them.
        unsafe { std::mem::transmute::<[Self; LANES], [u32; LANES / 2]>(*block) }
    }
    #[inline(always)]
    fn unpack(words: &Self::Words) -> Lanes {
        // SAFETY: as above, and every pattern is a number.
        widen(&unsafe { std::mem::transmute::<[u32; LANES / 2], [Self; LANES]>(*words) })
    }
    #[inline(always)]
    fn blocks(words: &[u32]) -> &[Self::Words] {
        words.as_chunks().0
    }
    #[inline(always)]
    fn blocks_mut(words: &mut [u32]) -> &mut [Self::Words] {
        words.as_chunks_mut().0
    }
}

/// What storage as `T` leaves of numbers that are rounded to `O` next: where that rounds as much, they need not be rounded twice.
#[inline(always)]
pub(crate) fn stored<T: Element, O: Operand>(rounding: Rounding, lanes: &Lanes) -> Lanes {
    if O::BF16 {
        *lanes
    } else {
        widen(&T::round_block(rounding, lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_blocks_hold_the_words_of_neighbours() {
        let values: Lanes = lanes!(|i| (i as f32 - 7.3) * 1.7e3);
        let block: [bf16; LANES] = lanes!(|i| <bf16 as Element>::round(values[i]));
        let words = bf16::pack(&block);
        for (i, word) in words.into_iter().enumerate() {
            assert_eq!(word, bf16::word(values[2 * i], values[2 * i + 1]));
            for part in 0..2 {
                let number = block[2 * i + part].widen();
                assert_eq!(bf16::part(word, part).to_bits(), number.to_bits());
            }
        }
        let numbers = bf16::unpack(&words).map(f32::to_bits);
        assert_eq!(numbers, widen(&block).map(f32::to_bits));
        let words = f32::pack(&values);
        assert_eq!(words, values.map(f32::to_bits));
        assert_eq!(
            f32::unpack(&words).map(f32::to_bits),
            values.map(f32::to_bits)
        );
    }
}
