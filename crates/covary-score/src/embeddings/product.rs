//! Matrix products of small fixed chunks, single-threaded by design: the callers run many of them side by side, so that
//! the order of every sum is independent of the number of threads.

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

/// `out = left · right`.
pub fn product<T: ComplexField>(out: MatMut<'_, T>, left: MatRef<'_, T>, right: MatRef<'_, T>) {
    matmul(out, Accum::Replace, left, right, T::one_impl(), Par::Seq);
}

/// `out += left · right`.
pub fn add_product<T: ComplexField>(out: MatMut<'_, T>, left: MatRef<'_, T>, right: MatRef<'_, T>) {
    matmul(out, Accum::Add, left, right, T::one_impl(), Par::Seq);
}

/// Trace and sum of squares of `Z Zᵀ`, which are those of `Zᵀ Z`.
///
/// # Shapes
/// - z: `[n, d]`
pub fn gram_moments(z: &[f32], n: usize, d: usize) -> (f64, f64) {
    let rows = MatRef::from_row_major_slice(z, n, d);
    let mut gram = vec![0.0_f32; n * n];
    product(
        MatMut::from_column_major_slice_mut(&mut gram, n, n),
        rows,
        rows.transpose(),
    );
    let trace = (0..n).map(|i| f64::from(gram[i * n + i])).sum();
    let squares = gram.iter().map(|g| f64::from(*g).powi(2)).sum();
    (trace, squares)
}
