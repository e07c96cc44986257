//! Optimizers over networks with flat parameters, and schedules of learning rate and target decay.
//!
//! | what | file |
//! |---|---|
//! | settings | [`config`] |
//! | all networks, their state, the norm of their gradients | [`optimizer`] |
//! | which tensors move by which settings | [`groups`] |
//! | one kind of optimizer | [`adamw`], [`sgd`], [`lars`], [`muon`], listed in [`rule`] |
//! | learning rate and target decay by step | [`schedule`] |

mod adamw;
mod config;
mod groups;
mod lars;
mod muon;
mod optimizer;
mod rule;
mod schedule;
mod sgd;

pub use config::{LarsConfig, MuonConfig, MuonScale, OptimError, OptimizerConfig};
pub use groups::GroupConfig;
pub use optimizer::Optimizer;
pub use rule::{OPTIMIZERS, OptimizerName};
pub use schedule::{EmaSchedule, Schedule};
