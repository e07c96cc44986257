//! A linear layer in the precision it was built for.
//!
//! f32 products are those of [`super::single`]. In bf16 the operands of every product are rounded first: packed for the tile where the
//! processor multiplies bf16, and as f32 for the f32 product elsewhere, so that all processors sum the same numbers.

use rayon::prelude::*;

use super::panel::Panels;
use super::product::product;
use super::single::LinearShape;
use super::tile::{COLUMNS, ROWS};
use crate::dispatch::elementwise;
use crate::element::Element;
use crate::{Isa, Precision};
use half::bf16;

/// Numbers that a job rounds.
const CHUNK: usize = 16 << 10;

/// `y = x Wᵀ` and its gradients. Weights are packed once after each change, which [`Linear::invalidate`] tells of.
#[derive(Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    isa: Isa,
    weights: Weights,
}

/// What the layer keeps of its weights.
#[derive(Debug)]
enum Weights {
    /// Nothing: f32 products take them as they are.
    Plain,
    /// Rounded to bf16, as f32.
    Rounded(Kept<Vec<f32>>),
    /// Packed for y, and for dx.
    Packed {
        forward: Kept<Panels<COLUMNS>>,
        backward: Kept<Panels<COLUMNS>>,
    },
}

/// A value made from the weights.
#[derive(Debug, Default)]
struct Kept<T> {
    value: T,
    is_fresh: bool,
}

impl<T> Kept<T> {
    fn refresh(&mut self, make: impl FnOnce(&mut T)) -> &T {
        if !self.is_fresh {
            make(&mut self.value);
            self.is_fresh = true;
        }
        &self.value
    }
}

/// Buffers for operands that are made anew for each product; layers that run one after the other share them.
#[derive(Debug, Default)]
pub struct LinearScratch {
    a: Panels<ROWS>,
    b: Panels<COLUMNS>,
    rounded: [Vec<f32>; 2],
}

impl Linear {
    /// A layer from `inputs` to `outputs` numbers.
    pub fn new(inputs: usize, outputs: usize, isa: Isa, precision: Precision) -> Self {
        let weights = match precision {
            Precision::F32 => Weights::Plain,
            Precision::Bf16 if isa == Isa::Avx512Bf16 => Weights::Packed {
                forward: Kept::default(),
                backward: Kept::default(),
            },
            Precision::Bf16 => Weights::Rounded(Kept::default()),
        };
        Self {
            inputs,
            outputs,
            isa,
            weights,
        }
    }

    /// Says that the weights changed.
    pub fn invalidate(&mut self) {
        match &mut self.weights {
            Weights::Plain => {}
            Weights::Rounded(rounded) => rounded.is_fresh = false,
            Weights::Packed { forward, backward } => {
                (forward.is_fresh, backward.is_fresh) = (false, false);
            }
        }
    }

    fn shape(&self, x: usize, y: usize) -> LinearShape {
        let rows = x / self.inputs;
        assert_eq!(
            (x, y),
            (rows * self.inputs, rows * self.outputs),
            "inputs and outputs have the same whole rows"
        );
        LinearShape {
            rows,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }

    /// `y = x Wᵀ`.
    ///
    /// # Shapes
    /// - x: `[rows, inputs]`
    /// - weight: `[outputs, inputs]`
    /// - y: `[rows, outputs]`
    ///
    /// # Panics
    /// When a slice has another size.
    pub fn forward(
        &mut self,
        x: &[f32],
        weight: &[f32],
        y: &mut [f32],
        scratch: &mut LinearScratch,
    ) {
        let (shape, isa) = (self.shape(x.len(), y.len()), self.isa);
        assert_eq!(
            weight.len(),
            self.outputs * self.inputs,
            "the weight has the size of the layer"
        );
        match &mut self.weights {
            Weights::Plain => shape.forward(x, weight, y),
            Weights::Rounded(rounded) => {
                let weight = rounded.refresh(|to| round(isa, weight, to));
                let x = rounded_into(isa, x, &mut scratch.rounded[0]);
                shape.forward(x, weight, y);
            }
            Weights::Packed { forward, .. } => {
                let weight = forward.refresh(|panels| panels.pack_rows(isa, weight, shape.inputs));
                scratch.a.pack_rows(isa, x, shape.inputs);
                product(&scratch.a, weight, y, false);
            }
        }
    }

    /// `dx = dy W`; shapes as in [`Linear::forward`].
    ///
    /// # Panics
    /// As [`Linear::forward`].
    pub fn input_gradient(
        &mut self,
        dy: &[f32],
        weight: &[f32],
        dx: &mut [f32],
        scratch: &mut LinearScratch,
    ) {
        let (shape, isa) = (self.shape(dx.len(), dy.len()), self.isa);
        assert_eq!(
            weight.len(),
            self.outputs * self.inputs,
            "the weight has the size of the layer"
        );
        match &mut self.weights {
            Weights::Plain => shape.input_gradient(dy, weight, dx),
            Weights::Rounded(rounded) => {
                let weight = rounded.refresh(|to| round(isa, weight, to));
                let dy = rounded_into(isa, dy, &mut scratch.rounded[0]);
                shape.input_gradient(dy, weight, dx);
            }
            Weights::Packed { backward, .. } => {
                let weight =
                    backward.refresh(|panels| panels.pack_columns(isa, weight, shape.inputs));
                scratch.a.pack_rows(isa, dy, shape.outputs);
                product(&scratch.a, weight, dx, false);
            }
        }
    }

    /// `dW += dyᵀ x`; shapes as in [`Linear::forward`].
    ///
    /// # Panics
    /// As [`Linear::forward`].
    pub fn weight_gradient(
        &self,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        scratch: &mut LinearScratch,
    ) {
        let (shape, isa) = (self.shape(x.len(), dy.len()), self.isa);
        match self.weights {
            Weights::Plain => shape.weight_gradient(x, dy, dw),
            Weights::Rounded(_) => {
                let [x_rounded, dy_rounded] = &mut scratch.rounded;
                shape.weight_gradient(
                    rounded_into(isa, x, x_rounded),
                    rounded_into(isa, dy, dy_rounded),
                    dw,
                );
            }
            Weights::Packed { .. } => {
                scratch.a.pack_columns(isa, dy, shape.outputs);
                scratch.b.pack_columns(isa, x, shape.inputs);
                product(&scratch.a, &scratch.b, dw, true);
            }
        }
    }
}

fn rounded_into<'a>(isa: Isa, values: &[f32], to: &'a mut Vec<f32>) -> &'a [f32] {
    round(isa, values, to);
    to
}

fn round(isa: Isa, values: &[f32], to: &mut Vec<f32>) {
    to.resize(values.len(), 0.0);
    to.par_chunks_mut(CHUNK)
        .zip(values.par_chunks(CHUNK))
        .for_each(|(to, values)| round_chunk(isa, values, to));
}

elementwise! {
    fn round_chunk(values: &[f32], to: &mut [f32]) = round_body;
}

#[inline(always)]
fn round_body(values: &[f32], to: &mut [f32]) {
    to.iter_mut()
        .zip(values)
        .for_each(|(to, value)| *to = <bf16 as Element>::round(*value).widen());
}
