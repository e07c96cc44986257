//! Matrix products of small fixed chunks, single-threaded by design: the callers run many of them side by side, so that
//! the order of every sum is independent of the number of threads.

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

/// `out = left · right`.
pub(crate) fn product<T: ComplexField>(
    out: MatMut<'_, T>,
    left: MatRef<'_, T>,
    right: MatRef<'_, T>,
) {
    matmul(out, Accum::Replace, left, right, T::one_impl(), Par::Seq);
}

/// `out += left · right`.
pub(crate) fn add_product<T: ComplexField>(
    out: MatMut<'_, T>,
    left: MatRef<'_, T>,
    right: MatRef<'_, T>,
) {
    matmul(out, Accum::Add, left, right, T::one_impl(), Par::Seq);
}
