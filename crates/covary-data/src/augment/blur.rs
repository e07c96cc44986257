//! Gaussian blur: convolution with w(x) ∝ exp(-x²/2σ²), x = -r..=r, weights summing to 1, rows then columns, borders reflected
//! without repeating the edge pixel.
//!
//! This is `torchvision.transforms.GaussianBlur`. Pillow's blur, which lightly and solo-learn use, approximates the untruncated
//! Gaussian by box filters and repeats the edge pixel; a kernel of 13 holds three of the largest default σ.

use serde::{Deserialize, Serialize};

use super::{Augmentation, Check, planes::Planes};
use crate::{
    DataError,
    rng::{Stream, happens, uniform},
};

/// Largest half-width of a kernel.
const LARGEST_RADIUS: usize = 32;

/// Blurs with some probability and a random width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianBlur {
    /// Probability, 0 to 1. Default 0.
    pub probability: f64,
    /// Taps of the kernel, odd, 1 to 65, at most 2 size - 1. Default 13.
    pub kernel_size: usize,
    /// Smallest and largest standard deviation in pixels, 0 < low ≤ high. Default (0.1, 2).
    pub sigma: (f64, f64),
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self {
            probability: 0.0,
            kernel_size: 13,
            sigma: (0.1, 2.0),
        }
    }
}

impl Augmentation for GaussianBlur {
    type Drawn = Gaussian;

    fn draw(&self, random: &mut Stream) -> Option<Gaussian> {
        let happens = happens(random, self.probability);
        let sigma = uniform(random, self.sigma.0, self.sigma.1);
        happens.then_some(Gaussian {
            radius: self.kernel_size / 2,
            sigma: sigma as f32,
        })
    }

    fn apply(gaussian: Gaussian, planes: &mut Planes) {
        let size = planes.size();
        let mut weights = [0.0; LARGEST_RADIUS + 1];
        let weights = gaussian.half_kernel(&mut weights);
        let (values, spare) = planes.with_spare(size * (size + 2 * gaussian.radius));
        for plane in values.chunks_exact_mut(size * size) {
            blur_rows(plane, size, weights, spare);
            blur_columns(plane, size, weights, spare);
        }
    }

    fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        check.probability(self.probability)?;
        let odd = self.kernel_size % 2 == 1 && self.kernel_size <= 2 * LARGEST_RADIUS + 1;
        check.rule(
            "kernel_size",
            self.kernel_size,
            odd,
            "must be odd and at most 65",
        )?;
        let fits = self.kernel_size / 2 < check.size;
        check.rule(
            "kernel_size",
            self.kernel_size,
            fits,
            "must be below twice the image size",
        )?;
        let (low, high) = self.sigma;
        check.rule(
            "sigma",
            self.sigma,
            0.0 < low && low <= high && high.is_finite(),
            "must be 0 < low <= high",
        )
    }
}

/// Kernel of one blur.
#[derive(Debug)]
pub(super) struct Gaussian {
    pub(super) radius: usize,
    pub(super) sigma: f32,
}

impl Gaussian {
    /// w(0), w(1), .. w(r).
    fn half_kernel<'a>(&self, weights: &'a mut [f32; LARGEST_RADIUS + 1]) -> &'a [f32] {
        let weights = &mut weights[..=self.radius];
        for (x, weight) in weights.iter_mut().enumerate() {
            *weight = (-0.5 * (x as f32 / self.sigma).powi(2)).exp();
        }
        let total = 2.0 * weights.iter().sum::<f32>() - weights[0];
        for weight in &mut *weights {
            *weight /= total;
        }
        weights
    }
}

/// Position `index - radius` of an axis, reflected into it.
fn reflect(index: usize, radius: usize, size: usize) -> usize {
    let distance = index.abs_diff(radius);
    if distance < size {
        distance
    } else {
        2 * (size - 1) - distance
    }
}

