//! BatchNorm over the rows of a matrix, with or without ReLU: formulas in `norm`, statistics per view.
//!
//! Statistics are f64 sums down each column, columns dealt to threads in fixed blocks.

use rayon::prelude::*;

use crate::Isa;
use crate::dispatch::elementwise;
use crate::element::where_positive;
use crate::norm::{EPSILON, MOMENTUM};

/// Columns that a job takes the statistics of.
const COLUMNS: usize = 64;

/// A BatchNorm over `width` columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenseNorm {
    /// Columns.
    pub width: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// The statistics that one view was normalised by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DenseStatistics {
    mean: Vec<f32>,
    inverse_std: Vec<f32>,
}

/// γ and β; none for a BatchNorm without affine, where they are 1 and 0.
pub type GammaBeta<'a> = Option<(&'a [f32], &'a [f32])>;

impl DenseNorm {
    /// Statistics of one view `[rows, width]`; moves running mean and variance where given.
    pub fn batch_statistics(
        &self,
        isa: Isa,
        y: &[f32],
        running: Option<(&mut [f32], &mut [f32])>,
    ) -> DenseStatistics {
        let rows = y.len() / self.width;
        let mut moments = vec![(0.0, 0.0); self.width];
        moments
            .par_chunks_mut(COLUMNS)
            .enumerate()
            .for_each(|(block, moments)| {
                column_moments(isa, y, self.width, block * COLUMNS, moments);
            });
        if let Some((mean, variance)) = running {
            for ((mean, variance), &(batch_mean, deviations)) in
                mean.iter_mut().zip(variance).zip(&moments)
            {
                let unbiased = deviations / (rows as f64 - 1.0).max(1.0);
                *mean = ((1.0 - MOMENTUM) * f64::from(*mean) + MOMENTUM * batch_mean) as f32;
                *variance = ((1.0 - MOMENTUM) * f64::from(*variance) + MOMENTUM * unbiased) as f32;
            }
        }
        DenseStatistics {
            mean: moments.iter().map(|moment| moment.0 as f32).collect(),
            inverse_std: moments
                .iter()
                .map(|moment| (1.0 / (moment.1 / rows as f64 + EPSILON).sqrt()) as f32)
                .collect(),
        }
    }

    /// Statistics from running mean and variance.
    pub fn fixed_statistics(mean: &[f32], variance: &[f32]) -> DenseStatistics {
        let inverse_std = variance
            .iter()
            .map(|variance| (1.0 / (f64::from(*variance) + EPSILON).sqrt()) as f32)
            .collect();
        DenseStatistics {
            mean: mean.to_vec(),
            inverse_std,
        }
    }

    /// `γ x̂ + β`, then ReLU where there is one.
    pub fn forward(
        &self,
        isa: Isa,
        y: &[f32],
        statistics: &DenseStatistics,
        affine: GammaBeta<'_>,
        out: &mut [f32],
    ) {
        let scale_shift: Vec<(f32, f32)> = (0..self.width)
            .map(|c| {
                let (gamma, beta) = affine.map_or((1.0, 0.0), |(gamma, beta)| (gamma[c], beta[c]));
                let scale = gamma * statistics.inverse_std[c];
                (scale, beta)
            })
            .collect();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let (scale, shift): (Vec<f32>, Vec<f32>) = scale_shift.into_iter().unzip();
        y.par_chunks(self.width)
            .zip(out.par_chunks_mut(self.width))
            .for_each(|(y, out)| {
                apply(isa, y, &statistics.mean, &scale, &shift, floor, out);
            });
    }

    /// The gradient before the BatchNorm from that behind it, in place; `out` is what [`DenseNorm::forward`] gave. Adds the gradients
    /// of γ and β where there are some.
    pub fn backward(
        &self,
        isa: Isa,
        y: &[f32],
        out: &[f32],
        statistics: &DenseStatistics,
        gamma: Option<&[f32]>,
        affine_gradients: Option<(&mut [f32], &mut [f32])>,
        gradient: &mut [f32],
    ) {
        let rows = y.len() / self.width;
        if self.relu {
            gradient
                .par_chunks_mut(self.width)
                .zip(out.par_chunks(self.width))
                .for_each(|(g, out)| mask(isa, out, g));
        }
        let mut sums = vec![(0.0, 0.0); self.width];
        let read: &[f32] = gradient;
        sums.par_chunks_mut(COLUMNS)
            .enumerate()
            .for_each(|(block, sums)| {
                column_sums(
                    isa,
                    read,
                    y,
                    &statistics.mean,
                    self.width,
                    block * COLUMNS,
                    sums,
                );
            });
        let (mut factor, mut offset, mut slope) = (
            vec![0.0; self.width],
            vec![0.0; self.width],
            vec![0.0; self.width],
        );
        for c in 0..self.width {
            let inverse_std = f64::from(statistics.inverse_std[c]);
            factor[c] = (f64::from(gamma.map_or(1.0, |gamma| gamma[c])) * inverse_std) as f32;
            offset[c] = (sums[c].0 / rows as f64) as f32;
            slope[c] = (sums[c].1 * inverse_std * inverse_std / rows as f64) as f32;
        }
        if let Some((gamma, beta)) = affine_gradients {
            for c in 0..self.width {
                gamma[c] += (sums[c].1 * f64::from(statistics.inverse_std[c])) as f32;
                beta[c] += sums[c].0 as f32;
            }
        }
        gradient
            .par_chunks_mut(self.width)
            .zip(y.par_chunks(self.width))
            .for_each(|(g, y)| {
                back(isa, y, &statistics.mean, &factor, &offset, &slope, g);
            });
    }
}

