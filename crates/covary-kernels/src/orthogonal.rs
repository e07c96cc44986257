//! The orthogonal factor of a matrix, roughly, by Newton and Schulz's iteration of the fifth degree.
//!
//! ```text
//! X ← X / (‖X‖_F + 1e-7),   then some times   X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X
//! ```
//! With X = U S Vᵀ it moves singular values alone, `s ← a s + b s³ + c s⁵`. Coefficients (3.4445, -4.7750, 2.0315) and five steps: Jordan
//! et al. 2024 (Muon), `torch.optim.Muon`. They make small values large quickly and do not converge: values end between about 0.7 and 1.2,
//! but those below some 1e-3 of the norm end lower.
//!
//! The references iterate X in bf16. Here the iteration is of X Xᵀ, or Xᵀ X where X is tall, in f32: all factors are polynomials of
//! it, commute, and are symmetric, so they are products of the small side alone and half of each is computed.
//!
//! ```text
//! A = X Xᵀ,  P = 1;   some times  Q = a + b A + c A²,  P ← Q P,  A ← Q² A;   X ← P X
//! ```
//! Eigenvalues of A carry an error of the rounding of the largest. Singular values of some 1e-3 of the norm end with a relative error
//! below bf16's rounding, smaller ones are multiplied by a power of `a` alone, whatever the error. Rows are dealt to threads in panels and no sum is split, so results do
//! not depend on the number of threads.

use rayon::prelude::*;

use crate::matrix::{Strided, Threads, product};

/// Rows of a job.
const PANEL: usize = 64;
/// Rows and columns that are mirrored together.
const TILE: usize = 16;
/// Added to the norm.
const EPSILON: f64 = 1e-7;

/// An iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewtonSchulz {
    /// a, b, c.
    pub coefficients: [f32; 3],
    /// Steps, at least 1.
    pub steps: usize,
}

impl Default for NewtonSchulz {
    fn default() -> Self {
        Self {
            coefficients: [3.4445, -4.7750, 2.0315],
            steps: 5,
        }
    }
}

/// `out` becomes the iteration's result for the row-major matrix `x`, `[rows, x.len() / rows]`, which is scaled to norm 1 on the way.
///
/// # Panics
/// When `out` is not as long as `x`, or `x` has no whole rows.
pub fn orthogonalize(iteration: NewtonSchulz, x: &mut [f32], rows: usize, out: &mut [f32]) {
    let columns = x.len() / rows;
    assert_eq!(
        (x.len(), x.len()),
        (rows * columns, out.len()),
        "whole rows"
    );
    let squares: f64 = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let scale = (1.0 / (squares.sqrt() + EPSILON)) as f32;
    x.iter_mut().for_each(|x| *x *= scale);
    let x = Strided {
        data: x,
        row: columns,
        column: 1,
    };
    if rows <= columns {
        let polynomial = iteration.polynomial(rows, columns, x);
        multiply([rows, columns, rows], square(&polynomial, rows), x, out);
    } else {
        let polynomial = iteration.polynomial(columns, rows, x.transposed());
        multiply(
            [rows, columns, columns],
            x,
            square(&polynomial, columns),
            out,
        );
    }
}

impl NewtonSchulz {
    /// P, `[n, n]`, for the wide x `[n, sum]`.
    fn polynomial(&self, n: usize, sum: usize, x: Strided<'_>) -> Vec<f32> {
        let [a, b, c] = self.coefficients;
        let mut half = vec![0.0; n * n];
        let mut gram = vec![0.0; n * n];
        let mut factor = vec![0.0; n * n];
        let mut polynomial = Vec::new();
        let mut moved = vec![0.0; n * n];
        symmetric(n, sum, x, x, &mut half, &mut gram);
        for step in 1..=self.steps {
            symmetric_square(n, &gram, &gram, &mut half, &mut factor);
            factor
                .par_chunks_mut(n)
                .zip(gram.par_chunks(n))
                .enumerate()
                .for_each(|(row, (factors, grams))| {
                    for (factor, gram) in factors.iter_mut().zip(grams) {
                        *factor = b * gram + c * *factor;
                    }
                    factors[row] += a;
                });
            if step < self.steps {
                symmetric_square(n, &factor, &gram, &mut half, &mut moved);
                symmetric_square(n, &factor, &moved, &mut half, &mut gram);
            }
            if polynomial.is_empty() {
                polynomial.clone_from(&factor);
            } else {
                symmetric_square(n, &factor, &polynomial, &mut half, &mut moved);
                std::mem::swap(&mut polynomial, &mut moved);
            }
        }
        polynomial
    }
}

fn square(data: &[f32], n: usize) -> Strided<'_> {
    Strided {
        data,
        row: n,
        column: 1,
    }
}

/// `out = a b` for `[m, k]` and `[k, n]`, by panels of rows.
fn multiply([m, n, k]: [usize; 3], a: Strided<'_>, b: Strided<'_>, out: &mut [f32]) {
    debug_assert_eq!(out.len(), m * n);
    out.par_chunks_mut(PANEL * n)
        .with_max_len(1)
        .enumerate()
        .for_each(|(panel, out)| {
            let a = rows_from(a, panel * PANEL);
            product([out.len() / n, n, k], a, b, out, n, false, Threads::One);
        });
}

