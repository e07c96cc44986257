//! `−slope` of the least-squares line through `(log j, log λ_j)`, λ the covariance eigenvalues, j = 1 ... 64 at most
//! (Agrawal et al. 2022, α-ReQ; which part of the spectrum is fitted differs between implementations).
//!
//! Eigenvalues up to 1e-12 of the largest are left out: they are rounding. Undefined with fewer than three others, so for
//! constant embeddings and those of rank one or two.

use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::EmbeddingError;

const FITTED: usize = 64;
const ROUNDING: f64 = 1e-12;

#[derive(Debug)]
pub(super) struct AlphaReq;

impl CollapseMetric for AlphaReq {
    fn name(&self) -> &'static str {
        "alpha_req"
    }

    fn summary(&self) -> &'static str {
        "decay exponent of the covariance spectrum, eigenvalue j ~ j^-alpha; near 1 is said to be good"
    }

    fn range(&self, _dimension: usize) -> (f64, f64) {
        (0.0, f64::INFINITY)
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
        let points: Vec<(f64, f64)> = eigenvalues
            .iter()
            .take(FITTED)
            .filter(|&&value| value > ROUNDING * eigenvalues[0])
            .zip(1..)
            .map(|(value, index)| (f64::from(index).ln(), value.ln()))
            .collect();
        if points.len() < 3 {
            return Ok(None);
        }
        let count = points.len() as f64;
        let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
        let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
        let products = points
            .iter()
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum::<f64>();
        let squares = points
            .iter()
            .map(|(x, _)| (x - mean_x).powi(2))
            .sum::<f64>();
        Ok(Some(-products / squares))
    }
}
