//! Objective of multinomial logistic regression over some rows of a data set.
//!
//! `f(W, b) = 1/n Σ_i −log softmax(W x_i + b)[y_i] + λ/2 ‖W‖²`; the bias is not penalised.
//! Everything is f64: the rounding of f32 products would stop the minimiser before the objective is exact to 1e-6. Sums run
//! over chunks that fit in cache, in an order that does not depend on the number of threads.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::standardize::Standardization;
use crate::embeddings::{Embeddings, add_product, product};

/// Values of one chunk of standardised rows: 1 MiB of f64, the second-level cache of the machines this runs on.
const CHUNK_VALUES: usize = 1 << 17;

/// Labelled rows seen through a standardisation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem<'a> {
    pub features: Embeddings<'a>,
    pub labels: &'a [u32],
    pub classes: usize,
    pub standardization: &'a Standardization,
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
    pub(crate) fn evaluate(
        &self,
        rows: &[usize],
        rows_per_job: usize,
        l2: f64,
        parameters: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let partials: Vec<Partial> = rows
            .par_chunks(rows_per_job)
            .map(|rows| self.job(rows, parameters, true))
            .collect();
        let weight_count = self.classes * self.features.dimension();
        let (weights, bias) = gradient.split_at_mut(weight_count);
        weights.fill(0.0);
        bias.fill(0.0);
        let mut loss = 0.0;
        for partial in partials {
            loss += partial.loss;
            weights
                .iter_mut()
                .zip(partial.weights)
                .for_each(|(sum, x)| *sum += x);
            bias.iter_mut()
                .zip(partial.bias)
                .for_each(|(sum, x)| *sum += x);
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
        let correct: usize = rows
            .par_chunks(1024)
            .map(|rows| self.job(rows, parameters, false).correct)
            .sum();
        correct as f64 / rows.len() as f64
    }

    /// Sums over `rows`: loss, hits and, if asked for, the gradient.
    fn job(&self, rows: &[usize], parameters: &[f64], with_gradient: bool) -> Partial {
        let (d, k) = (self.features.dimension(), self.classes);
        let chunk_rows = (CHUNK_VALUES / d).clamp(16, 1024).min(rows.len());
        let (weights, bias) = parameters.split_at(k * d);
        let mut partial = Partial {
            loss: 0.0,
            correct: 0,
            weights: vec![0.0; if with_gradient { k * d } else { 0 }],
            bias: vec![0.0; k],
        };
        let mut inputs = vec![0.0; chunk_rows * d];
        let mut logits = vec![0.0; chunk_rows * k];
        for rows in rows.chunks(chunk_rows) {
            let (n, logits) = (rows.len(), &mut logits[..rows.len() * k]);
            let inputs = &mut inputs[..n * d];
            self.standardization.fill(self.features, rows, inputs);
            product(
                MatMut::from_column_major_slice_mut(logits, k, n),
                MatRef::from_row_major_slice(weights, k, d),
                MatRef::from_column_major_slice(inputs, d, n),
            );
            for (&row, logits) in rows.iter().zip(logits.chunks_exact_mut(k)) {
                let label = self.labels[row] as usize;
                let (loss, hit) = softmax_residual(logits, bias, label, &mut partial.bias);
                partial.loss += loss;
                partial.correct += usize::from(hit);
            }
            if with_gradient {
                add_product(
                    MatMut::from_column_major_slice_mut(&mut partial.weights, d, k),
                    MatRef::from_column_major_slice(inputs, d, n),
                    MatRef::from_row_major_slice(logits, n, k),
                );
            }
        }
        partial
    }
}

/// Turns logits into `softmax − one_hot`, adds that to `bias_gradient`; returns the cross-entropy and whether the label
/// wins (of equal logits the first class does).
fn softmax_residual(
    logits: &mut [f64],
    bias: &[f64],
    label: usize,
    bias_gradient: &mut [f64],
) -> (f64, bool) {
    let mut winner = 0;
    for class in 0..logits.len() {
        logits[class] += bias[class];
        if logits[class] > logits[winner] {
            winner = class;
        }
    }
    let largest = logits[winner];
    let partition: f64 = logits.iter().map(|&logit| (logit - largest).exp()).sum();
    let log_partition = largest + partition.ln();
    let loss = log_partition - logits[label];
    for (class, (logit, gradient)) in logits.iter_mut().zip(bias_gradient).enumerate() {
        let probability = (*logit - log_partition).exp();
        let residual = probability - f64::from(u8::from(class == label));
        *gradient += residual;
        *logit = residual;
    }
    (loss, winner == label)
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
            standardization: &Standardization::identity(3),
        };
        let rows: Vec<usize> = (0..40).collect();
        let at: Vec<f64> = (0..16)
            .map(|i| f64::from(i * 5 % 11) / 10.0 - 0.5)
            .collect();
        let mut gradient = vec![0.0; 16];
        let mut ignored = vec![0.0; 16];
        problem.evaluate(&rows, 7, 0.1, &at, &mut gradient);
        for index in 0..16 {
            let mut value_at = |shift: f64| {
                let mut moved = at.clone();
                moved[index] += shift;
                problem.evaluate(&rows, 7, 0.1, &moved, &mut ignored)
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
            standardization: &Standardization::identity(2),
        };
        let loss = problem.evaluate(&[0, 1], 1, 0.0, &[0.0; 9], &mut [0.0; 9]);
        assert!((loss - 3f64.ln()).abs() < 1e-15);
    }
}
