//! BatchNorm over pixels: statistics, forward as `scale * y + shift`, backward.
//!
//! ```text
//! x̂ = (y - mean) · inv,   inv = 1 / √(var + ε),   ε = 1e-5, var biased
//! out = γ x̂ + β
//! dy = γ inv (g - mean(g) - x̂ mean(g x̂)),   dγ = Σ g x̂,   dβ = Σ g
//! ```
//! Ioffe, Szegedy 2015. Running statistics as PyTorch's: momentum 0.1, unbiased variance. Sums over an image are f32, over images f64
//! in image order, so they depend neither on threads nor on the size of the batch's parts.

use crate::element::padded;

/// ε under the root.
pub(crate) const EPSILON: f64 = 1e-5;
/// Share of a batch's statistics in the running ones.
pub(crate) const MOMENTUM: f64 = 0.1;

/// What becomes of the running statistics while a BatchNorm takes those of the batch.
#[derive(Debug)]
pub(crate) enum Running<'a> {
    /// They stay as they are.
    Batch,
    /// The batch moves running mean and variance.
    Update(&'a mut [f32], &'a mut [f32]),
}

/// The statistics that one forward pass normalised by, over padded channels; padding has scale and shift 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Normalisation {
    pub(crate) mean: Vec<f32>,
    pub(crate) inverse_std: Vec<f32>,
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

impl Normalisation {
    fn resize(&mut self, channels: usize) {
        for vector in [
            &mut self.mean,
            &mut self.inverse_std,
            &mut self.scale,
            &mut self.shift,
        ] {
            vector.clear();
            vector.resize(padded(channels), 0.0);
        }
    }

    fn set(&mut self, channel: usize, mean: f64, variance: f64, gamma: f32, beta: f32) {
        let inverse_std = 1.0 / (variance + EPSILON).sqrt();
        self.mean[channel] = mean as f32;
        self.inverse_std[channel] = inverse_std as f32;
        let scale = f64::from(gamma) * inverse_std;
        self.scale[channel] = scale as f32;
        self.shift[channel] = (f64::from(beta) - mean * scale) as f32;
    }

    /// By a running mean and variance.
    pub(crate) fn fixed(mean: &[f32], variance: &[f32], gamma: &[f32], beta: &[f32]) -> Self {
        let mut fixed = Self::default();
        fixed.resize(gamma.len());
        for channel in 0..gamma.len() {
            let (mean, variance) = (mean[channel].into(), variance[channel].into());
            fixed.set(channel, mean, variance, gamma[channel], beta[channel]);
        }
        fixed
    }

    /// From the moments of each image: `moments` is `[images, 2, padded channels]`, sum and sum of squared deviations.
    pub(crate) fn set_from_moments(
        &mut self,
        moments: &[f32],
        pixels: usize,
        gamma: &[f32],
        beta: &[f32],
        running: Running<'_>,
    ) {
        self.resize(gamma.len());
        let channels = padded(gamma.len());
        let images = moments.len() / (2 * channels);
        let count = (images * pixels) as f64;
        let mut running = running;
        for channel in 0..gamma.len() {
            let (mean, deviations) = combine(moments, channels, channel, pixels as f64);
            self.set(
                channel,
                mean,
                deviations / count,
                gamma[channel],
                beta[channel],
            );
            if let Running::Update(means, variances) = &mut running {
                let unbiased = deviations / (count - 1.0).max(1.0);
                means[channel] =
                    ((1.0 - MOMENTUM) * f64::from(means[channel]) + MOMENTUM * mean) as f32;
                variances[channel] =
                    ((1.0 - MOMENTUM) * f64::from(variances[channel]) + MOMENTUM * unbiased) as f32;
            }
        }
    }
}

/// Mean and sum of squared deviations over images, by Chan's update in image order.
fn combine(moments: &[f32], channels: usize, channel: usize, pixels: f64) -> (f64, f64) {
    let (mut mean, mut deviations, mut count) = (0.0, 0.0, 0.0);
    for image in moments.chunks_exact(2 * channels) {
        let (image_mean, image_deviations) = (
            f64::from(image[channel]) / pixels,
            f64::from(image[channels + channel]),
        );
        let total = count + pixels;
        let delta = image_mean - mean;
        mean += delta * pixels / total;
        deviations += image_deviations + delta * delta * count * pixels / total;
        count = total;
    }
    (mean, deviations)
}

/// What turns gradients behind a BatchNorm into gradients before it: `factor · (g - offset - (y - mean) · slope)`.
#[derive(Debug, Clone, Default)]
pub(crate) struct GradientCoefficients {
    pub(crate) factor: Vec<f32>,
    pub(crate) offset: Vec<f32>,
    pub(crate) slope: Vec<f32>,
}

impl GradientCoefficients {
    /// From the sums of each image: `sums` is `[images, 2, padded channels]`, `Σ g` and `Σ g (y - mean)`. Adds the gradients of γ
    /// and β.
    pub(crate) fn set_from_sums(
        &mut self,
        sums: &[f32],
        pixels: usize,
        normalisation: &Normalisation,
        gamma: &[f32],
        gamma_gradient: &mut [f32],
        beta_gradient: &mut [f32],
    ) {
        let channels = padded(gamma.len());
        for vector in [&mut self.factor, &mut self.offset, &mut self.slope] {
            vector.clear();
            vector.resize(channels, 0.0);
        }
        let count = (sums.len() / (2 * channels) * pixels) as f64;
        for channel in 0..gamma.len() {
            let (mut sum, mut product) = (0.0, 0.0);
            for image in sums.chunks_exact(2 * channels) {
                sum += f64::from(image[channel]);
                product += f64::from(image[channels + channel]);
            }
            let inverse_std = f64::from(normalisation.inverse_std[channel]);
            let normalised = product * inverse_std;
            gamma_gradient[channel] += normalised as f32;
            beta_gradient[channel] += sum as f32;
            self.factor[channel] = (f64::from(gamma[channel]) * inverse_std) as f32;
            self.offset[channel] = (sum / count) as f32;
            self.slope[channel] = (inverse_std * normalised / count) as f32;
        }
    }
}
