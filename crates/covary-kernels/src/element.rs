//! Numbers that activations are stored as: f32, or bf16 rounded to nearest even.
//!
//! Channels are padded to a multiple of [`LANES`], so that every inner loop is a whole number of lanes; padding holds zeros.

use half::bf16;

/// Channels that are handled together: one AVX-512 register of f32.
pub const LANES: usize = 16;

/// A block of channels in f32.
pub(crate) type Lanes = [f32; LANES];

/// Sixteen values by an expression of their index. `std::array::from_fn` would compile the expression outside of the caller's
/// instruction set wherever it is not inlined.
macro_rules! lanes {
    (|$i:ident| $value:expr) => {{
        let mut out = [Default::default(); $crate::element::LANES];
        for $i in 0..$crate::element::LANES {
            out[$i] = $value;
        }
        out
    }};
}
pub(crate) use lanes;

/// `channels` rounded up to whole lanes.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// A stored number.
pub trait Element: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// Exactly the stored value.
    fn widen(self) -> f32;
    /// The nearest stored value, ties to even.
    fn round(value: f32) -> Self;
    /// Those of a block.
    #[inline(always)]
    fn round_block(_: Rounding, lanes: &Lanes) -> [Self; LANES] {
        lanes!(|i| Self::round(lanes[i]))
    }
}

/// What rounds a block to bf16. Both give the same bits, but that the instruction takes subnormal numbers for zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Additions and shifts of integers.
    Integers,
    /// The conversion of AVX-512 BF16.
    Instruction,
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
    #[inline(always)]
    fn round(value: f32) -> Self {
        value
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    // The library's conversion branches on NaN, which keeps loops scalar. Quiet NaNs survive this one too.
    #[inline(always)]
    fn round(value: f32) -> Self {
        let bits = value.to_bits();
        let even = (bits >> 16) & 1;
        Self::from_bits((bits.wrapping_add(0x7fff + even) >> 16) as u16)
    }
    #[inline(always)]
    fn round_block(rounding: Rounding, lanes: &Lanes) -> [Self; LANES] {
        match rounding {
            // SAFETY: only loops that are compiled for AVX-512 BF16 round by its instruction.
            #[cfg(target_arch = "x86_64")]
            Rounding::Instruction => unsafe { avx512_bf16::round(lanes) },
            _ => lanes!(|i| <Self as Element>::round(lanes[i])),
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_bf16 {
    use std::arch::x86_64::{
        __m256bh, __m512, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh,
        _mm512_permutexvar_epi16,
    };

    use super::{LANES, Lanes, bf16};

    /// Words of the lower and of the upper sixteen in turn.
    const INTERLEAVED: [u16; 2 * LANES] = {
        let mut order = [0; 2 * LANES];
        let mut i = 0;
        while i < LANES {
            order[2 * i] = i as u16;
            order[2 * i + 1] = (LANES + i) as u16;
            i += 1;
        }
        order
    };

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn round(lanes: &Lanes) -> [bf16; LANES] {
        // SAFETY: all are as many bytes of numbers.
        unsafe {
            let lanes = std::mem::transmute::<Lanes, __m512>(*lanes);
            std::mem::transmute::<__m256bh, [bf16; LANES]>(_mm512_cvtneps_pbh(lanes))
        }
    }

    /// A word of each lane: the first rounded in its lower half, the second in its upper.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(crate) fn pairs(first: &Lanes, second: &Lanes) -> [u32; LANES] {
        // SAFETY: all are as many bytes of numbers.
        unsafe {
            let first = std::mem::transmute::<Lanes, __m512>(*first);
            let second = std::mem::transmute::<Lanes, __m512>(*second);
            let rounded = _mm512_cvtne2ps_pbh(second, first);
            let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
            let order = std::mem::transmute::<[u16; 2 * LANES], __m512i>(INTERLEAVED);
            let pairs = _mm512_permutexvar_epi16(order, rounded);
            std::mem::transmute::<__m512i, [u32; LANES]>(pairs)
        }
    }
}

#[inline(always)]
pub(crate) fn widen<T: Element>(block: &[T; LANES]) -> Lanes {
    lanes!(|i| block[i].widen())
}

/// Blocks of a slice whose length is a multiple of [`LANES`].
#[inline(always)]
pub(crate) fn blocks<T>(slice: &[T]) -> &[[T; LANES]] {
    slice.as_chunks().0
}

#[inline(always)]
pub(crate) fn blocks_mut<T>(slice: &mut [T]) -> &mut [[T; LANES]] {
    slice.as_chunks_mut().0
}

/// `value` where `mask` is positive, else 0, without a branch.
#[inline(always)]
pub(crate) fn where_positive(mask: f32, value: f32) -> f32 {
    f32::from_bits(value.to_bits() & u32::from(mask > 0.0).wrapping_neg())
}

/// Ends the work on a block. Without it the compiler may vectorise a loop across its blocks, gathering one lane of each, instead of
/// the sixteen lanes of a block; a loop with an assembler statement, even an empty one, is left as it is.
#[inline(always)]
pub(crate) fn block_done() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: there is no instruction in it.
    unsafe {
        std::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even_as_the_half_crate_does_it() {
        let mut bits = 0x3f80_0000_u32;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            if value.is_finite() {
                assert_eq!(
                    <bf16 as Element>::round(value),
                    bf16::from_f32(value),
                    "{value}"
                );
            }
        }
        assert!(<bf16 as Element>::round(f32::NAN).is_nan());
        assert_eq!(<bf16 as Element>::round(f32::INFINITY), bf16::INFINITY);
    }

    #[test]
    fn the_instruction_rounds_as_the_integers_do() {
        if !crate::Isa::Avx512Bf16.is_available() {
            println!("this processor has no such instruction");
            return;
        }
        let mut bits = 0x3f80_0000_u32;
        let mut next = || {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Every other one half way between two neighbours.
            let bits = if bits & 1 == 0 {
                bits & 0xffff_0000 | 0x8000
            } else {
                bits
            };
            let value = f32::from_bits(bits);
            if value.is_normal() {
                value
            } else {
                f32::INFINITY
            }
        };
        for _ in 0..20_000 {
            let first: Lanes = lanes!(|_i| next());
            let second: Lanes = lanes!(|_i| next());
            let [a, b] = [&first, &second]
                .map(|lanes| <bf16 as Element>::round_block(Rounding::Integers, lanes));
            assert_eq!(
                <bf16 as Element>::round_block(Rounding::Instruction, &first),
                a
            );
            let words = a.iter().zip(b);
            let words: Vec<u32> = words
                .map(|(a, b)| u32::from(a.to_bits()) | u32::from(b.to_bits()) << 16)
                .collect();
            // SAFETY: the processor has the instruction.
            let pairs = unsafe { avx512_bf16::pairs(&first, &second) };
            assert_eq!(pairs.to_vec(), words);
        }
    }
}
