//! Randomness: one `ChaCha8` stream per (seed, epoch, image, view), keyed by these four numbers themselves.
//!
//! The 256-bit key of `ChaCha8` (Bernstein 2008) is the concatenation of the four 64-bit numbers, little endian, so different
//! coordinates are different keys and no hash can make them collide. A view therefore depends on nothing but its coordinates:
//! not on threads, not on order, not on how many numbers another image used.
//!
//! The conversions from bits to numbers are spelled out here rather than taken from `rand`'s distributions, whose results
//! may change between its releases.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

/// The generator behind [`stream`].
pub type Stream = ChaCha8Rng;

/// Draws that concern the whole data set use the image index that no image has.
const WHOLE_DATASET: u64 = u64::MAX;

/// What a draw over the whole data set is for; keeps the streams of different purposes apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of the images in one epoch.
    EpochOrder,
    /// Which images a limited run uses.
    Limit,
    /// Which training images are held out for tuning.
    HoldOut,
    /// Which labeled images become the test set of data that have none.
    TestShare,
    /// Which images are measured.
    Sample,
}

/// The stream of one view of one image.
///
/// `index` is the image's position in the data set, below `u64::MAX`.
pub fn stream(seed: u64, epoch: u64, index: u64, view: u64) -> Stream {
    let mut key = [0; 32];
    for (bytes, number) in key.chunks_exact_mut(8).zip([seed, epoch, index, view]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A permutation of `0..n` for `purpose` (Fisher and Yates).
pub(crate) fn permutation(n: usize, seed: u64, epoch: u64, purpose: Purpose) -> Vec<u32> {
    let n = u32::try_from(n).expect("a data set in memory has fewer than 2^32 images");
    let mut random = stream(seed, epoch, WHOLE_DATASET, purpose as u64);
    let mut order: Vec<u32> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, below(&mut random, last + 1) as usize);
    }
    order
}

/// Uniform on [0, 1), a multiple of 2^-32.
fn unit(random: &mut Stream) -> f64 {
    f64::from(random.next_u32()) / 4_294_967_296.0
}

/// Uniform between `low` and `high`.
pub(crate) fn uniform(random: &mut Stream, low: f64, high: f64) -> f64 {
    low + (high - low) * unit(random)
}

/// True with probability `p`; draws one number whatever `p` is.
pub(crate) fn happens(random: &mut Stream, p: f64) -> bool {
    unit(random) < p
}

/// Uniform on `0..n`, `n` > 0, without bias (Lemire 2019, algorithm 5).
pub(crate) fn below(random: &mut Stream, n: u32) -> u32 {
    let mut product = u64::from(random.next_u32()) * u64::from(n);
    if (product as u32) < n {
        let threshold = n.wrapping_neg() % n;
        while (product as u32) < threshold {
            product = u64::from(random.next_u32()) * u64::from(n);
        }
    }
    (product >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coordinate_changes_the_stream() {
        let first = |seed, epoch, index, view| stream(seed, epoch, index, view).next_u64();
        let base = first(1, 2, 3, 4);
        assert_eq!(base, first(1, 2, 3, 4));
        for other in [
            first(0, 2, 3, 4),
            first(1, 0, 3, 4),
            first(1, 2, 0, 4),
            first(1, 2, 3, 0),
            first(4, 3, 2, 1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = permutation(1000, 7, 3, Purpose::EpochOrder);
        assert_ne!(order, permutation(1000, 7, 4, Purpose::EpochOrder));
        assert_ne!(order, permutation(1000, 7, 3, Purpose::Limit));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }

    #[test]
    fn below_is_uniform() {
        // chi-square with 6 degrees of freedom: 99.99 % lie below 27.9
        let mut random = stream(0, 0, 0, 0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut random, 7) as usize] += 1;
        }
        let chi_square: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        assert!(chi_square < 27.9, "{counts:?}: {chi_square}");
    }
}
