//! The products of a linear layer in f32.

use crate::matrix::{Strided, Threads, product};

/// Sizes of a linear layer applied to some rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinearShape {
    /// Rows of x and y.
    pub(super) rows: usize,
    /// Width of x.
    pub(super) inputs: usize,
    /// Width of y.
    pub(super) outputs: usize,
}

impl LinearShape {
    /// `y = x Wᵀ`, `[rows, outputs]`.
    ///
    /// # Panics
    /// When a slice is not as long as the shape says.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], y: &mut [f32]) {
        let x = Strided {
            data: x,
            row: self.inputs,
            column: 1,
        };
        let transposed = Strided {
            data: weight,
            row: 1,
            column: self.inputs,
        };
        product(
            [self.rows, self.outputs, self.inputs],
            x,
            transposed,
            y,
            self.outputs,
            false,
            Threads::Pool,
        );
    }

    /// `dx = dy W`, `[rows, inputs]`.
    ///
    /// # Panics
    /// As [`LinearShape::forward`].
    pub(super) fn input_gradient(&self, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        let dy = Strided {
            data: dy,
            row: self.outputs,
            column: 1,
        };
        let weight = Strided {
            data: weight,
            row: self.inputs,
            column: 1,
        };
        product(
            [self.rows, self.inputs, self.outputs],
            dy,
            weight,
            dx,
            self.inputs,
            false,
            Threads::Pool,
        );
    }

    /// `dW += dyᵀ x`, `[outputs, inputs]`.
    ///
    /// # Panics
    /// As [`LinearShape::forward`].
    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let dy = Strided {
            data: dy,
            row: 1,
            column: self.outputs,
        };
        let x = Strided {
            data: x,
            row: self.inputs,
            column: 1,
        };
        product(
            [self.outputs, self.inputs, self.rows],
            dy,
            x,
            dw,
            self.inputs,
            true,
            Threads::Pool,
        );
    }
}
