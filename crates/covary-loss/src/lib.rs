//! The loss: a weighted sum of named terms over the outputs of the branches, and its gradients.
//!
//! `L = Σ_term weight · mean or sum over directions of term(x, y)`. Here x is the prediction of a view, or its embedding where there is
//! no predictor, and y is the embedding that x is compared with in the other view: the target's, or the online one, perhaps behind a
//! stop-gradient. Embeddings may be normalised first. Terms over single views (variance, covariance) see the online embeddings.
//!
//! A [`method`] names the branches and the terms, [`Objective`] evaluates them. Each term is a small autodiff graph in f32 whose leaves
//! are the embeddings. Gradients leave through those leaves, so this crate knows no network.

mod branches;
mod check;
mod difference;
mod error;
mod explain;
pub mod method;
mod nearest;
mod normalise;
mod objective;
mod outputs;
pub mod tables;
mod term;
mod terms;
mod trial;
mod weighted;
mod wiring;

pub use branches::{Branch, Branches, ViewCount, view_name};
pub use check::{CheckError, CheckOptions, CheckReport, CheckVerdict, Course, Start, check};
pub use difference::difference;
pub use error::LossError;
pub use explain::TermDescription;
pub use nearest::nearest;
pub use objective::Objective;
pub use outputs::{BranchOutputs, Evaluation, Needs, OutputGradients, TermValue};
pub use term::{Built, Collapse, Invariances, Scope, Term, TermEntry};
pub use terms::TERMS;
