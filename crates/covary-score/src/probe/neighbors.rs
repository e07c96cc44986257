//! Weighted nearest-neighbour classifier on l2-normalised embeddings.
//!
//! Each of the k most similar training rows votes for its class with weight `exp(s / τ)`, s the cosine similarity, τ = 0.1
//! (Wu et al. 2018, "Unsupervised feature learning via non-parametric instance discrimination"). Of equally
//! similar rows the one with the lower index comes first, of equal votes the lower class wins.

use std::time::Instant;

use covary_kernels::Isa;
use rayon::prelude::*;
use serde::Serialize;

use super::rounded;
use super::similar::{self, Neighbor};
use super::{LabeledEmbeddings, check_pair};
use crate::embeddings::{EmbeddingError, Embeddings};

/// Test rows handled by one job.
const QUERIES_PER_JOB: usize = 256;
/// Products of numbers from which on a pass in bf16 pays.
const WORTH_ROUNDING: usize = 1 << 32;

/// Settings of the nearest-neighbour classifier.
#[derive(Clone, Debug)]
pub struct NearestNeighbors {
    /// Numbers of neighbours to report, each from 1 to the number of training rows. Default 20 and 200.
    pub counts: Vec<usize>,
    /// τ, > 0. Default 0.1.
    pub temperature: f64,
}

impl Default for NearestNeighbors {
    fn default() -> Self {
        Self {
            counts: vec![20, 200],
            temperature: 0.1,
        }
    }
}

/// What the nearest-neighbour classifier found.
#[derive(Clone, Debug, Serialize)]
pub struct NearestNeighborsReport {
    /// One score for each requested k, in the order of the request.
    pub scores: Vec<NeighborScore>,
    /// Wall time in seconds.
    pub wall_s: f64,
}

/// Accuracy with one number of neighbours.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NeighborScore {
    /// Number of neighbours.
    pub k: usize,
    /// Top-1 accuracy on the test rows, a fraction.
    pub test_accuracy: f64,
}

/// Rows of `bank` most similar to each of the rows at `queries`, nearest first, `count` each.
pub fn nearest_rows(
    bank: Embeddings<'_>,
    rows: Embeddings<'_>,
    queries: &[usize],
    count: usize,
) -> Vec<Vec<usize>> {
    nearest(bank, rows, queries, count)
        .into_iter()
        .map(|neighbours| {
            neighbours
                .into_iter()
                .map(|neighbour| neighbour.row as usize)
                .collect()
        })
        .collect()
}

impl NearestNeighbors {
    /// Classifies every test row by its neighbours among the training rows.
    ///
    /// # Shapes
    /// - train: `[n, d]`, test: `[m, d]`; labels below `classes`. Rows of zeros are similar to nothing (s = 0).
    ///
    /// # Errors
    /// [`EmbeddingError::WidthMismatch`], [`EmbeddingError::CountMismatch`], [`EmbeddingError::LabelOutOfRange`] and
    /// [`EmbeddingError::OneClass`] for sets that do not fit together; [`EmbeddingError::TooFewRows`] if a k exceeds the
    /// training rows; [`EmbeddingError::Setting`] for k = 0 or an impossible temperature.
    pub fn evaluate(
        &self,
        train: LabeledEmbeddings<'_>,
        test: LabeledEmbeddings<'_>,
        classes: usize,
    ) -> Result<NearestNeighborsReport, EmbeddingError> {
        let start = Instant::now();
        check_pair(train, test, classes)?;
        let most = self.check(train.embeddings.rows())?;
        let queries: Vec<usize> = (0..test.embeddings.rows()).collect();
        let nearest = nearest(train.embeddings, test.embeddings, &queries, most);
        let hits: Vec<Vec<usize>> = queries
            .par_chunks(QUERIES_PER_JOB)
            .zip(nearest.par_chunks(QUERIES_PER_JOB))
            .map(|(rows, nearest)| {
                self.count_hits(nearest, rows, train.labels, test.labels, classes)
            })
            .collect();
        let scores = self.counts.iter().enumerate().map(|(index, &k)| {
            let hits: usize = hits.iter().map(|hits| hits[index]).sum();
            NeighborScore {
                k,
                test_accuracy: hits as f64 / queries.len() as f64,
            }
        });
        Ok(NearestNeighborsReport {
            scores: scores.collect(),
            wall_s: start.elapsed().as_secs_f64(),
        })
    }

    /// The largest k.
    fn check(&self, rows: usize) -> Result<usize, EmbeddingError> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(EmbeddingError::Setting {
                name: "temperature",
                value: self.temperature,
                range: "finite and above 0",
            });
        }
        let most = self.counts.iter().copied().max().unwrap_or(0);
        if most == 0 || self.counts.contains(&0) {
            return Err(EmbeddingError::Setting {
                name: "k",
                value: 0.0,
                range: "at least 1",
            });
        }
        if most > rows {
            return Err(EmbeddingError::TooFewRows { rows, needed: most });
        }
        Ok(most)
    }

    /// Right votes among `rows` for each requested k.
    fn count_hits(
        &self,
        nearest: &[Vec<Neighbor>],
        rows: &[usize],
        train_labels: &[u32],
        test_labels: &[u32],
        classes: usize,
    ) -> Vec<usize> {
        let votes_for_truth = |k: usize| {
            let hit = |(neighbors, &row): (&Vec<Neighbor>, &usize)| {
                let mut votes = vec![0.0; classes];
                for neighbor in &neighbors[..k] {
                    // Relative to the nearest, so that small temperatures do not overflow.
                    let margin = f64::from(neighbor.similarity - neighbors[0].similarity);
                    votes[train_labels[neighbor.row as usize] as usize] +=
                        (margin / self.temperature).exp();
                }
                let winner = (1..classes).fold(0, |best, class| {
                    if votes[class] > votes[best] {
                        class
                    } else {
                        best
                    }
                });
                winner == test_labels[row] as usize
            };
            nearest.iter().zip(rows).filter(|&pair| hit(pair)).count()
        };
        self.counts.iter().map(|&k| votes_for_truth(k)).collect()
    }
}

/// The `most` nearest training rows of each of `rows`, nearest first. A processor that multiplies bf16 leaves few rows to compare in f32.
fn nearest(
    train: Embeddings<'_>,
    test: Embeddings<'_>,
    rows: &[usize],
    most: usize,
) -> Vec<Vec<Neighbor>> {
    let work = rows.len() * train.values().len();
    let rounds = Isa::active().is_ok_and(|isa| isa == Isa::Avx512Bf16);
    if !rounds || work < WORTH_ROUNDING {
        return exactly(train, test, rows, most);
    }
    let found = rounded::nearest(train, test, rows, most);
    let in_doubt: Vec<usize> = rows
        .iter()
        .zip(&found)
        .filter_map(|(row, found)| found.is_none().then_some(*row))
        .collect();
    let mut exact = exactly(train, test, &in_doubt, most).into_iter();
    found
        .into_iter()
        .map(|found| {
            found.unwrap_or_else(|| exact.next().expect("each row in doubt was compared anew"))
        })
        .collect()
}

fn exactly(
    train: Embeddings<'_>,
    test: Embeddings<'_>,
    rows: &[usize],
    most: usize,
) -> Vec<Vec<Neighbor>> {
    rows.par_chunks(QUERIES_PER_JOB)
        .flat_map_iter(|rows| similar::nearest(train, test, rows, most))
        .collect()
}