/// Adds the sums down the columns of `[rows, width]` to `sums`.
pub fn add_column_sums(matrix: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    sums.par_chunks_mut(COLUMNS)
        .enumerate()
        .for_each(|(block, sums)| {
            let mut total = [0.0_f64; COLUMNS];
            for row in matrix.chunks_exact(width) {
                let row = &row[block * COLUMNS..][..sums.len()];
                total
                    .iter_mut()
                    .zip(row)
                    .for_each(|(total, value)| *total += f64::from(*value));
            }
            sums.iter_mut()
                .zip(total)
                .for_each(|(sum, total)| *sum += total as f32);
        });
}

/// Adds a bias to every row.
pub fn add_bias(bias: &[f32], rows: &mut [f32]) {
    rows.par_chunks_mut(bias.len())
        .for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
}

elementwise! {
    fn column_moments(y: &[f32], width: usize, start: usize, moments: &mut [(f64, f64)]) = column_moments_body;
}

#[inline(always)]
fn column_moments_body(y: &[f32], width: usize, start: usize, moments: &mut [(f64, f64)]) {
    let rows = (y.len() / width) as f64;
    let (mut mean, mut deviations) = ([0.0_f64; COLUMNS], [0.0_f64; COLUMNS]);
    for row in y.chunks_exact(width) {
        let row = &row[start..][..moments.len()];
        mean.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= rows);
    for row in y.chunks_exact(width) {
        let row = &row[start..][..moments.len()];
        for ((sum, value), mean) in deviations.iter_mut().zip(row).zip(&mean) {
            let deviation = f64::from(*value) - mean;
            *sum += deviation * deviation;
        }
    }
    moments
        .iter_mut()
        .zip(mean.iter().zip(&deviations))
        .for_each(|(moment, (mean, sum))| *moment = (*mean, *sum));
}

elementwise! {
    fn apply(y: &[f32], mean: &[f32], scale: &[f32], shift: &[f32], floor: f32, out: &mut [f32]) = apply_body;
}

#[inline(always)]
fn apply_body(y: &[f32], mean: &[f32], scale: &[f32], shift: &[f32], floor: f32, out: &mut [f32]) {
    for ((((out, y), mean), scale), shift) in out.iter_mut().zip(y).zip(mean).zip(scale).zip(shift)
    {
        *out = ((y - mean) * scale + shift).max(floor);
    }
}

elementwise! {
    /// Zero where a ReLU gave zero.
    fn mask(out: &[f32], gradient: &mut [f32]) = mask_body;
}

#[inline(always)]
fn mask_body(out: &[f32], gradient: &mut [f32]) {
    for (g, out) in gradient.iter_mut().zip(out) {
        *g = where_positive(*out, *g);
    }
}

elementwise! {
    fn column_sums(gradient: &[f32], y: &[f32], mean: &[f32], width: usize, start: usize, sums: &mut [(f64, f64)]) = column_sums_body;
}

#[inline(always)]
fn column_sums_body(
    gradient: &[f32],
    y: &[f32],
    mean: &[f32],
    width: usize,
    start: usize,
    sums: &mut [(f64, f64)],
) {
    let (mut plain, mut products) = ([0.0_f64; COLUMNS], [0.0_f64; COLUMNS]);
    let mean = &mean[start..][..sums.len()];
    for (g, y) in gradient.chunks_exact(width).zip(y.chunks_exact(width)) {
        let (g, y) = (&g[start..][..sums.len()], &y[start..][..sums.len()]);
        for ((((plain, product), g), y), mean) in
            plain.iter_mut().zip(&mut products).zip(g).zip(y).zip(mean)
        {
            *plain += f64::from(*g);
            *product += f64::from(*g) * f64::from(y - mean);
        }
    }
    sums.iter_mut()
        .zip(plain.iter().zip(&products))
        .for_each(|(sum, (plain, product))| *sum = (*plain, *product));
}

elementwise! {
    fn back(y: &[f32], mean: &[f32], factor: &[f32], offset: &[f32], slope: &[f32], gradient: &mut [f32]) = back_body;
}

#[inline(always)]
fn back_body(
    y: &[f32],
    mean: &[f32],
    factor: &[f32],
    offset: &[f32],
    slope: &[f32],
    gradient: &mut [f32],
) {
    let vectors = mean.iter().zip(factor).zip(offset).zip(slope);
    for ((g, y), (((mean, factor), offset), slope)) in gradient.iter_mut().zip(y).zip(vectors) {
        *g = factor * (*g - offset - (y - mean) * slope);
    }
}
