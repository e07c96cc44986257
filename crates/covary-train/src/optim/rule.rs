//! What an optimizer is: a rule that moves a part of the parameters, and the list of all kinds.

use std::fmt::Debug;

use covary_kernels::Isa;
use covary_nn::LayoutEntry;
use serde::{Deserialize, Serialize};

use super::config::OptimizerConfig;
use super::groups::Settings;
use super::{adamw, lars, muon, sgd};

/// How the parameters of a network move.
pub(super) trait Rule: Debug + Send + Sync {
    /// Whether a tensor is a part of its own, as the rule takes its norm or its shape; neighbours go together else.
    fn takes_whole(&self, entry: &LayoutEntry, settings: &Settings) -> bool;

    /// Whether there is a second vector of state for a tensor.
    fn keeps_second(&self, entry: &LayoutEntry, settings: &Settings) -> bool;

    /// Moves the parameters by their gradients, which are cleared.
    fn step(&self, now: Now, part: Part<'_>);
}

/// Where training stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) isa: Isa,
    /// Learning rate of this step, before the factor of the part's group.
    pub(super) lr: f64,
    /// Steps taken, this one included.
    pub(super) step: u64,
}

/// A part of a network's flat vectors.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Shape of the tensor, where the part is one alone.
    pub(super) shape: &'a [usize],
    pub(super) settings: Settings,
    pub(super) parameters: &'a mut [f32],
    pub(super) gradients: &'a mut [f32],
    /// Mean of gradients, or momentum.
    pub(super) first: &'a mut [f32],
    /// Mean of squared gradients, where the rule keeps it.
    pub(super) second: &'a mut [f32],
}

/// Declares the kinds of optimizer.
macro_rules! optimizers {
    ($($(#[$doc:meta])* $name:ident, $rule:path;)*) => {
        /// Kinds of optimizer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum OptimizerName {
            $($(#[$doc])* $name,)*
        }

        /// Every kind.
        pub const OPTIMIZERS: &[OptimizerName] = &[$(OptimizerName::$name),*];

        /// The rule of a configuration.
        pub(super) fn rule(config: &OptimizerConfig) -> Box<dyn Rule> {
            match config.name {
                $(OptimizerName::$name => Box::new(<$rule>::new(config)),)*
            }
        }
    };
}

optimizers! {
    /// AdamW.
    Adamw, adamw::AdamWRule;
    /// SGD with momentum.
    Sgd, sgd::SgdRule;
    /// LARS.
    Lars, lars::LarsRule;
    /// Muon, with AdamW for what is no matrix.
    Muon, muon::MuonRule;
}
