//! LiDAR: the effective rank of linear discriminant analysis, `exp(-Σ p log p)` of the normalised eigenvalues of
//! `Σ_w^-½ Σ_b Σ_w^-½`, where a class is one image and its samples are q augmented views of it.
//!
//! Thilak et al. 2023, eq. 1 to 4: `Σ_b` the covariance of the classes' means (divisor: classes), `Σ_w` the mean covariance within classes
//! (divisor: classes times views) plus 1e-4 on its diagonal. Directions that vary more between views of an image than between images
//! do not count, unlike in the other ranks. Undefined without augmented views.

use faer::linalg::solvers::Llt;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, Par, Side};

use super::sample::exponential_entropy;
use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::{EmbeddingError, Embeddings};

/// Added to the diagonal of the covariance within classes.
const DELTA: f64 = 1e-4;

#[derive(Debug)]
pub(super) struct Lidar;

impl CollapseMetric for Lidar {
    fn name(&self) -> &'static str {
        "lidar"
    }

    fn summary(&self) -> &'static str {
        "directions that tell images apart by more than their views differ, 1 to width"
    }

    fn range(&self, dimension: usize) -> (f64, f64) {
        (1.0, dimension as f64)
    }

    fn invariances(&self) -> Invariances {
        // δ has a scale of its own.
        Invariances {
            rotation: true,
            scale: false,
            translation: true,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        let Some((views, q)) = sample.augmented() else {
            return Ok(None);
        };
        let d = views.dimension();
        let (means, within) = scatter(views, q);
        let decomposition = |what| EmbeddingError::Decomposition {
            what,
            rows: d,
            columns: d,
        };
        let factor =
            Llt::new(within.as_ref(), Side::Lower).map_err(|_| decomposition("Cholesky factor"))?;
        let mut whitened = means;
        solve_lower_triangular_in_place(factor.L(), whitened.as_mut(), Par::Seq);
        let singular = whitened
            .singular_values()
            .map_err(|_| decomposition("singular values"))?;
        let eigenvalues: Vec<f64> = singular.iter().map(|s| s * s).collect();
        let total: f64 = eigenvalues.iter().sum();
        if total <= 1e-12 {
            return Ok(None);
        }
        Ok(Some(exponential_entropy(
            eigenvalues.iter().map(|value| value / total),
        )))
    }
}

/// The classes' centred means, `[d, classes]`, and `Σ_w + δ I`.
fn scatter(views: Embeddings<'_>, q: usize) -> (Mat<f64>, Mat<f64>) {
    let (d, classes) = (views.dimension(), views.rows() / q);
    let mut means = Mat::<f64>::zeros(d, classes);
    let mut deviations = Mat::<f64>::zeros(d, classes * q);
    for class in 0..classes {
        for view in 0..q {
            for (c, value) in views.row(class * q + view).iter().enumerate() {
                means[(c, class)] += f64::from(*value) / q as f64;
            }
        }
        for view in 0..q {
            for (c, value) in views.row(class * q + view).iter().enumerate() {
                deviations[(c, class * q + view)] = f64::from(*value) - means[(c, class)];
            }
        }
    }
    for c in 0..d {
        let mean = (0..classes).map(|class| means[(c, class)]).sum::<f64>() / classes as f64;
        (0..classes).for_each(|class| means[(c, class)] -= mean);
    }
    let scale = 1.0 / (classes * q) as f64;
    let mut within = &deviations * deviations.transpose() * faer::Scale(scale);
    (0..d).for_each(|c| within[(c, c)] += DELTA);
    (means, within)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corners of a cube in three dimensions, four views each that differ by `noise` along a fourth.
    fn lidar(noise: f32) -> Option<f64> {
        let rows: Vec<f32> = (0..8_usize)
            .flat_map(|class| {
                [-1.0, -0.5, 0.5, 1.0]
                    .into_iter()
                    .flat_map(move |view: f32| {
                        let corner = |bit: usize| if class >> bit & 1 == 1 { 1.0 } else { -1.0 };
                        [corner(0), corner(1), corner(2), view * noise]
                    })
            })
            .collect();
        let views = Embeddings::try_new(&rows, 4).unwrap();
        let sample = Sample::new(views).try_with_augmented(views, 4).unwrap();
        Lidar.compute(&sample).unwrap()
    }

    #[test]
    fn directions_between_images_count_and_those_between_views_do_not() {
        for noise in [0.0, 5.0] {
            let value = lidar(noise).unwrap();
            assert!((value - 3.0).abs() < 1e-6, "{noise}: {value}");
        }
    }

    #[test]
    fn views_that_drown_a_direction_take_it_out() {
        // Along the first axis views differ by as much as images do, times 1000.
        let rows: Vec<f32> = (0..16_usize)
            .flat_map(|i| {
                let (class, view) = (i / 4, i % 4);
                let sign = |bit: usize| if class >> bit & 1 == 1 { 1.0 } else { -1.0 };
                [sign(0) + 1e3 * (view as f32 - 1.5), sign(1)]
            })
            .collect();
        let views = Embeddings::try_new(&rows, 2).unwrap();
        let sample = Sample::new(views).try_with_augmented(views, 4).unwrap();
        let value = Lidar.compute(&sample).unwrap().unwrap();
        assert!((value - 1.0).abs() < 1e-3, "{value}");
    }

    #[test]
    fn views_must_come_in_whole_groups() {
        let rows = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let views = Embeddings::try_new(&rows, 1).unwrap();
        assert!(Sample::new(views).try_with_augmented(views, 4).is_err());
        let none = Lidar.compute(&Sample::new(views)).unwrap();
        assert_eq!(none, None);
    }
}
