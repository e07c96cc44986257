//! LayerNorm over the rows of a matrix, with or without ReLU: `γ (y - mean) / √(var + ε) + β`, mean and biased variance of each row.
//!
//! Ba, Kiros, Hinton 2016; ε = 1e-5 as PyTorch's. Statistics are f64 sums along the row.

use rayon::prelude::*;

use crate::Isa;
use crate::dense_norm::{GammaBeta, mask};
use crate::dispatch::elementwise;
use crate::norm::EPSILON;

/// Columns that a job takes the parameters' gradients of.
const COLUMNS: usize = 64;

/// A LayerNorm over rows of `width` numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerNorm {
    /// Numbers in a row.
    pub width: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// What a row was normalised by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowStatistics {
    mean: f32,
    inverse_std: f32,
}

impl LayerNorm {
    /// `γ ŷ + β`, then ReLU where there is one; `statistics` gets one entry a row.
    ///
    /// # Shapes
    /// - y, out: `[rows, width]`
    pub fn forward(
        &self,
        isa: Isa,
        y: &[f32],
        affine: GammaBeta<'_>,
        statistics: &mut Vec<RowStatistics>,
        out: &mut [f32],
    ) {
        let (gamma, beta) = affine.map_or_else(
            || (vec![1.0; self.width], vec![0.0; self.width]),
            |(gamma, beta)| (gamma.to_vec(), beta.to_vec()),
        );
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        statistics.clear();
        statistics.resize(y.len() / self.width, RowStatistics::default());
        y.par_chunks(self.width)
            .zip(out.par_chunks_mut(self.width))
            .zip(statistics.par_iter_mut())
            .for_each(|((y, out), statistics)| {
                normalise(isa, y, &gamma, &beta, floor, statistics, out);
            });
    }

    /// The gradient before the LayerNorm from that behind it, in place; `out` is what [`LayerNorm::forward`] gave. Adds the gradients
    /// of γ and β where there are some.
    pub fn backward(
        &self,
        isa: Isa,
        y: &[f32],
        out: &[f32],
        statistics: &[RowStatistics],
        gamma: Option<&[f32]>,
        affine_gradients: Option<(&mut [f32], &mut [f32])>,
        gradient: &mut [f32],
    ) {
        if self.relu {
            gradient
                .par_chunks_mut(self.width)
                .zip(out.par_chunks(self.width))
                .for_each(|(g, out)| mask(isa, out, g));
        }
        if let Some((gamma, beta)) = affine_gradients {
            let read: &[f32] = gradient;
            gamma
                .par_chunks_mut(COLUMNS)
                .zip(beta.par_chunks_mut(COLUMNS))
                .enumerate()
                .for_each(|(block, (gamma, beta))| {
                    add_affine_gradients(
                        read,
                        y,
                        statistics,
                        self.width,
                        block * COLUMNS,
                        gamma,
                        beta,
                    );
                });
        }
        let ones = vec![1.0; if gamma.is_none() { self.width } else { 0 }];
        let gamma = gamma.unwrap_or(&ones);
        gradient
            .par_chunks_mut(self.width)
            .zip(y.par_chunks(self.width))
            .zip(statistics)
            .for_each(|((g, y), statistics)| back(isa, y, gamma, *statistics, g));
    }
}

/// Gradients of the columns from `start` on: `Σ_rows g ŷ` and `Σ_rows g`.
fn add_affine_gradients(
    gradient: &[f32],
    y: &[f32],
    statistics: &[RowStatistics],
    width: usize,
    start: usize,
    gamma: &mut [f32],
    beta: &mut [f32],
) {
    let (mut products, mut plain) = ([0.0_f64; COLUMNS], [0.0_f64; COLUMNS]);
    let rows = gradient.chunks_exact(width).zip(y.chunks_exact(width));
    for ((g, y), row) in rows.zip(statistics) {
        let (g, y) = (&g[start..][..gamma.len()], &y[start..][..gamma.len()]);
        for (((product, sum), g), y) in products.iter_mut().zip(&mut plain).zip(g).zip(y) {
            *product += f64::from(*g) * f64::from((y - row.mean) * row.inverse_std);
            *sum += f64::from(*g);
        }
    }
    for (sum, product) in gamma.iter_mut().zip(products) {
        *sum += product as f32;
    }
    for (sum, plain) in beta.iter_mut().zip(plain) {
        *sum += plain as f32;
    }
}

elementwise! {
    fn normalise(y: &[f32], gamma: &[f32], beta: &[f32], floor: f32, statistics: &mut RowStatistics, out: &mut [f32]) = normalise_body;
}

#[inline(always)]
fn normalise_body(
    y: &[f32],
    gamma: &[f32],
    beta: &[f32],
    floor: f32,
    statistics: &mut RowStatistics,
    out: &mut [f32],
) {
    let width = y.len() as f64;
    let mean = y.iter().map(|y| f64::from(*y)).sum::<f64>() / width;
    let variance = y
        .iter()
        .map(|y| (f64::from(*y) - mean).powi(2))
        .sum::<f64>()
        / width;
    let (mean, inverse_std) = (mean as f32, (1.0 / (variance + EPSILON).sqrt()) as f32);
    *statistics = RowStatistics { mean, inverse_std };
    for (((out, y), gamma), beta) in out.iter_mut().zip(y).zip(gamma).zip(beta) {
        *out = ((y - mean) * inverse_std * gamma + beta).max(floor);
    }
}

elementwise! {
    fn back(y: &[f32], gamma: &[f32], statistics: RowStatistics, gradient: &mut [f32]) = back_body;
}

#[inline(always)]
fn back_body(y: &[f32], gamma: &[f32], statistics: RowStatistics, gradient: &mut [f32]) {
    let RowStatistics { mean, inverse_std } = statistics;
    let (mut plain, mut product) = (0.0_f64, 0.0_f64);
    for ((g, y), gamma) in gradient.iter_mut().zip(y).zip(gamma) {
        *g *= gamma;
        plain += f64::from(*g);
        product += f64::from(*g) * f64::from((y - mean) * inverse_std);
    }
    let width = y.len() as f64;
    let (plain, product) = ((plain / width) as f32, (product / width) as f32);
    for (g, y) in gradient.iter_mut().zip(y) {
        *g = inverse_std * (*g - plain - (y - mean) * inverse_std * product);
    }
}