fn blur_rows(plane: &mut [f32], size: usize, weights: &[f32], spare: &mut [f32]) {
    let radius = weights.len() - 1;
    let padded = &mut spare[..size + 2 * radius];
    for row in plane.chunks_exact_mut(size) {
        for (index, value) in padded.iter_mut().enumerate() {
            *value = row[reflect(index, radius, size)];
        }
        for (value, &centre) in row.iter_mut().zip(&padded[radius..]) {
            *value = weights[0] * centre;
        }
        for (x, &weight) in weights.iter().enumerate().skip(1) {
            for ((value, &before), &after) in row
                .iter_mut()
                .zip(&padded[radius - x..])
                .zip(&padded[radius + x..])
            {
                *value += weight * (before + after);
            }
        }
    }
}

fn blur_columns(plane: &mut [f32], size: usize, weights: &[f32], spare: &mut [f32]) {
    let radius = weights.len() - 1;
    for (index, row) in spare.chunks_exact_mut(size).enumerate() {
        row.copy_from_slice(&plane[reflect(index, radius, size) * size..][..size]);
    }
    for (y, row) in plane.chunks_exact_mut(size).enumerate() {
        let line = |index: usize| &spare[index * size..][..size];
        for (value, &centre) in row.iter_mut().zip(line(y + radius)) {
            *value = weights[0] * centre;
        }
        for (x, &weight) in weights.iter().enumerate().skip(1) {
            for ((value, &before), &after) in row
                .iter_mut()
                .zip(line(y + radius - x))
                .zip(line(y + radius + x))
            {
                *value += weight * (before + after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn two_passes_are_the_two_dimensional_convolution() {
        const SIZE: usize = 16;
        let (radius, sigma) = (6, 1.7_f32);
        let mut planes = Planes::default();
        planes.resize(SIZE);
        let levels: Vec<f32> = (0..3 * SIZE * SIZE)
            .map(|i| ((i * 7919) % 256) as f32)
            .collect();
        planes.values_mut().copy_from_slice(&levels);
        GaussianBlur::apply(Gaussian { radius, sigma }, &mut planes);
        let mirror = |i: i64| if i < 0 { -i } else if i >= 16 { 30 - i } else { i } as usize;
        let weight = |x: i64| (-0.5 * (x as f64 / f64::from(sigma)).powi(2)).exp();
        let reach = -(radius as i64)..=radius as i64;
        let total: f64 = reach.clone().map(weight).sum();
        for (position, &value) in planes.values_mut().iter().enumerate() {
            let (plane, y, x) = (
                position / 256,
                (position / 16 % 16) as i64,
                (position % 16) as i64,
            );
            let mut expected = 0.0;
            for dy in reach.clone() {
                for dx in reach.clone() {
                    let level = levels[plane * 256 + mirror(y + dy) * 16 + mirror(x + dx)];
                    expected += weight(dy) * weight(dx) / (total * total) * f64::from(level);
                }
            }
            assert!(
                (f64::from(value) - expected).abs() < 1e-3,
                "{value}, expected {expected}"
            );
        }
    }

    #[test]
    fn sigma_is_uniform_in_its_range() {
        const DRAWS: u64 = 20_000;
        let config = GaussianBlur {
            probability: 1.0,
            ..GaussianBlur::default()
        };
        let sigma = |index| f64::from(config.draw(&mut stream(3, 0, index, 0)).unwrap().sigma);
        let sigmas: Vec<f64> = (0..DRAWS).map(sigma).collect();
        assert!(sigmas.iter().all(|sigma| (0.1..2.000_001).contains(sigma)));
        let mean = sigmas.iter().sum::<f64>() / DRAWS as f64;
        let variance = sigmas
            .iter()
            .map(|sigma| (sigma - 1.05).powi(2))
            .sum::<f64>()
            / DRAWS as f64;
        // five standard errors; (x - mean)^2 of a uniform variable of width w deviates by w^2 sqrt(1/80 - 1/144)
        let error = |deviation: f64| 5.0 * deviation / (DRAWS as f64).sqrt();
        assert!((mean - 1.05).abs() < error(1.9 / 12_f64.sqrt()), "{mean}");
        assert!(
            (variance - 3.61 / 12.0).abs() < error(3.61 * (1.0_f64 / 80.0 - 1.0 / 144.0).sqrt()),
            "{variance}"
        );
    }
}
