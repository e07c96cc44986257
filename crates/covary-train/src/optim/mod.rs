//! Optimizers over networks with flat parameters, and schedules of learning rate and target decay.
//!
//! | what | file |
//! |---|---|
//! | settings and their ranges | `config`, `range` |
//! | all networks, their state, the norm of their gradients | `optimizer` |
//! | which tensors move by which settings | `groups`, `spans` |
//! | what a kind of optimizer is | `rule` |
//! | one kind of optimizer | `adamw`, `sgd`, `lars`, `muon`, listed in `optimizer` |
//! | averaged weights | `average` |
//! | learning rate and target decay by step | `schedule`, `phases` |

mod adamw;
mod average;
mod config;
mod groups;
mod lars;
mod muon;
mod optimizer;
mod phases;
mod range;
mod rule;
mod schedule;
mod sgd;
mod spans;

pub use average::{Average, AverageConfig, AverageKind};
pub use config::{LarsConfig, MuonConfig, MuonScale, OptimizerConfig, OptimizerName};
pub use groups::GroupConfig;
pub use optimizer::Optimizer;
pub(crate) use phases::check as check_phases;
pub use phases::{PhaseConfig, PhaseShape};
pub use range::OptimError;
pub use schedule::{EmaSchedule, Schedule};
