//! Objective of multinomial logistic regression over some rows of a data set.
//!
//! `f(W, b) = 1/n Σ_i −log softmax(W x_i + b)[y_i] + λ/2 ‖W‖²`; the bias is not penalised.
//! Rows are multiplied and exponentiated in T; sums over rows are in f64 but for runs of at most 512 rows. In f32 the rounding
//! of a row's loss is of the order of 1e-7 and averages out over rows; the battery holds the minimum to that of f64. Sums run over
//! chunks that fit in cache, in an order that does not depend on the number of threads.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::number::Number;
use crate::embeddings::{Embeddings, add_product, product};

/// Bytes of one chunk of rows: half the second-level cache of the machines this runs on.
const CHUNK_BYTES: usize = 1 << 19;
/// Rows whose gradient is summed in T.
const RUN: usize = 512;

/// Labelled rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem<'a> {
    pub features: Embeddings<'a>,
    pub labels: &'a [u32],
    pub classes: usize,
}

struct Partial {
    loss: f64,
    correct: usize,
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Problem<'_> {
    /// Number of parameters: weights `[classes, d]`, then biases `[classes]`.
    pub(crate) fn parameter_count(&self) -> usize {
        self.classes * (self.features.dimension() + 1)
    }

    /// Value of the objective on `rows`; its gradient replaces `gradient`. `rows_per_job` fixes the order of the sums.
    pub(crate) fn evaluate<T: Number>(
        &self,
        rows: &[usize],
        rows_per_job: usize,
        l2: f64,
        parameters: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let rounded: Vec<T> = parameters.iter().map(|x| T::nearest(*x)).collect();
        let partials: Vec<Partial> = rows
            .par_chunks(rows_per_job)
            .map(|rows| self.job(rows, &rounded, true))
            .collect();
        let weight_count = self.classes * self.features.dimension();
        let (weights, bias) = gradient.split_at_mut(weight_count);
        weights.fill(0.0);
        bias.fill(0.0);
        let mut loss = 0.0;
        for partial in partials {
            loss += partial.loss;
            add(weights, &partial.weights);
            add(bias, &partial.bias);
        }
        let scale = 1.0 / rows.len() as f64;
        let mut squares = 0.0;
        for (gradient, weight) in weights.iter_mut().zip(parameters) {
            *gradient = *gradient * scale + l2 * weight;
            squares += weight * weight;
        }
        for gradient in bias {
            *gradient *= scale;
        }
        loss * scale + 0.5 * l2 * squares
    }

    /// Fraction of `rows` whose largest logit is their label's.
    pub(crate) fn accuracy(&self, rows: &[usize], parameters: &[f64]) -> f64 {
        let rounded: Vec<f32> = parameters.iter().map(|x| *x as f32).collect();
        let correct: usize = rows
            .par_chunks(1024)
            .map(|rows| self.job(rows, &rounded, false).correct)
            .sum();
        correct as f64 / rows.len() as f64
    }

    /// Features of `rows`: where they lie, if one behind the other, or gathered in `buffer`.
    fn rows<'b>(&'b self, rows: &[usize], buffer: &'b mut Vec<f32>) -> &'b [f32] {
        let d = self.features.dimension();
        if rows.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
            return &self.features.values()[rows[0] * d..][..rows.len() * d];
        }
        buffer.clear();
        rows.iter()
            .for_each(|row| buffer.extend_from_slice(self.features.row(*row)));
        buffer
    }

    /// Sums over `rows`: loss, hits and, if asked for, the gradient.
    fn job<T: Number>(&self, rows: &[usize], parameters: &[T], with_gradient: bool) -> Partial {
        let (d, k) = (self.features.dimension(), self.classes);
        let chunk_rows = (CHUNK_BYTES / size_of::<T>() / d)
            .clamp(16, RUN)
            .min(rows.len());
        let (weights, bias) = parameters.split_at(k * d);
        let weight_sums = if with_gradient { k * d } else { 0 };
        let mut partial = Partial {
            loss: 0.0,
            correct: 0,
            weights: vec![0.0; weight_sums],
            bias: vec![0.0; k],
        };
        let mut run = vec![T::zero_impl(); weight_sums];
        let (mut gathered, mut converted) = (Vec::new(), Vec::new());
        let mut logits = vec![T::zero_impl(); chunk_rows * k];
        for rows in rows.chunks(RUN) {
            run.fill(T::zero_impl());
            for rows in rows.chunks(chunk_rows) {
                let (n, logits) = (rows.len(), &mut logits[..rows.len() * k]);
                let inputs = T::view(self.rows(rows, &mut gathered), &mut converted);
                product(
                    MatMut::from_column_major_slice_mut(logits, k, n),
                    MatRef::from_row_major_slice(weights, k, d),
                    MatRef::from_column_major_slice(inputs, d, n),
                );
                let labels = rows.iter().map(|&row| self.labels[row] as usize);
                softmax_residuals(logits, bias, labels, &mut partial);
                if with_gradient {
                    add_product(
                        MatMut::from_column_major_slice_mut(&mut run, d, k),
                        MatRef::from_column_major_slice(inputs, d, n),
                        MatRef::from_row_major_slice(logits, n, k),
                    );
                }
            }
            for (sum, x) in partial.weights.iter_mut().zip(&run) {
                *sum += (*x).into();
            }
        }
        partial
    }
}

