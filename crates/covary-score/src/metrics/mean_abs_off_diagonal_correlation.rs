//! `mean_{i≠j} |ρ_ij|` of the columns (Bardes et al. 2022, eq. 9). A constant column correlates with nothing.
//!
//! 0 by convention for constant embeddings. Undefined for embeddings of width 1.

use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct MeanAbsOffDiagonalCorrelation;

impl CollapseMetric for MeanAbsOffDiagonalCorrelation {
    fn name(&self) -> &'static str {
        "mean_abs_off_diagonal_correlation"
    }

    fn summary(&self) -> &'static str {
        "mean absolute correlation between two dimensions; 0 = decorrelated, 1 = all the same"
    }

    fn range(&self, _dimension: usize) -> (f64, f64) {
        (0.0, 1.0)
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            rotation: false,
            scale: true,
            translation: true,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        let d = sample.embeddings().dimension();
        if d == 1 {
            return Ok(None);
        }
        if sample.is_constant() {
            return Ok(Some(0.0));
        }
        let covariance = sample.covariance();
        let deviations: Vec<f64> = (0..d)
            .map(|column| covariance[(column, column)].sqrt().max(1e-12))
            .collect();
        let mut sum = 0.0;
        for column in 0..d {
            for row in column + 1..d {
                sum += (covariance[(row, column)] / (deviations[row] * deviations[column])).abs();
            }
        }
        Ok(Some(2.0 * sum / (d * (d - 1)) as f64))
    }
}
