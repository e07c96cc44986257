//! `(Σ λ)² / Σ λ²` of the covariance eigenvalues: d when all are equal, 1 when one dominates.
//!
//! 0 by convention for constant embeddings. Always defined.

use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct ParticipationRatio;

impl CollapseMetric for ParticipationRatio {
    fn name(&self) -> &'static str {
        "participation_ratio"
    }

    fn summary(&self) -> &'static str {
        "dimensions in use by the spread of covariance eigenvalues, (sum)^2 / sum of squares"
    }

    fn range(&self, dimension: usize) -> (f64, f64) {
        (0.0, dimension as f64)
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            rotation: true,
            scale: true,
            translation: true,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        Self::of(sample).map(Some)
    }
}

impl ParticipationRatio {
    pub(super) fn of(sample: &Sample<'_>) -> Result<f64, EmbeddingError> {
        if sample.is_constant() {
            return Ok(0.0);
        }
        let eigenvalues = sample.covariance_eigenvalues()?;
        let sum: f64 = eigenvalues.iter().sum();
        Ok(1.0
            / eigenvalues
                .iter()
                .map(|value| (value / sum).powi(2))
                .sum::<f64>())
    }
}
