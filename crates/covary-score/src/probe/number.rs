//! The two kinds of number that the probes compute in: f32 for speed, f64 as the reference that it is tested against.
//!
//! `exp` in f32 is `2ⁿ · p(r)` with `x = n ln 2 + r`, |r| ≤ ½ ln 2, and p the Taylor polynomial of degree 7, whose error there is 6e-9;
//! rounding leaves 2 units in the last place. It has no branch and no table, so that compilers make vector code of it.

use faer::traits::ComplexField;

/// f32 or f64.
pub(crate) trait Number: ComplexField + Copy + From<f32> + Into<f64> + PartialOrd {
    /// The nearest number.
    fn nearest(value: f64) -> Self;
    /// Replaces each number, none above 0, by its exponential.
    fn exponentials(values: &mut [Self]);
    /// These values themselves, or converted in `buffer`.
    fn view<'a>(values: &'a [f32], buffer: &'a mut Vec<Self>) -> &'a [Self];
}

impl Number for f64 {
    fn nearest(value: f64) -> Self {
        value
    }

    fn view<'a>(values: &'a [f32], buffer: &'a mut Vec<Self>) -> &'a [Self] {
        buffer.clear();
        buffer.extend(values.iter().map(|x| Self::from(*x)));
        buffer
    }

    fn exponentials(values: &mut [Self]) {
        for value in values {
            *value = value.exp();
        }
    }
}

impl Number for f32 {
    fn nearest(value: f64) -> Self {
        value as Self
    }

    fn view<'a>(values: &'a [f32], _buffer: &'a mut Vec<Self>) -> &'a [Self] {
        values
    }

    fn exponentials(values: &mut [Self]) {
        for value in values {
            *value = exponential(*value);
        }
    }
}

/// 1.5 · 2²³: a sum with it is rounded to an integer, which its last bits then are.
const ROUNDER: f32 = 12_582_912.0;
/// Smallest argument whose exponential is a normal number.
const LOWEST: f32 = -87.0;
/// ln 2 in two parts, the first with trailing zeros, so that its product with n is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// 1/7!, 1/6!, ... 1/2!, 1, 1.
const TAYLOR: [f32; 8] = [
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

#[inline]
fn exponential(x: f32) -> f32 {
    let x = if x > LOWEST { x } else { LOWEST };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let p = TAYLOR.iter().fold(0.0, |sum, factor| sum * r + factor);
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUNDER.to_bits())
        .wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_agree_with_those_in_f64() {
        for step in 0..87_000 {
            let x = -step as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exponential(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert_eq!(exponential(0.0).to_bits(), 1f32.to_bits());
        assert!(exponential(f32::NEG_INFINITY) < 1e-37);
    }
}
