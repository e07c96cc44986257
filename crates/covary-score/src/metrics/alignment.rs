//! `mean_i ‖ẑ_i − ẑ′_i‖²`, ẑ and ẑ′ two views of the same images divided by their norms (Wang & Isola 2020, α = 2).
//!
//! Of a sample of two views, or of the first two of its augmented views; undefined without either.

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
        if let Some(second) = sample.second_view() {
            return Ok(Some(mean_distance(
                sample.unit_rows(),
                &unit_rows(second),
                sample.embeddings().rows(),
            )));
        }
        let Some((views, q)) = sample.augmented() else {
            return Ok(None);
        };
        let (d, rows) = (views.dimension(), unit_rows(views));
        let of = |view: usize| -> Vec<f64> {
            let images = rows.chunks_exact(q * d);
            images
                .flat_map(|image| image[view * d..][..d].iter().copied())
                .collect()
        };
        Ok(Some(mean_distance(&of(0), &of(1), views.rows() / q)))
    }
}

fn mean_distance(first: &[f64], second: &[f64], rows: usize) -> f64 {
    let squares = first.iter().zip(second).map(|(x, y)| (x - y).powi(2));
    squares.sum::<f64>() / rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embeddings::Embeddings;

    #[test]
    fn augmented_views_are_compared_as_two_views_are() {
        let first = [1.0, 0.0, 0.0, 2.0];
        let second = [0.0, 3.0, 0.0, 1.0];
        let views = [1.0, 0.0, 0.0, 3.0, 0.0, 2.0, 0.0, 1.0];
        let of = |values| Embeddings::try_new(values, 2).unwrap();
        let pair = Sample::try_from_views(of(&first), of(&second)).unwrap();
        let augmented = Sample::new(of(&first))
            .try_with_augmented(of(&views), 2)
            .unwrap();
        for sample in [pair, augmented] {
            // Image 1: orthogonal, distance² 2; image 2: the same direction.
            assert_eq!(Alignment.compute(&sample).unwrap(), Some(1.0));
        }
        assert_eq!(Alignment.compute(&Sample::new(of(&first))).unwrap(), None);
    }
}