fn add(sums: &mut [f64], values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
}

/// Turns logits `[n, k]` into `softmax − one_hot`; adds cross-entropies, rows whose label wins (of equal logits the first class does) and
/// the bias's gradient to `sums`.
fn softmax_residuals<T: Number>(
    logits: &mut [T],
    bias: &[T],
    labels: impl Iterator<Item = usize> + Clone,
    sums: &mut Partial,
) {
    let k = bias.len();
    for (logits, label) in logits.chunks_exact_mut(k).zip(labels.clone()) {
        let mut winner = 0;
        for class in 0..k {
            logits[class] += bias[class];
            if logits[class] > logits[winner] {
                winner = class;
            }
        }
        let largest = logits[winner];
        for logit in &mut *logits {
            *logit -= largest;
        }
        sums.correct += usize::from(winner == label);
        sums.loss -= logits[label].into();
    }
    T::exponentials(logits);
    for (logits, label) in logits.chunks_exact_mut(k).zip(labels) {
        let partition: f64 = logits.iter().map(|&x| -> f64 { x.into() }).sum();
        sums.loss += partition.ln();
        let reciprocal = T::nearest(1.0 / partition);
        for (class, (logit, sum)) in logits.iter_mut().zip(&mut sums.bias).enumerate() {
            *logit *= reciprocal;
            if class == label {
                *logit -= T::one_impl();
            }
            *sum += (*logit).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_central_differences() {
        let values: Vec<f32> = (0..40 * 3)
            .map(|i| ((i * 37 % 19) as f32 - 9.0) / 8.0)
            .collect();
        let labels: Vec<u32> = (0..40).map(|i| (i * 7 % 4) as u32).collect();
        let problem = Problem {
            features: Embeddings::try_new(&values, 3).unwrap(),
            labels: &labels,
            classes: 4,
        };
        let rows: Vec<usize> = (0..40).collect();
        let at: Vec<f64> = (0..16)
            .map(|i| f64::from(i * 5 % 11) / 10.0 - 0.5)
            .collect();
        let mut gradient = vec![0.0; 16];
        let mut ignored = vec![0.0; 16];
        problem.evaluate::<f64>(&rows, 7, 0.1, &at, &mut gradient);
        for index in 0..16 {
            let mut value_at = |shift: f64| {
                let mut moved = at.clone();
                moved[index] += shift;
                problem.evaluate::<f64>(&rows, 7, 0.1, &moved, &mut ignored)
            };
            let difference = (value_at(1e-5) - value_at(-1e-5)) * 5e4;
            assert!(
                (difference - gradient[index]).abs() < 1e-9,
                "{difference} {}",
                gradient[index]
            );
        }
    }

    #[test]
    fn zero_parameters_cost_the_log_of_the_class_count() {
        let values = [1.0, -2.0, 3.0, 0.5];
        let problem = Problem {
            features: Embeddings::try_new(&values, 2).unwrap(),
            labels: &[0, 2],
            classes: 3,
        };
        let loss = problem.evaluate::<f64>(&[0, 1], 1, 0.0, &[0.0; 9], &mut [0.0; 9]);
        assert!((loss - 3f64.ln()).abs() < 1e-15);
    }
}
