//! Scores of embeddings, whoever made them: collapse metrics, linear probes and nearest neighbors. No network and no autodiff.
//!
//! [`Embeddings`] are a row-major `[n, d]` slice, checked once. [`METRICS`] say without labels how embeddings use their dimensions,
//! [`Verdict`] says whether they collapsed, [`LinearProbe`] and [`NearestNeighbors`] classify [`LabeledEmbeddings`].

mod embeddings;
mod metrics;
mod probe;

pub use embeddings::{
    EmbeddingError, Embeddings, Matrix, MatrixError, add_product, gram_moments, product,
};
pub use metrics::{
    CollapseMetric, Invariances, METRICS, Measurement, Outcome, RunOutcome, Sample, Verdict,
    measure,
};
pub use probe::{
    GradientDescentProbe, GradientDescentReport, LabeledEmbeddings, LinearProbe, LinearReport,
    NearestNeighbors, NearestNeighborsReport, NeighborScore, ValidationScore, nearest_rows,
};
