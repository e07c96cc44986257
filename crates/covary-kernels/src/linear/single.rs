//! The products in f32.
//!
//! They are the `gemm` crate's, which splits outputs among the threads of the current pool and never a sum, so that results do
//! not depend on their number.

use gemm::Parallelism;

/// A row-major or column-major matrix: element (i, j) lies at `i * row + j * column`.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [f32],
    row: usize,
    column: usize,
}

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
            false,
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
            false,
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
        product([self.outputs, self.inputs, self.rows], dy, x, dw, true);
    }
}

/// `out = a b` or `out += a b` for `[m, k]` and `[k, n]`.
fn product(
    [m, n, k]: [usize; 3],
    a: Strided<'_>,
    b: Strided<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(
        (a.data.len(), b.data.len(), out.len()),
        (m * k, k * n, m * n),
        "matrices have the sizes of their product"
    );
    let threads = rayon::current_num_threads();
    let parallelism = if threads == 1 {
        Parallelism::None
    } else {
        Parallelism::Rayon(threads)
    };
    // SAFETY: the strides reach every element of the three slices, whose lengths were checked, and none beyond.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
