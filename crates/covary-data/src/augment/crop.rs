//! Random resized crop: a rectangle of random area and aspect ratio, resampled to the output size (Szegedy et al. 2015).
//!
//! As `torchvision.transforms.RandomResizedCrop`: area fraction uniform in `scale`, aspect ratio log-uniform in `ratio`, both sides
//! rounded; a rectangle that does not fit is drawn again, ten times at most, then the largest central rectangle within the
//! ratio bounds is taken.

use serde::{Deserialize, Serialize};

use super::{
    Check,
    resample::{Filter, Region},
};
use crate::{
    DataError, ImageSize,
    rng::{Stream, below, uniform},
};

const ATTEMPTS: usize = 10;

/// Random resized crop; the first step of every view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Smallest and largest fraction of the image's area, 0 < low ≤ high ≤ 1. Default (0.2, 1).
    pub scale: (f64, f64),
    /// Smallest and largest width / height, 0 < low ≤ high. Default (3/4, 4/3).
    pub ratio: (f64, f64),
    /// Interpolation. Default bilinear, `torchvision`'s default; solo-learn takes bicubic.
    pub filter: Filter,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self {
            scale: (0.2, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            filter: Filter::Bilinear,
        }
    }
}

impl RandomResizedCrop {
    pub(super) fn draw(&self, random: &mut Stream, image: ImageSize) -> Region {
        let (height, width) = (image.height as f64, image.width as f64);
        let log_ratio = (self.ratio.0.ln(), self.ratio.1.ln());
        for _ in 0..ATTEMPTS {
            let area = height * width * uniform(random, self.scale.0, self.scale.1);
            let ratio = uniform(random, log_ratio.0, log_ratio.1).exp();
            let region = (
                ((area / ratio).sqrt().round()) as usize,
                ((area * ratio).sqrt().round()) as usize,
            );
            if let (height @ 1.., width @ 1..) = region
                && height <= image.height
                && width <= image.width
            {
                let top = below(random, (image.height - height + 1) as u32) as usize;
                let left = below(random, (image.width - width + 1) as u32) as usize;
                return Region {
                    top,
                    left,
                    height,
                    width,
                };
            }
        }
        self.central(image)
    }

    fn central(&self, image: ImageSize) -> Region {
        let (rows, columns) = (image.height as f64, image.width as f64);
        let (mut height, mut width) = (image.height, image.width);
        if columns / rows < self.ratio.0 {
            height = ((columns / self.ratio.0).round() as usize).clamp(1, height);
        } else if columns / rows > self.ratio.1 {
            width = ((rows * self.ratio.1).round() as usize).clamp(1, width);
        }
        Region {
            top: (image.height - height) / 2,
            left: (image.width - width) / 2,
            height,
            width,
        }
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        let (low, high) = self.scale;
        check.rule(
            "scale",
            self.scale,
            0.0 < low && low <= high && high <= 1.0,
            "must be 0 < low <= high <= 1",
        )?;
        let (low, high) = self.ratio;
        check.rule(
            "ratio",
            self.ratio,
            0.0 < low && low <= high && high.is_finite(),
            "must be 0 < low <= high",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    const DRAWS: usize = 20_000;

    /// Mean of `values` within five standard errors of `expected`, and the extremes within `range`.
    fn assert_mean(values: &[f64], expected: f64, deviation: f64, range: (f64, f64)) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let tolerance = 5.0 * deviation / (values.len() as f64).sqrt();
        assert!(
            (mean - expected).abs() < tolerance,
            "mean {mean}, expected {expected} +- {tolerance}"
        );
        let extremes = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
        assert!(
            extremes.0 >= range.0 && extremes.1 <= range.1,
            "{extremes:?} not within {range:?}"
        );
    }

    fn draws(config: &RandomResizedCrop, side: usize) -> Vec<Region> {
        let image = ImageSize {
            height: side,
            width: side,
        };
        (0..DRAWS as u64)
            .map(|index| config.draw(&mut stream(1, 0, index, 0), image))
            .collect()
    }

    #[test]
    fn area_is_uniform_and_ratio_log_uniform() {
        // half the image at most, so that every rectangle fits at the first attempt; large, so that rounding does not show
        let config = RandomResizedCrop {
            scale: (0.1, 0.5),
            ..RandomResizedCrop::default()
        };
        let side = 10_000;
        let regions = draws(&config, side);
        let areas: Vec<f64> = regions
            .iter()
            .map(|r| (r.height * r.width) as f64 / (side * side) as f64)
            .collect();
        assert_mean(&areas, 0.3, 0.4 / 12_f64.sqrt(), (0.0999, 0.5001));
        let squares: Vec<f64> = areas.iter().map(|area| (area - 0.3).powi(2)).collect();
        // a uniform variable of width w has (x - mean)^2 with mean w^2/12 and standard deviation w^2 sqrt(1/80 - 1/144)
        assert_mean(
            &squares,
            0.16 / 12.0,
            0.16 * (1.0_f64 / 80.0 - 1.0 / 144.0).sqrt(),
            (0.0, 0.0401),
        );
        let width = 2.0 * (4.0_f64 / 3.0).ln();
        let ratios: Vec<f64> = regions
            .iter()
            .map(|r| (r.width as f64 / r.height as f64).ln())
            .collect();
        assert_mean(
            &ratios,
            0.0,
            width / 12_f64.sqrt(),
            (-width / 2.0 - 1e-3, width / 2.0 + 1e-3),
        );
        let squares: Vec<f64> = ratios.iter().map(|ratio| ratio.powi(2)).collect();
        assert_mean(
            &squares,
            width * width / 12.0,
            width * width * (1.0_f64 / 80.0 - 1.0 / 144.0).sqrt(),
            (0.0, 1.0),
        );
    }

    #[test]
    fn place_is_uniform_over_all_that_fit() {
        let config = RandomResizedCrop::default();
        for region in draws(&config, 32) {
            assert!(
                region.top + region.height <= 32 && region.left + region.width <= 32,
                "{region:?}"
            );
        }
        let exact = RandomResizedCrop {
            scale: (0.25, 0.25),
            ratio: (1.0, 1.0),
            ..config
        };
        let mut counts = [[0_u32; 17]; 2];
        for region in draws(&exact, 32) {
            assert_eq!((region.height, region.width), (16, 16));
            counts[0][region.top] += 1;
            counts[1][region.left] += 1;
        }
        // chi-square with 16 degrees of freedom: 99.99 % lie below 45.9
        let expected = DRAWS as f64 / 17.0;
        for counts in counts {
            let chi_square: f64 = counts
                .iter()
                .map(|&c| (f64::from(c) - expected).powi(2) / expected)
                .sum();
            assert!(chi_square < 45.9, "{counts:?}: {chi_square}");
        }
    }

    #[test]
    fn an_image_that_nothing_fits_gives_its_largest_centre() {
        let config = RandomResizedCrop {
            scale: (1.0, 1.0),
            ratio: (1.0, 1.0),
            ..RandomResizedCrop::default()
        };
        let draw =
            |height, width| config.draw(&mut stream(0, 0, 0, 0), ImageSize { height, width });
        assert_eq!(
            draw(40, 100),
            Region {
                top: 0,
                left: 30,
                height: 40,
                width: 40
            }
        );
        assert_eq!(
            draw(100, 40),
            Region {
                top: 30,
                left: 0,
                height: 40,
                width: 40
            }
        );
    }
}
