//! What can be wrong with embeddings and labels handed to a probe or a metric.

/// Why embeddings could not be probed or measured.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// The values do not form whole rows.
    #[error("{length} values do not form rows of {dimension}")]
    Shape {
        /// Number of values.
        length: usize,
        /// Width of a row that was asked for.
        dimension: usize,
    },
    /// Fewer rows than the computation needs.
    #[error("{rows} rows; at least {needed} are needed")]
    TooFewRows {
        /// Rows that there are.
        rows: usize,
        /// Rows that are needed.
        needed: usize,
    },
    /// A NaN or an infinity among the embeddings.
    #[error("embedding of row {row} is not finite: column {column} is {value}")]
    NonFinite {
        /// First row concerned.
        row: usize,
        /// First column concerned in that row.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Two sets that must be equally wide are not.
    #[error("embeddings of width {right} beside embeddings of width {left}")]
    WidthMismatch {
        /// Width of the first set.
        left: usize,
        /// Width of the second set.
        right: usize,
    },
    /// Two views that must pair row by row do not, or labels do not match rows.
    #[error("{right} {what} for {left} rows")]
    CountMismatch {
        /// What is counted, in words.
        what: &'static str,
        /// Rows.
        left: usize,
        /// Labels or second-view rows.
        right: usize,
    },
    /// A label that is not below the number of classes.
    #[error("label {label} of row {row} is not below {classes} classes")]
    LabelOutOfRange {
        /// Row concerned.
        row: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// All training labels are the same: there is nothing to classify.
    #[error("all {rows} training labels are {label}; a classifier needs two classes")]
    OneClass {
        /// Number of training rows.
        rows: usize,
        /// The one label.
        label: u32,
    },
    /// A validation index that is not a training row, or stands twice.
    #[error("validation index {index} is repeated or not below {rows} training rows")]
    ValidationIndex {
        /// The index.
        index: usize,
        /// Number of training rows.
        rows: usize,
    },
    /// A setting outside its range.
    #[error("{name} is {value}; it must be {range}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range in words.
        range: &'static str,
    },
    /// An eigenvalue or singular value iteration failed.
    #[error("the {what} of a {rows} x {columns} matrix did not converge")]
    Decomposition {
        /// What was computed, in words.
        what: &'static str,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
}
