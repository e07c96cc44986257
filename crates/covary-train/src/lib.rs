//! Training: configuration, networks, loop, run folder, and the scores of the frozen encoder.
//!
//! A [`config::TrainConfig`] names everything. [`trainer`] takes views through the branches to the loss ([`covary_loss`]) and back.
//! [`evaluate`] freezes the encoder and scores its representations ([`covary_score`]). [`run`] is the folder where all of it is
//! written. [`Pretraining`] is the whole way.

mod belonging;
mod bench;
pub mod config;
mod diagnose;
mod error;
pub mod evaluate;
mod monitor;
pub mod optim;
mod pretrain;
mod result;
pub mod run;
mod run_result;
pub mod trainer;

pub use belonging::{finished_result, other_keys};
pub use bench::{KernelSpeed, Speed, bench};
pub use covary_kernels::{Isa, prepare_heap};
pub use covary_nn::{ENCODERS, Encoder};
pub use diagnose::{diagnose_matrix, diagnose_run};
pub use error::TrainError;
pub use monitor::{Monitor, MonitorReport};
pub use pretrain::{Ending, Pretraining, Watch, probe_run};
pub use run_result::{RunResult, Values};
