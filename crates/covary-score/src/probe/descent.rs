//! Linear probe by stochastic gradient descent, the protocol of a plain PyTorch script.
//!
//! Standardised features, PyTorch's initial linear layer (weights and biases uniform in ±1/√d), 100 epochs of shuffled
//! batches of 512 with the last one kept, SGD with learning rate 0.1, momentum 0.9 and weight decay 1e-4 on weights and biases,
//! cosine decay to 0 once an epoch.

use std::time::Instant;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::softmax::Problem;
use super::standardize::Standardization;
use super::{LabeledEmbeddings, check_pair};
use crate::embeddings::{EmbeddingError, Embeddings};

const ROWS_PER_JOB: usize = 128;

/// Settings of the gradient descent probe.
#[derive(Clone, Copy, Debug)]
pub struct GradientDescentProbe {
    /// Passes over the training rows, ≥ 1. Default 100.
    pub epochs: usize,
    /// Rows of a batch, ≥ 1. Default 512.
    pub batch_size: usize,
    /// Learning rate of the first epoch, > 0. Default 0.1.
    pub learning_rate: f64,
    /// Share of the last update kept, in [0, 1). Default 0.9.
    pub momentum: f64,
    /// L2 penalty added to gradients, biases included, ≥ 0. Default 1e-4.
    pub weight_decay: f64,
    /// Seed of the initial layer and of the order of rows. Default 0.
    pub seed: u64,
}

impl Default for GradientDescentProbe {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 512,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            seed: 0,
        }
    }
}

/// What the gradient descent probe found. Accuracies are fractions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GradientDescentReport {
    /// Top-1 accuracy on the test set after the last epoch.
    pub test_accuracy: f64,
    /// Top-1 accuracy on the training rows after the last epoch.
    pub train_accuracy: f64,
    /// Wall time in seconds.
    pub wall_s: f64,
}

impl GradientDescentProbe {
    /// Trains on all training rows and scores the test set once, after the last epoch.
    ///
    /// # Shapes
    /// - train: `[n, d]`, test: `[m, d]`; labels below `classes`.
    ///
    /// # Errors
    /// [`EmbeddingError::WidthMismatch`], [`EmbeddingError::CountMismatch`], [`EmbeddingError::LabelOutOfRange`] and
    /// [`EmbeddingError::OneClass`] for sets that do not fit together; [`EmbeddingError::Setting`] for impossible settings.
    pub fn evaluate(
        &self,
        train: LabeledEmbeddings<'_>,
        test: LabeledEmbeddings<'_>,
        classes: usize,
    ) -> Result<GradientDescentReport, EmbeddingError> {
        let start = Instant::now();
        check_pair(train, test, classes)?;
        self.check()?;
        let standardization = Standardization::of(train.embeddings);
        let width = train.embeddings.dimension();
        let train_rows: Vec<usize> = (0..train.embeddings.rows()).collect();
        let test_rows: Vec<usize> = (0..test.embeddings.rows()).collect();
        let train_values = standardization.copy(train.embeddings, &train_rows);
        let test_values = standardization.copy(test.embeddings, &test_rows);
        let problem = Problem {
            features: Embeddings::try_new(&train_values, width)?,
            labels: train.labels,
            classes,
        };
        let test_problem = Problem {
            features: Embeddings::try_new(&test_values, width)?,
            labels: test.labels,
            classes,
        };
        let parameters = self.descend(&problem);
        Ok(GradientDescentReport {
            test_accuracy: test_problem.accuracy(&test_rows, &parameters),
            train_accuracy: problem.accuracy(&train_rows, &parameters),
            wall_s: start.elapsed().as_secs_f64(),
        })
    }

    fn check(&self) -> Result<(), EmbeddingError> {
        let bad = |name, value, range| Err(EmbeddingError::Setting { name, value, range });
        if self.epochs == 0 {
            return bad("epochs", 0.0, "at least 1");
        }
        if self.batch_size == 0 {
            return bad("batch_size", 0.0, "at least 1");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return bad("learning_rate", self.learning_rate, "finite and above 0");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return bad("momentum", self.momentum, "in [0, 1)");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return bad("weight_decay", self.weight_decay, "finite and at least 0");
        }
        Ok(())
    }

    fn descend(&self, problem: &Problem<'_>) -> Vec<f64> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let bound = 1.0 / (problem.features.dimension() as f64).sqrt();
        let mut parameters: Vec<f64> = (0..problem.parameter_count())
            .map(|_| random.random_range(-bound..bound))
            .collect();
        let mut update = vec![0.0; parameters.len()];
        let mut gradient = vec![0.0; parameters.len()];
        let mut rows: Vec<usize> = (0..problem.features.rows()).collect();
        for epoch in 0..self.epochs {
            let progress = epoch as f64 / self.epochs as f64;
            let rate = 0.5 * self.learning_rate * (1.0 + (std::f64::consts::PI * progress).cos());
            rows.shuffle(&mut random);
            for batch in rows.chunks(self.batch_size) {
                problem.evaluate::<f32>(batch, ROWS_PER_JOB, 0.0, &parameters, &mut gradient);
                let steps = parameters.iter_mut().zip(&mut update).zip(&gradient);
                for ((parameter, update), gradient) in steps {
                    *update = self.momentum * *update + gradient + self.weight_decay * *parameter;
                    *parameter -= rate * *update;
                }
            }
        }
        parameters
    }
}
