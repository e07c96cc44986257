//! The loss: a weighted sum of named terms over the outputs of the branches, and its gradients.
//!
//! `L = Σ_term weight · mean or sum over directions of term(x, y)`, where x is a prediction (or an embedding where there is no
//! predictor) of one view and y what it is compared with in the other: the target's embedding, or the online one, perhaps behind a
//! stop-gradient. Embeddings may be normalised first. Terms over single views (variance, covariance) see the online embeddings. Terms are small autodiff graphs in f32 whose
//! leaves are the embeddings; gradients leave through them.

mod check;
mod difference;
mod explain;
mod normalise;
mod objective;
mod term;
mod terms;
mod weighted;

pub use check::{CheckOptions, CheckReport, CheckVerdict, Course, Start, check};
pub use difference::difference;
pub use explain::TermDescription;
pub use objective::{BranchOutputs, Evaluation, Needs, Objective, OutputGradients, TermValue};
pub use term::{Built, Collapse, Invariances, Scope, Term, TermEntry};
pub use terms::TERMS;

use difference::numbers;

use crate::TrainError;

/// What can go wrong with a loss.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LossError {
    /// A term whose value or gradient is not a number.
    #[error("term {term} or its gradient is {value}")]
    NotFinite {
        /// Its name.
        term: String,
        /// NaN or infinity.
        value: f64,
    },
    /// Too small a batch.
    #[error("batch of {rows} rows: statistics of a batch need at least 2")]
    TooFewRows {
        /// Its rows.
        rows: usize,
    },
    /// Rows that cannot be whitened.
    #[error(
        "{rows} rows of {d} dimensions cannot be whitened: that takes more rows than dimensions, and embeddings that are not constant"
    )]
    Whitening {
        /// Rows of a view.
        rows: usize,
        /// Dimensions.
        d: usize,
    },
    /// An output that the method needs and did not get, or that has another size.
    #[error("{what} of view {view} is {found} numbers, {expected} are needed")]
    Shape {
        /// Embedding, prediction or target.
        what: &'static str,
        /// `a` or `b`.
        view: char,
        /// Numbers found.
        found: usize,
        /// Numbers needed.
        expected: usize,
    },
    /// A term's settings.
    #[error("terms.{term}: {reason}")]
    Settings {
        /// Its name.
        term: String,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint of another loss.
    #[error("state of the loss: {0}")]
    State(String),
}

impl LossError {
    /// The error of a training step.
    pub fn at_step(self, step: u64) -> TrainError {
        match self {
            Self::NotFinite { term, .. } => TrainError::NotFinite {
                step,
                what: format!("term {term}"),
            },
            other => TrainError::Loss(other),
        }
    }
}
