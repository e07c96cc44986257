//! Products of f32 matrices, by the `gemm` crate.
//!
//! The crate splits outputs among threads and never a sum, so that results do not depend on the number of threads.

use gemm::Parallelism;

/// A row-major or column-major matrix: element (i, j) lies at `i * row + j * column`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl Strided<'_> {
    /// The matrix with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// Whether a matrix of this size lies within the slice.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0
            || columns == 0
            || (rows - 1) * self.row + (columns - 1) * self.column < self.data.len()
    }
}

/// Which threads a product runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// Those of the current rayon pool.
    Pool,
    /// The calling one.
    One,
}

/// `out = a b` or `out += a b` for `[m, k]` and `[k, n]`; the rows of `out` begin every `out_row` numbers.
///
/// # Panics
/// When a matrix of its size does not lie within its slice.
pub(crate) fn product(
    [m, n, k]: [usize; 3],
    a: Strided<'_>,
    b: Strided<'_>,
    out: &mut [f32],
    out_row: usize,
    accumulate: bool,
    threads: Threads,
) {
    let result = Strided {
        data: out,
        row: out_row,
        column: 1,
    };
    assert!(
        a.holds(m, k) && b.holds(k, n) && result.holds(m, n) && n <= out_row,
        "matrices have the sizes of their product"
    );
    let parallelism = match (threads, rayon::current_num_threads()) {
        (Threads::One, _) | (Threads::Pool, 1) => Parallelism::None,
        (Threads::Pool, threads) => Parallelism::Rayon(threads),
    };
    // SAFETY: the strides reach no element beyond the three slices, as was checked, and the rows of `out` do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_row as isize,
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
