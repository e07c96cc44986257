//! `1/d Σ_i (Σ_{j≤i} σ_j) / Σ_j σ_j`, σ the singular values of the centred embeddings, largest first (Li, Efros & Pathak
//! 2022, eq. 2): (d + 1) / 2d when all are equal, 1 when one dominates.
//!
//! Undefined for constant embeddings.

use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct CollapseAuc;

impl CollapseMetric for CollapseAuc {
    fn name(&self) -> &'static str {
        "collapse_auc"
    }

    fn summary(&self) -> &'static str {
        "area under the cumulative share of centred singular values; 0.5 = flat, 1 = rank one"
    }

    fn range(&self, _dimension: usize) -> (f64, f64) {
        (0.5, 1.0)
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
            return Ok(None);
        }
        let eigenvalues = sample.covariance_eigenvalues()?;
        let total: f64 = eigenvalues.iter().map(|value| value.sqrt()).sum();
        let mut cumulative = 0.0;
        let mut area = 0.0;
        for value in eigenvalues {
            cumulative += value.sqrt() / total;
            area += cumulative;
        }
        Ok(Some(area / eigenvalues.len() as f64))
    }
}
