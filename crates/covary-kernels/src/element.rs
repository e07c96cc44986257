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
}

#[inline(always)]
pub(crate) fn widen<T: Element>(block: &[T; LANES]) -> Lanes {
    lanes!(|i| block[i].widen())
}

#[inline(always)]
pub(crate) fn round<T: Element>(lanes: &Lanes) -> [T; LANES] {
    lanes!(|i| T::round(lanes[i]))
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
}
