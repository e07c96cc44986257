//! `Σ_i λ_i / λ_1` of the covariance eigenvalues (He & Ozay 2022): d when all are equal, 1 when one dominates.
//!
//! 0 by convention for constant embeddings. Always defined.

use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct NeSum;

impl CollapseMetric for NeSum {
    fn name(&self) -> &'static str {
        "nesum"
    }

    fn summary(&self) -> &'static str {
        "sum of covariance eigenvalues over the largest"
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
        if sample.is_constant() {
            return Ok(Some(0.0));
        }
        let eigenvalues = sample.covariance_eigenvalues()?;
        Ok(Some(
            eigenvalues.iter().map(|value| value / eigenvalues[0]).sum(),
        ))
    }
}
