//! What computes: the interface that a network has to its engine.

use burn::tensor::Device;
use covary_kernels::{Isa, Precision};

/// What computes.
#[derive(Debug, Clone)]
pub enum EngineConfig {
    /// The CPU kernels.
    Kernels {
        /// Instruction set.
        isa: Isa,
        /// Operand precision of convolutions and linear layers, storage precision of an encoder's activations.
        precision: Precision,
    },
    /// Burn's operations on this device, stored in f32; on tensor cores operands of products may be rounded to TF32.
    Burn(Device),
}

/// A forward pass in training mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    /// `[views * n, input width]`.
    pub(crate) input: &'a [f32],
    pub(crate) views: usize,
    /// Which tape it is kept on.
    pub(crate) group: usize,
    /// Rows and columns of an encoder's images; heads do not look at it.
    pub(crate) size: [usize; 2],
    /// Whether a backward pass will come.
    pub(crate) keep_tape: bool,
}

/// The values of a network: parameters, and what does not train, running statistics first and then frozen weights.
#[derive(Debug)]
pub(crate) struct Values<'a, S> {
    pub(crate) parameters: &'a [f32],
    pub(crate) statistics: S,
}

/// What computes a network's passes. It keeps buffers between calls, a tape for each group, and values in a form of its own, which
/// [`Engine::invalidate`] tells are out of date.
pub(crate) trait Engine: std::fmt::Debug + Send + Sync {
    /// Training mode; moves the running statistics.
    fn forward(&mut self, values: Values<'_, &mut [f32]>, pass: Pass<'_>, out: &mut [f32]);

    /// Adds the gradients of a group's last forward pass that kept its tape; gives that of its input, empty for an encoder.
    fn backward(
        &mut self,
        values: Values<'_, &[f32]>,
        group: usize,
        output_gradient: &[f32],
        gradients: &mut [f32],
    ) -> Vec<f32>;

    /// Eval mode.
    fn infer(&mut self, values: Values<'_, &[f32]>, input: &[f32], out: &mut [f32]);

    /// Says that parameters or frozen weights changed.
    fn invalidate(&mut self);

    /// The gradient of the input of a group's last forward pass, where an engine can say it without touching those of the parameters.
    fn input_gradient(
        &mut self,
        _parameters: &[f32],
        _group: usize,
        _output_gradient: &[f32],
    ) -> Option<Vec<f32>> {
        None
    }

    /// Output of a head's last forward pass of a group before the normalisation of its output.
    fn before_output_norm(&self, _group: usize) -> Option<&[f32]> {
        None
    }
}
