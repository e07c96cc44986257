//! The laboratory: loss terms, methods, training, probes and collapse metrics.
//!
//! Data's way down: a [`config::TrainConfig`] names everything; [`trainer`] takes views through the branches to the [`loss`] and back;
//! [`evaluate`] freezes the encoder and scores its representations by [`LinearProbe`], [`NearestNeighbors`] and the collapse [`METRICS`];
//! [`run`] is the folder where all of it is written; [`Pretraining`] is the whole way.

mod bench;
pub mod config;
mod diagnose;
mod embeddings;
mod error;
pub mod evaluate;
pub mod loss;
pub mod method;
mod metrics;
mod monitor;
pub mod optim;
mod pretrain;
mod probe;
mod result;
pub mod run;
pub mod trainer;

pub use bench::{KernelSpeed, Speed, bench};
pub use covary_kernels::{Isa, prepare_heap};
pub use covary_nn::{ENCODERS, Encoder};
pub use diagnose::{diagnose_matrix, diagnose_run};
pub use embeddings::{EmbeddingError, Embeddings, Matrix, MatrixError};
pub use error::TrainError;
pub use metrics::{
    CollapseMetric, Invariances, METRICS, Measurement, Outcome, Sample, Verdict, measure,
};
pub use monitor::{Monitor, MonitorReport};
pub use pretrain::{Ending, Pretraining, Watch, probe_run};
pub use probe::{
    GradientDescentProbe, GradientDescentReport, LabeledEmbeddings, LinearProbe, LinearReport,
    NearestNeighbors, NearestNeighborsReport, NeighborScore, ValidationScore,
};
