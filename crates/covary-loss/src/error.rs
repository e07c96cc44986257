//! What can go wrong with a loss, each with the term or the output that it concerns.

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
        /// `a`, `b`, `c`, ...
        view: String,
        /// Numbers found.
        found: usize,
        /// Numbers needed.
        expected: usize,
    },
    /// Too few views.
    #[error(
        "{all} views, {first} of them in the first group: a loss compares at least 2 views, 1 of them in the first group"
    )]
    Views {
        /// Views of the first group.
        first: usize,
        /// Views of all groups.
        all: usize,
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
