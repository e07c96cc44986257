//! What the register tiles multiply: 32-bit words, each one f32 or a pair of bf16.
//!
//! A product is a sum over words: `acc[lane] += word · weight[lane]`, where a word of bf16 holds two neighbouring numbers of the sum
//! (two channels in a convolution, two images in a weight gradient) and the instruction adds both products. The tiles are therefore the
//! same for both operands but for one instruction.

use half::bf16;

use crate::element::{Element, LANES, Lanes, lanes};

/// An operand of the tiles.
pub trait Operand: Element {
    /// Numbers in a word.
    const PER_WORD: usize;
    /// Whether tiles multiply pairs of bf16.
    const BF16: bool;
    /// The word of `first` and, where a word holds two, `second`.
    fn word(first: f32, second: f32) -> u32;
}

impl Operand for f32 {
    const PER_WORD: usize = 1;
    const BF16: bool = false;
    #[inline(always)]
    fn word(first: f32, _: f32) -> u32 {
        first.to_bits()
    }
}

impl Operand for bf16 {
    const PER_WORD: usize = 2;
    const BF16: bool = true;
    #[inline(always)]
    fn word(first: f32, second: f32) -> u32 {
        let low = u32::from(<Self as Element>::round(first).to_bits());
        low | u32::from(<Self as Element>::round(second).to_bits()) << 16
    }
}

#[inline(always)]
pub(crate) fn words<O: Operand>(first: &Lanes, second: &Lanes) -> [u32; LANES] {
    lanes!(|i| O::word(first[i], second[i]))
}
