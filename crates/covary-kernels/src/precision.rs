//! How numbers are held while a network trains.

/// What convolutions and linear layers multiply, and how activations are stored between them.
///
/// Parameters, accumulators, statistics and losses are f32 or better in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Operands and stored activations are f32.
    F32,
    /// Operands and stored activations are bf16 (round to nearest even), accumulated in f32.
    Bf16,
}
