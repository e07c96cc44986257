//! Linear probe: accuracy of a linear classifier on frozen embeddings.
//!
//! Features are standardised by the training set; multinomial logistic regression `mean cross-entropy + λ/2 ‖W‖²` is
//! solved to a gradient tolerance for every λ of a grid on the training rows outside a validation set, each from the
//! previous solution. The λ with the best validation accuracy (of equals, the largest) is refitted on all training rows, and
//! the test set is scored once. Standardisation sees the validation rows, never their labels.

use std::time::Instant;

use serde::Serialize;

use super::lbfgs::{Minimum, Stopping, minimize};
use super::precondition::{Preconditioner, second_moments};
use super::softmax::Problem;
use super::standardize::Standardization;
use super::{LabeledEmbeddings, check_pair};
use crate::embeddings::{EmbeddingError, Embeddings};

/// What rounding of rows to f32 leaves of a difference of objectives, in units of 1 + objective.
const VALUE_ROUNDING: f64 = 1e-7;

/// Share of the tolerance that the refit goes to: where λ is small and classes lie apart, the tolerance itself leaves the objective two
/// millionths of its value above the minimum.
const REFIT: f64 = 0.2;

/// Jobs that a pass over the rows is cut into, whatever the number of threads.
const JOBS: usize = 64;

/// Settings of the linear probe.
#[derive(Clone, Debug)]
pub struct LinearProbe {
    /// Values of λ, each > 0. Default 1e-1, 1e-2, ... 1e-6; warm starts run in the order given.
    pub l2_grid: Vec<f64>,
    /// Largest absolute gradient entry that counts as converged, > 0. Default 1e-5: with scikit-learn's 1e-4 a warm start
    /// can pass for the optimum of the next λ. The refit goes to a fifth of it.
    pub gradient_tolerance: f64,
    /// Iterations allowed for each fit, ≥ 1. Default 500.
    pub max_iterations: usize,
}

impl Default for LinearProbe {
    fn default() -> Self {
        Self {
            l2_grid: vec![1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6],
            gradient_tolerance: 1e-5,
            max_iterations: 500,
        }
    }
}

/// What the linear probe found. Accuracies are fractions.
#[derive(Clone, Debug, Serialize)]
pub struct LinearReport {
    /// Top-1 accuracy on the test set.
    pub test_accuracy: f64,
    /// Top-1 accuracy on all training rows after the refit.
    pub train_accuracy: f64,
    /// The λ that was chosen.
    pub l2: f64,
    /// Every λ with its accuracy on the validation rows.
    pub validation: Vec<ValidationScore>,
    /// Iterations of all fits together.
    pub iterations: usize,
    /// Objective after the refit: mean cross-entropy + λ/2 ‖W‖².
    pub objective: f64,
    /// Largest absolute gradient entry after the refit.
    pub gradient_norm: f64,
    /// Whether every fit reached the tolerance.
    pub converged: bool,
    /// Wall time in seconds.
    pub wall_s: f64,
}

/// Accuracy on the validation rows at one λ.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ValidationScore {
    /// λ.
    pub l2: f64,
    /// Fraction of validation rows classified rightly.
    pub accuracy: f64,
}

