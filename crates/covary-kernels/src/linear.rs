//! Linear layers: `y = x Wᵀ + b` with W `[out, in]`, and their gradients, in f32.
//!
//! The products are the `gemm` crate's, which splits outputs among the threads of the current pool and never a sum, so that results do
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
pub struct LinearShape {
    /// Rows of x and y.
    pub rows: usize,
    /// Width of x.
    pub inputs: usize,
    /// Width of y.
    pub outputs: usize,
}

impl LinearShape {
    /// `y = x Wᵀ`, `[rows, outputs]`.
    ///
    /// # Panics
    /// When a slice is not as long as the shape says.
    pub fn forward(&self, x: &[f32], weight: &[f32], y: &mut [f32]) {
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
    pub fn input_gradient(&self, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
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
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u32, len: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn products_agree_with_f64_sums() {
        for (rows, inputs, outputs) in [(1, 1, 1), (7, 5, 3), (33, 64, 17), (64, 130, 96)] {
            let shape = LinearShape {
                rows,
                inputs,
                outputs,
            };
            let (x, w, dy) = (
                numbers(1, rows * inputs),
                numbers(2, outputs * inputs),
                numbers(3, rows * outputs),
            );
            let (mut y, mut dx, mut dw) = (
                vec![0.0; rows * outputs],
                vec![0.0; rows * inputs],
                vec![1.0; outputs * inputs],
            );
            shape.forward(&x, &w, &mut y);
            shape.input_gradient(&dy, &w, &mut dx);
            shape.weight_gradient(&x, &dy, &mut dw);
            let sum = |len: usize, f: &dyn Fn(usize) -> (f32, f32)| {
                (0..len).fold((0.0, 0.0), |(sum, size), i| {
                    let (a, b) = f(i);
                    let product = f64::from(a) * f64::from(b);
                    (sum + product, size + product.abs())
                })
            };
            let close = |actual: f32, (expected, size): (f64, f64), terms: usize| {
                assert!(
                    (f64::from(actual) - expected).abs()
                        <= (terms + 2) as f64 * 6e-8 * (size + 1.0),
                    "{actual} {expected}"
                );
            };
            for (at, &value) in y.iter().enumerate() {
                let (r, o) = (at / outputs, at % outputs);
                close(
                    value,
                    sum(inputs, &|i| (x[r * inputs + i], w[o * inputs + i])),
                    inputs,
                );
            }
            for (at, &value) in dx.iter().enumerate() {
                let (r, i) = (at / inputs, at % inputs);
                close(
                    value,
                    sum(outputs, &|o| (dy[r * outputs + o], w[o * inputs + i])),
                    outputs,
                );
            }
            for (at, &value) in dw.iter().enumerate() {
                let (o, i) = (at / inputs, at % inputs);
                close(
                    value - 1.0,
                    sum(rows, &|r| (dy[r * outputs + o], x[r * inputs + i])),
                    rows,
                );
            }
        }
    }

    #[test]
    fn thread_counts_do_not_change_a_bit() {
        let shape = LinearShape {
            rows: 128,
            inputs: 512,
            outputs: 384,
        };
        let (x, w, dy) = (
            numbers(1, 128 * 512),
            numbers(2, 384 * 512),
            numbers(3, 128 * 384),
        );
        let run = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| {
                    let (mut y, mut dx, mut dw) = (
                        vec![0.0; 128 * 384],
                        vec![0.0; 128 * 512],
                        vec![0.0; 384 * 512],
                    );
                    shape.forward(&x, &w, &mut y);
                    shape.input_gradient(&dy, &w, &mut dx);
                    shape.weight_gradient(&x, &dy, &mut dw);
                    (y, dx, dw)
                })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }
}
