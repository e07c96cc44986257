//! Collapse metrics: numbers that say, without labels, how embeddings use their dimensions.
//!
//! One file holds one metric; one line of [`METRICS`] registers it, which also puts it under the battery of closed forms,
//! ranges and invariances. Metrics are computed in f64. A value that is undefined for a sample is `None`, null in reports.

mod alignment;
mod alpha_req;
mod collapse_auc;
mod effective_rank;
mod lidar;
mod mean_abs_off_diagonal_correlation;
mod nesum;
mod outcome;
mod participation_ratio;
mod rankme;
mod sample;
mod std_of_l2_normalized;
mod uniformity;

#[cfg(test)]
mod battery;

pub use outcome::{Outcome, RunOutcome, Verdict};
pub use sample::Sample;
use serde::Serialize;

use crate::embeddings::EmbeddingError;

/// Every metric, in the order of reports.
pub const METRICS: &[&dyn CollapseMetric] = &[
    &std_of_l2_normalized::StdOfL2Normalized,
    &participation_ratio::ParticipationRatio,
    &effective_rank::EffectiveRank,
    &rankme::RankMe,
    &nesum::NeSum,
    &alpha_req::AlphaReq,
    &collapse_auc::CollapseAuc,
    &mean_abs_off_diagonal_correlation::MeanAbsOffDiagonalCorrelation,
    &uniformity::Uniformity,
    &alignment::Alignment,
    &lidar::Lidar,
];

/// A label-free number computed from embeddings.
pub trait CollapseMetric: std::fmt::Debug + Sync {
    /// Its key in reports, snake case.
    fn name(&self) -> &'static str;
    /// What it says, in one line.
    fn summary(&self) -> &'static str;
    /// Smallest and largest value that embeddings of width `dimension` can reach.
    fn range(&self, dimension: usize) -> (f64, f64);
    /// What may be done to the embeddings without changing the value.
    fn invariances(&self) -> Invariances;
    /// The value; `None` where the definition gives none for this sample (each metric's file says when).
    ///
    /// # Errors
    /// [`EmbeddingError::Decomposition`] if a spectrum that it needs does not converge.
    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError>;
}

/// Transformations that leave a metric's value as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariances {
    /// An orthogonal map of the embedding space.
    pub rotation: bool,
    /// Multiplication of all embeddings by one positive number.
    pub scale: bool,
    /// Addition of one vector to all embeddings.
    pub translation: bool,
}

/// One metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Name of the metric.
    pub name: &'static str,
    /// Its value; none where it is undefined.
    pub value: Option<f64>,
}

/// Computes every registered metric.
///
/// # Errors
/// [`EmbeddingError::Decomposition`] if a spectrum does not converge.
pub fn measure(sample: &Sample<'_>) -> Result<Vec<Measurement>, EmbeddingError> {
    METRICS
        .iter()
        .map(|metric| {
            Ok(Measurement {
                name: metric.name(),
                value: metric.compute(sample)?,
            })
        })
        .collect()
}