fn rows_from(matrix: Strided<'_>, first: usize) -> Strided<'_> {
    Strided {
        data: &matrix.data[first * matrix.row..],
        ..matrix
    }
}

/// `out = a b` for commuting symmetric matrices `[n, n]`.
fn symmetric_square(n: usize, a: &[f32], b: &[f32], half: &mut [f32], out: &mut [f32]) {
    symmetric(n, n, square(a, n), square(b, n), half, out);
}

/// `out = a bᵀ` for `[n, sum]` where that is symmetric: what lies below the diagonal is computed, in `half`, and mirrored.
fn symmetric(
    n: usize,
    sum: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    half: &mut [f32],
    out: &mut [f32],
) {
    half.par_chunks_mut(PANEL * n)
        .with_max_len(1)
        .enumerate()
        .for_each(|(panel, half)| {
            let (first, rows) = (panel * PANEL, half.len() / n);
            let a = rows_from(a, first);
            let sizes = [rows, first + rows, sum];
            product(sizes, a, b.transposed(), half, n, false, Threads::One);
        });
    let half = &*half;
    out.par_chunks_mut(TILE * n)
        .enumerate()
        .for_each(|(tile, out)| mirror(n, tile * TILE, half, out));
}

/// The rows of `out` from `first` on: up to the diagonal those of `half`, behind it its columns.
fn mirror(n: usize, first: usize, half: &[f32], out: &mut [f32]) {
    for (row, out) in out.chunks_exact_mut(n).enumerate() {
        let behind = first + row + 1;
        out[..behind].copy_from_slice(&half[(first + row) * n..][..behind]);
    }
    let rows = out.len() / n;
    for start in (first..n).step_by(TILE) {
        for row in 0..rows {
            for column in (start..n.min(start + TILE)).skip_while(|c| *c <= first + row) {
                out[row * n + column] = half[column * n + first + row];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    fn product_f64([m, n, k]: [usize; 3], a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; m * n];
        for i in 0..m {
            for l in 0..k {
                for j in 0..n {
                    out[i * n + j] += a[i * k + l] * b[l * n + j];
                }
            }
        }
        out
    }

    fn transpose(rows: usize, columns: usize, x: &[f64]) -> Vec<f64> {
        (0..rows * columns)
            .map(|i| x[i % rows * columns + i / rows])
            .collect()
    }

    /// The iteration as it is published, on X itself.
    fn published(x: &[f32], rows: usize) -> Vec<f64> {
        let columns = x.len() / rows;
        let mut x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-7;
        x.iter_mut().for_each(|x| *x /= norm);
        for _ in 0..5 {
            let t = transpose(rows, columns, &x);
            let gram = product_f64([rows, rows, columns], &x, &t);
            let cubic = product_f64([rows, columns, rows], &gram, &x);
            let fifth = product_f64([rows, columns, rows], &gram, &cubic);
            for ((x, cubic), fifth) in x.iter_mut().zip(cubic).zip(fifth) {
                *x = 3.4445 * *x - 4.7750 * cubic + 2.0315 * fifth;
            }
        }
        x
    }

    #[test]
    fn it_is_the_published_iteration_for_wide_square_and_tall_matrices() {
        for (rows, columns) in [
            (1, 1),
            (1, 9),
            (7, 1),
            (16, 16),
            (65, 130),
            (130, 33),
            (97, 97),
        ] {
            let mut x = numbers(rows as u32, rows * columns);
            let expected = published(&x, rows);
            let mut out = vec![f32::NAN; x.len()];
            orthogonalize(NewtonSchulz::default(), &mut x, rows, &mut out);
            for (out, expected) in out.iter().zip(&expected) {
                let off = (f64::from(*out) - expected).abs();
                assert!(off < 2e-4, "{rows} by {columns}: {out} and {expected}");
            }
        }
    }

    #[test]
    fn a_diagonal_matrix_ends_with_the_polynomial_s_values() {
        let n = 80;
        let mut x = vec![0.0; n * n];
        let values: Vec<f64> = (0..n).map(|i| 10.0_f64.powf(-(i as f64) / 16.0)).collect();
        (0..n).for_each(|i| x[i * n + i] = values[i] as f32);
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let mut out = vec![0.0; n * n];
        orthogonalize(NewtonSchulz::default(), &mut x, n, &mut out);
        for (i, value) in values.iter().enumerate() {
            let iterated = (0..5).fold(value / norm, |s, _| {
                3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5)
            });
            let found = f64::from(out[i * n + i]);
            assert!(
                (found - iterated).abs() < 1e-3,
                "{value}: {found} {iterated}"
            );
            if value / norm > 5e-3 {
                assert!((0.65..1.25).contains(&found), "{value} ends at {found}");
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for (rows, columns) in [(200, 70), (150, 300)] {
            let of = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let mut x = numbers(5, rows * columns);
                let mut out = vec![0.0; x.len()];
                pool.build().unwrap().install(|| {
                    orthogonalize(NewtonSchulz::default(), &mut x, rows, &mut out);
                });
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            assert!(of(1) == of(2) && of(1) == of(3));
        }
    }

    #[test]
    fn zero_stays_zero() {
        let mut out = vec![1.0; 12];
        orthogonalize(NewtonSchulz::default(), &mut [0.0; 12], 3, &mut out);
        assert!(out.iter().all(|out| *out == 0.0));
    }
}
