//! `mean_j std_i ẑ[i, j]`, ẑ the rows divided by their norm, std with divisor n − 1 (Chen & He 2021; lightly; Bardes et al. 2022, appendix D.8).
//!
//! 1/√d for isotropic embeddings, 0 at complete collapse; blind to embeddings that use few dimensions. Always defined.

use super::sample::column_means;
use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct StdOfL2Normalized;

impl CollapseMetric for StdOfL2Normalized {
    fn name(&self) -> &'static str {
        "std_of_l2_normalized"
    }

    fn summary(&self) -> &'static str {
        "mean std of l2-normalised embeddings; 0 = all the same, 1/sqrt(d) = isotropic"
    }

    fn range(&self, dimension: usize) -> (f64, f64) {
        (0.0, (2.0 / dimension as f64).sqrt())
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            rotation: false,
            scale: true,
            translation: false,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        Ok(Some(Self::of(sample)))
    }
}

impl StdOfL2Normalized {
    pub(super) fn of(sample: &Sample<'_>) -> f64 {
        let d = sample.embeddings().dimension();
        let rows = sample.unit_rows();
        let means = column_means(rows, d);
        let mut squares = vec![0.0; d];
        for row in rows.chunks_exact(d) {
            for ((square, x), mean) in squares.iter_mut().zip(row).zip(&means) {
                *square += (x - mean).powi(2);
            }
        }
        let degrees = (sample.embeddings().rows() - 1) as f64;
        squares
            .iter()
            .map(|square| (square / degrees).sqrt())
            .sum::<f64>()
            / d as f64
    }
}
