//! BatchNorm over pixels: statistics, forward as `scale * y + shift`, backward.
//!
//! ```text
//! x̂ = (y - mean) · inv,   inv = 1 / √(var + ε),   ε = 1e-5, var biased
//! out = γ x̂ + β
//! dy = γ inv (g - mean(g) - x̂ mean(g x̂)),   dγ = Σ g x̂,   dβ = Σ g
//! ```
//! Ioffe, Szegedy 2015. Running statistics as PyTorch's: momentum 0.1, unbiased variance. Sums over an image are f32, over images f64
//! in image order, so they depend neither on threads nor on the size of the batch's parts.

use std::ops::Range;

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
        let count = (moments.len() / (2 * channels) * pixels) as f64;
        let (means, deviations) = combine(moments, channels, pixels as f64);
        let mut running = running;
        for channel in 0..gamma.len() {
            let (mean, deviations) = (means[channel], deviations[channel]);
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

/// Means and sums of squared deviations over images: those within each, and of its mean from that of all.
fn combine(moments: &[f32], channels: usize, pixels: f64) -> (Vec<f64>, Vec<f64>) {
    let images = moments.len() / (2 * channels);
    let mut means = column_sums(moments, 2 * channels, 0..channels);
    let total = images as f64 * pixels;
    means.iter_mut().for_each(|mean| *mean /= total);
    let mut deviations = column_sums(moments, 2 * channels, channels..2 * channels);
    for image in moments.chunks_exact(2 * channels) {
        let sums = image.iter().zip(&means);
        for (total, (sum, mean)) in deviations.iter_mut().zip(sums) {
            let apart = f64::from(*sum) / pixels - mean;
            *total += pixels * apart * apart;
        }
    }
    (means, deviations)
}

/// Sums over the rows of `width` numbers, of the columns in a range.
fn column_sums(rows: &[f32], width: usize, columns: Range<usize>) -> Vec<f64> {
    let mut sums = vec![0.0; columns.len()];
    for row in rows.chunks_exact(width) {
        let values = row[columns.clone()].iter();
        sums.iter_mut()
            .zip(values)
            .for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums
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
        let totals = column_sums(sums, 2 * channels, 0..2 * channels);
        for channel in 0..gamma.len() {
            let (sum, product) = (totals[channel], totals[channels + channel]);
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
