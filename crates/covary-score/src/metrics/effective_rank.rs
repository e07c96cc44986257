//! `exp(−Σ q log q)`, `q = λ / Σ λ` of the covariance eigenvalues (Roy & Vetterli 2007, on eigenvalues instead of singular
//! values: `rankme` is the version on singular values, uncentred, and reads higher).
//!
//! 0 by convention for constant embeddings. Always defined.

use super::sample::exponential_entropy;
use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct EffectiveRank;

impl CollapseMetric for EffectiveRank {
    fn name(&self) -> &'static str {
        "effective_rank"
    }

    fn summary(&self) -> &'static str {
        "dimensions in use by the entropy of covariance eigenvalues"
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
        let sum: f64 = eigenvalues.iter().sum();
        Ok(Some(exponential_entropy(
            eigenvalues.iter().map(|value| value / sum),
        )))
    }
}
