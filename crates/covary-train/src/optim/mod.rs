//! Optimizers over networks with flat parameters, and schedules of learning rate and target decay.

mod optimizer;
mod schedule;

pub use optimizer::{OptimError, Optimizer, OptimizerConfig, OptimizerName};
pub use schedule::{EmaSchedule, Schedule};