impl LinearProbe {
    /// Chooses λ on `validation` (indices of training rows), refits on all training rows, scores the test set.
    ///
    /// # Shapes
    /// - train: `[n, d]`, test: `[m, d]`; labels below `classes`.
    ///
    /// # Errors
    /// [`EmbeddingError::WidthMismatch`], [`EmbeddingError::CountMismatch`], [`EmbeddingError::LabelOutOfRange`] and
    /// [`EmbeddingError::OneClass`] for sets that do not fit together; [`EmbeddingError::ValidationIndex`] and
    /// [`EmbeddingError::TooFewRows`] for a split that is not one; [`EmbeddingError::Setting`] for impossible settings.
    pub fn evaluate(
        &self,
        train: LabeledEmbeddings<'_>,
        test: LabeledEmbeddings<'_>,
        validation: &[usize],
        classes: usize,
    ) -> Result<LinearReport, EmbeddingError> {
        let start = Instant::now();
        check_pair(train, test, classes)?;
        self.check()?;
        let standardization = Standardization::of(train.embeddings);
        let (order, fitted) = fit_then_validation(validation, train.embeddings.rows())?;
        let values = standardization.copy(train.embeddings, &order);
        let labels: Vec<u32> = order.iter().map(|row| train.labels[*row]).collect();
        let problem = Problem {
            features: Embeddings::try_new(&values, train.embeddings.dimension())?,
            labels: &labels,
            classes,
        };
        let all_rows: Vec<usize> = (0..order.len()).collect();
        let (fit_rows, validation_rows) = all_rows.split_at(fitted);
        let moments = second_moments(problem.features);
        let mut kept: Option<Preconditioner> = None;
        let mut fit = |rows: &[usize], l2: f64, from: Vec<f64>| {
            let preconditioner = match kept.take() {
                Some(earlier) if earlier.serves(l2) => earlier,
                _ => Preconditioner::try_new(&moments, l2, classes)?,
            };
            let tolerance =
                if rows.len() == fitted { 1.0 } else { REFIT } * self.gradient_tolerance;
            let minimum = self.fit(&problem, rows, (l2, tolerance), from, &preconditioner);
            kept = Some(preconditioner);
            Ok(minimum)
        };

        let mut point = vec![0.0; problem.parameter_count()];
        let mut scores: Vec<ValidationScore> = Vec::with_capacity(self.l2_grid.len());
        let mut best: Option<(ValidationScore, Vec<f64>)> = None;
        let (mut iterations, mut converged) = (0, true);
        for &l2 in &self.l2_grid {
            let minimum = fit(fit_rows, l2, point)?;
            point = minimum.point;
            iterations += minimum.iterations;
            converged &= minimum.converged;
            let score = ValidationScore {
                l2,
                accuracy: problem.accuracy(validation_rows, &point),
            };
            scores.push(score);
            if best
                .as_ref()
                .is_none_or(|(best, _)| score.is_better_than(*best))
            {
                best = Some((score, point.clone()));
            }
        }
        let Some((chosen, point)) = best else {
            return Err(EmbeddingError::Setting {
                name: "length of the l2 grid",
                value: 0.0,
                range: "at least 1",
            });
        };
        let refit = fit(&all_rows, chosen.l2, point)?;
        let test_rows: Vec<usize> = (0..test.embeddings.rows()).collect();
        let test_values = standardization.copy(test.embeddings, &test_rows);
        let test_problem = Problem {
            features: Embeddings::try_new(&test_values, test.embeddings.dimension())?,
            labels: test.labels,
            classes,
        };
        Ok(LinearReport {
            test_accuracy: test_problem.accuracy(&test_rows, &refit.point),
            train_accuracy: problem.accuracy(&all_rows, &refit.point),
            l2: chosen.l2,
            validation: scores,
            iterations: iterations + refit.iterations,
            objective: refit.value,
            gradient_norm: refit.gradient_norm,
            converged: converged && refit.converged,
            wall_s: start.elapsed().as_secs_f64(),
        })
    }

    fn check(&self) -> Result<(), EmbeddingError> {
        let bad = |name, value, range| Err(EmbeddingError::Setting { name, value, range });
        if let Some(&l2) = self
            .l2_grid
            .iter()
            .find(|&&l2| !(l2 > 0.0 && l2.is_finite()))
        {
            return bad("l2", l2, "finite and above 0");
        }
        if self.gradient_tolerance.is_nan() || self.gradient_tolerance <= 0.0 {
            return bad("gradient_tolerance", self.gradient_tolerance, "above 0");
        }
        if self.max_iterations == 0 {
            return bad("max_iterations", 0.0, "at least 1");
        }
        Ok(())
    }

    fn fit(
        &self,
        problem: &Problem<'_>,
        rows: &[usize],
        (l2, gradient_tolerance): (f64, f64),
        from: Vec<f64>,
        preconditioner: &Preconditioner,
    ) -> Minimum {
        let stopping = Stopping {
            gradient_tolerance,
            max_iterations: self.max_iterations,
            rounding: VALUE_ROUNDING,
        };
        let rows_per_job = rows.len().div_ceil(JOBS);
        minimize(
            from,
            stopping,
            |point, gradient| problem.evaluate::<f32>(rows, rows_per_job, l2, point, gradient),
            |vector| preconditioner.apply(vector),
        )
    }
}

impl ValidationScore {
    fn is_better_than(self, other: Self) -> bool {
        (self.accuracy, self.l2) > (other.accuracy, other.l2)
    }
}

/// All training rows, those in `validation` last, and how many the others are.
fn fit_then_validation(
    validation: &[usize],
    rows: usize,
) -> Result<(Vec<usize>, usize), EmbeddingError> {
    let mut held_out = vec![false; rows];
    for &index in validation {
        if index >= rows || held_out[index] {
            return Err(EmbeddingError::ValidationIndex { index, rows });
        }
        held_out[index] = true;
    }
    let mut order: Vec<usize> = (0..rows).filter(|&row| !held_out[row]).collect();
    let fitted = order.len();
    if validation.is_empty() {
        return Err(EmbeddingError::TooFewRows { rows: 0, needed: 1 });
    }
    if fitted < 2 {
        return Err(EmbeddingError::TooFewRows {
            rows: fitted,
            needed: 2,
        });
    }
    order.extend_from_slice(validation);
    Ok((order, fitted))
}
