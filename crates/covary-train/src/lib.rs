//! The laboratory: loss terms, methods, training, probes and collapse metrics

mod embeddings;
mod metrics;
mod probe;

pub use embeddings::{EmbeddingError, Embeddings};
pub use metrics::{
    CollapseMetric, Invariances, METRICS, Measurement, Outcome, Sample, Verdict, measure,
};
pub use probe::{
    GradientDescentProbe, GradientDescentReport, LabeledEmbeddings, LinearProbe, LinearReport,
    NearestNeighbors, NearestNeighborsReport, NeighborScore, ValidationScore,
};
