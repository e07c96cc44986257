//! Paired t: the mean difference of two arms over the seeds that both have, and how much of the noise the pairing took away.
//!
//! `d_s = left_s - right_s`, `t = mean(d) / (sd(d) / √n)`, n - 1 degrees of freedom (Student 1908). Were the arms independent,
//! Var(d) would be Var(left) + Var(right); `1 - Var(d) / (Var(left) + Var(right))` is the share that the pairing removed, negative where
//! it added some.

use serde::Serialize;

use super::estimate::variance;
use super::{Estimate, mean};

/// A paired difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Left less right.
    pub difference: Estimate,
    /// Pairs.
    pub n: usize,
    /// Variance of the differences.
    pub variance_of_difference: f64,
    /// Sum of the two arms' variances.
    pub sum_of_variances: f64,
}

impl Paired {
    /// Share of the variance that the pairing removed; none where there is no variance.
    pub fn removed(&self) -> Option<f64> {
        (self.sum_of_variances > 0.0)
            .then(|| 1.0 - self.variance_of_difference / self.sum_of_variances)
    }
}

/// Left less right, seed by seed; none for fewer than two pairs.
///
/// # Panics
/// When the lengths differ.
pub fn paired(left: &[f64], right: &[f64]) -> Option<Paired> {
    assert_eq!(left.len(), right.len(), "pairs");
    let n = left.len();
    if n < 2 {
        return None;
    }
    let differences: Vec<f64> = left.iter().zip(right).map(|(l, r)| l - r).collect();
    let spread = variance(&differences);
    let difference = Estimate::new(
        mean(&differences),
        (spread / n as f64).sqrt(),
        n as f64 - 1.0,
    );
    Some(Paired {
        difference,
        n,
        variance_of_difference: spread,
        sum_of_variances: variance(left) + variance(right),
    })
}
