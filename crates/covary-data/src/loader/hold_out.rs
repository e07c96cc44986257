//! The fixed split of a training set for tuning: nine tenths to fit on, one tenth to score on. Depends on the number of images only.

use crate::rng::{Purpose, permutation};

/// Indices into a training set, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOut {
    /// Images to fit on: 45,000 of 50,000.
    pub fit: Vec<u32>,
    /// Images to score on: 5,000 of 50,000.
    pub score: Vec<u32>,
}

/// Splits `0..len`: the tenth (rounded down) that comes first in a fixed permutation is held out.
pub fn hold_out(len: usize) -> HoldOut {
    let mut score = permutation(len, 0, 0, Purpose::HoldOut);
    let mut fit = score.split_off(len / 10);
    fit.sort_unstable();
    score.sort_unstable();
    HoldOut { fit, score }
}
