//! `exp(−Σ p log p)`, `p = σ / Σ σ + 1e-7`, σ the singular values of the uncentred embeddings (Garrido et al. 2023;
//! stable-pretraining has 1e-5, which lifts a rank-one set of width 2048 to 1.27).
//!
//! Undefined if all embeddings are 0.

use super::sample::exponential_entropy;
use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct RankMe;

impl CollapseMetric for RankMe {
    fn name(&self) -> &'static str {
        "rankme"
    }

    fn summary(&self) -> &'static str {
        "effective rank of the uncentred embeddings, from singular values (compare runs of one method)"
    }

    fn range(&self, dimension: usize) -> (f64, f64) {
        (0.0, dimension as f64 * (1.0 + 1e-3))
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            rotation: true,
            scale: true,
            translation: false,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        let values = sample.singular_values()?;
        let sum: f64 = values.iter().sum();
        let shares = values.iter().map(|value| value / sum + 1e-7);
        Ok((sum > 0.0).then(|| exponential_entropy(shares)))
    }
}
