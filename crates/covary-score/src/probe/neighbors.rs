//! Weighted nearest-neighbour classifier on l2-normalised embeddings.
//!
//! Each of the k most similar training rows votes for its class with weight `exp(s / τ)`, s the cosine similarity, τ = 0.1
//! (Wu et al. 2018, "Unsupervised feature learning via non-parametric instance discrimination"). Of equally
//! similar rows the one with the lower index comes first, of equal votes the lower class wins.

use std::cmp::Ordering;
use std::time::Instant;

use faer::{MatMut, MatRef};
use rayon::prelude::*;
use serde::Serialize;

use super::{LabeledEmbeddings, check_pair};
use crate::embeddings::{EmbeddingError, Embeddings, product};

/// Test rows handled by one job, and training rows normalised and compared at a time.
const QUERIES_PER_JOB: usize = 256;
const CANDIDATES: usize = 1024;

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

#[derive(Clone, Copy)]
struct Neighbor {
    similarity: f32,
    row: usize,
}

impl Neighbor {
    fn nearest_first(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then(self.row.cmp(&other.row))
    }
}

/// Rows of `bank` most similar to each of the rows at `queries`, nearest first, `count` each.
pub fn nearest_rows(
    bank: Embeddings<'_>,
    rows: Embeddings<'_>,
    queries: &[usize],
    count: usize,
) -> Vec<Vec<usize>> {
    let nearest = nearest(bank, rows, queries, count);
    nearest
        .into_iter()
        .map(|neighbours| {
            neighbours
                .into_iter()
                .map(|neighbour| neighbour.row)
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
        let hits: Vec<Vec<usize>> = queries
            .par_chunks(QUERIES_PER_JOB)
            .map(|rows| {
                let nearest = nearest(train.embeddings, test.embeddings, rows, most);
                self.count_hits(&nearest, rows, train.labels, test.labels, classes)
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
                    votes[train_labels[neighbor.row] as usize] += (margin / self.temperature).exp();
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

/// The `most` nearest training rows of each of `rows`, nearest first.
fn nearest(
    train: Embeddings<'_>,
    test: Embeddings<'_>,
    rows: &[usize],
    most: usize,
) -> Vec<Vec<Neighbor>> {
    let d = train.dimension();
    let mut queries = vec![0.0; rows.len() * d];
    for (&row, out) in rows.iter().zip(queries.chunks_exact_mut(d)) {
        normalize_into(test.row(row), out);
    }
    let mut candidates = vec![0.0; CANDIDATES.min(train.rows()) * d];
    let mut similarities = vec![0.0; rows.len() * CANDIDATES.min(train.rows())];
    let mut shortlists: Vec<Shortlist> = rows.iter().map(|_| Shortlist::new(most)).collect();
    for first in (0..train.rows()).step_by(CANDIDATES) {
        let count = CANDIDATES.min(train.rows() - first);
        for (offset, out) in candidates.chunks_exact_mut(d).take(count).enumerate() {
            normalize_into(train.row(first + offset), out);
        }
        let similarities = &mut similarities[..rows.len() * count];
        product(
            MatMut::from_column_major_slice_mut(similarities, count, rows.len()),
            MatRef::from_row_major_slice(&candidates[..count * d], count, d),
            MatRef::from_column_major_slice(&queries, d, rows.len()),
        );
        for (shortlist, similarities) in shortlists.iter_mut().zip(similarities.chunks(count)) {
            shortlist.offer(first, similarities);
        }
    }
    shortlists.into_iter().map(Shortlist::finish).collect()
}

/// `out = x / max(‖x‖, 1e-12)`, PyTorch's `normalize`.
fn normalize_into(x: &[f32], out: &mut [f32]) {
    let squares: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
    let reciprocal = 1.0 / squares.sqrt().max(1e-12);
    out.iter_mut()
        .zip(x)
        .for_each(|(out, &x)| *out = (f64::from(x) * reciprocal) as f32);
}

/// The nearest rows so far, with room for as many again before the farther half is dropped.
struct Shortlist {
    most: usize,
    kept: Vec<Neighbor>,
    /// Rows no more similar than this cannot enter: `most` rows that came before are at least as near.
    threshold: f32,
}

impl Shortlist {
    fn new(most: usize) -> Self {
        Self {
            most,
            kept: Vec::with_capacity(2 * most),
            threshold: f32::NEG_INFINITY,
        }
    }

    /// Offers rows `first`, `first + 1`, ... with their similarities.
    fn offer(&mut self, first: usize, similarities: &[f32]) {
        for (offset, &similarity) in similarities.iter().enumerate() {
            if similarity > self.threshold {
                self.kept.push(Neighbor {
                    similarity,
                    row: first + offset,
                });
                if self.kept.len() == 2 * self.most {
                    self.drop_farther();
                }
            }
        }
    }

    fn drop_farther(&mut self) {
        self.kept
            .select_nth_unstable_by(self.most - 1, Neighbor::nearest_first);
        self.kept.truncate(self.most);
        self.threshold = self.kept[self.most - 1].similarity;
    }

    fn finish(mut self) -> Vec<Neighbor> {
        self.kept.sort_unstable_by(Neighbor::nearest_first);
        self.kept.truncate(self.most);
        self.kept
    }
}
