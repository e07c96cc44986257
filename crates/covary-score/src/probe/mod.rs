//! Classifiers on frozen embeddings: linear (to convergence, and by stochastic gradient descent) and nearest neighbours.

mod descent;
mod lbfgs;
mod linear;
mod neighbors;
mod number;
mod precondition;
mod rounded;
mod similar;
mod softmax;
mod standardize;

#[cfg(test)]
mod battery;

pub use descent::{GradientDescentProbe, GradientDescentReport};
pub use linear::{LinearProbe, LinearReport, ValidationScore};
pub use neighbors::{NearestNeighbors, NearestNeighborsReport, NeighborScore, nearest_rows};

use crate::embeddings::{EmbeddingError, Embeddings};

/// Embeddings with one label a row.
#[derive(Clone, Copy, Debug)]
pub struct LabeledEmbeddings<'a> {
    /// `[n, d]`.
    pub embeddings: Embeddings<'a>,
    /// `[n]`, each below the number of classes.
    pub labels: &'a [u32],
}

/// Checks that two labelled sets make a classification problem.
fn check_pair(
    train: LabeledEmbeddings<'_>,
    test: LabeledEmbeddings<'_>,
    classes: usize,
) -> Result<(), EmbeddingError> {
    let (left, right) = (train.embeddings.dimension(), test.embeddings.dimension());
    if left != right {
        return Err(EmbeddingError::WidthMismatch { left, right });
    }
    for set in [train, test] {
        let (left, right) = (set.embeddings.rows(), set.labels.len());
        if left != right {
            return Err(EmbeddingError::CountMismatch {
                what: "labels",
                left,
                right,
            });
        }
        let out_of_range = set
            .labels
            .iter()
            .position(|&label| label as usize >= classes);
        if let Some(row) = out_of_range {
            return Err(EmbeddingError::LabelOutOfRange {
                row,
                label: set.labels[row],
                classes,
            });
        }
    }
    let label = train.labels[0];
    if train.labels.iter().all(|&other| other == label) {
        return Err(EmbeddingError::OneClass {
            rows: train.labels.len(),
            label,
        });
    }
    Ok(())
}
