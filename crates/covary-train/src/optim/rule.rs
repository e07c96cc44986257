//! What an optimizer is: a rule that moves a part of the parameters.

use std::fmt::Debug;

use covary_kernels::Isa;
use covary_nn::LayoutEntry;

/// How the parameters of a network move.
pub(super) trait Rule: Debug + Send + Sync {
    /// Whether a tensor is a part of its own, as the rule takes its norm or its shape; neighbours go together else.
    fn takes_whole(&self, entry: &LayoutEntry, settings: &Settings) -> bool;

    /// Whether there is a second vector of state for a tensor.
    fn keeps_second(&self, entry: &LayoutEntry, settings: &Settings) -> bool;

    /// Moves the parameters by their gradients, which are cleared.
    fn step(&self, now: Now, part: Part<'_>);
}

/// What a part moves by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// Factor on the learning rate.
    pub(super) lr: f64,
    pub(super) weight_decay: f64,
    /// A bias or a norm's parameter that is excluded from decay and trust ratio.
    pub(super) plain: bool,
    /// Whether Muon may move it.
    pub(super) muon: bool,
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
