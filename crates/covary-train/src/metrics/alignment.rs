//! `mean_i ‖ẑ_i − ẑ′_i‖²`, ẑ and ẑ′ two views of the same images divided by their norms (Wang & Isola 2020, α = 2).
//!
//! Undefined for a sample of one view.

use super::sample::unit_rows;
use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

#[derive(Debug)]
pub(super) struct Alignment;

impl CollapseMetric for Alignment {
    fn name(&self) -> &'static str {
        "alignment"
    }

    fn summary(&self) -> &'static str {
        "mean squared distance between l2-normalised embeddings of two views of an image; 0 = identical"
    }

    fn range(&self, _dimension: usize) -> (f64, f64) {
        (0.0, 4.0)
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            rotation: true,
            scale: true,
            translation: false,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        let Some(second) = sample.second_view() else {
            return Ok(None);
        };
        let second = unit_rows(second);
        let sum: f64 = sample
            .unit_rows()
            .iter()
            .zip(&second)
            .map(|(x, y)| (x - y).powi(2))
            .sum();
        Ok(Some(sum / sample.embeddings().rows() as f64))
    }
}
