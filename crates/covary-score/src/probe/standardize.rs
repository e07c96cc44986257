//! Standardised features: `(x − mean) / (std + 1e-6)` by the training rows' statistics, as a copy in the order in which passes over the
//! rows read them.
//!
//! The standard deviation has divisor n − 1 (PyTorch's `std`); scikit-learn's has n, a relative difference of 1/2n.

use rayon::prelude::*;

use crate::embeddings::Embeddings;

/// Rows summed by one job; fixed, so that statistics do not depend on the number of threads.
const ROWS_PER_JOB: usize = 1024;

/// Mean and reciprocal standard deviation of each column.
#[derive(Clone, Debug)]
pub(crate) struct Standardization {
    mean: Vec<f32>,
    reciprocal: Vec<f32>,
}

impl Standardization {
    /// Measures the columns of `training`, in f64.
    pub(crate) fn of(training: Embeddings<'_>) -> Self {
        let n = training.rows() as f64;
        let mean: Vec<f64> = column_sums(training, |_, x| x)
            .iter()
            .map(|sum| sum / n)
            .collect();
        let squares = column_sums(training, |column, x| (x - mean[column]).powi(2));
        Self {
            mean: mean.iter().map(|&mean| mean as f32).collect(),
            reciprocal: squares
                .iter()
                .map(|square| (1.0 / ((square / (n - 1.0)).sqrt() + 1e-6)) as f32)
                .collect(),
        }
    }

    /// Standardised rows `[rows.len(), d]` in the order of `rows`.
    pub(crate) fn copy(&self, features: Embeddings<'_>, rows: &[usize]) -> Vec<f32> {
        let d = features.dimension();
        let mut out = vec![0.0; rows.len() * d];
        out.par_chunks_mut(ROWS_PER_JOB * d)
            .zip(rows.par_chunks(ROWS_PER_JOB))
            .for_each(|(out, rows)| self.fill(features, rows, out));
        out
    }

    fn fill(&self, features: Embeddings<'_>, rows: &[usize], out: &mut [f32]) {
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(features.dimension())) {
            let statistics = self.mean.iter().zip(&self.reciprocal);
            for ((out, x), (mean, reciprocal)) in
                out.iter_mut().zip(features.row(row)).zip(statistics)
            {
                *out = (x - mean) * reciprocal;
            }
        }
    }
}

fn column_sums(features: Embeddings<'_>, term: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
    let dimension = features.dimension();
    let partial: Vec<Vec<f64>> = features
        .values()
        .par_chunks(ROWS_PER_JOB * dimension)
        .map(|rows| {
            let mut sums = vec![0.0; dimension];
            for row in rows.chunks_exact(dimension) {
                for (column, (sum, &x)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(column, f64::from(x));
                }
            }
            sums
        })
        .collect();
    let mut total = vec![0.0; dimension];
    for sums in partial {
        total
            .iter_mut()
            .zip(sums)
            .for_each(|(total, sum)| *total += sum);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_columns_have_mean_zero_and_unit_deviation_and_constants_become_zero() {
        let values: Vec<f32> = (0..3000)
            .flat_map(|i| [(i % 7) as f32 * 3.0 + 1e3, 0.7])
            .collect();
        let features = Embeddings::try_new(&values, 2).unwrap();
        let rows: Vec<usize> = (0..3000).collect();
        let out = Standardization::of(features).copy(features, &rows);
        let first: Vec<f64> = out.iter().step_by(2).map(|x| f64::from(*x)).collect();
        let mean = first.iter().sum::<f64>() / 3000.0;
        let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2999.0;
        assert!(
            mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-5,
            "{mean} {variance}"
        );
        assert!(out.iter().skip(1).step_by(2).all(|&x| x.abs() < 1e-12));
    }
}
