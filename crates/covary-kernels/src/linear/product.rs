//! C from packed A and B. A job is a panel of B, which stays in the second-level cache, times some panels of A, which pass by. The part of
//! C that a tile writes is fetched while the tile is summed.

use rayon::prelude::*;

use super::panel::Panels;
use super::tile::{COLUMNS, ROWS, tile};
use crate::element::LANES;
use crate::prefetch::{TO_WRITE, prefetch};

/// Panels of A in a job.
const JOB: usize = 16;

/// C, `[rows, columns]`, of which each job writes its own part.
struct Output {
    data: *mut f32,
    rows: usize,
    columns: usize,
}

// SAFETY: only `Output::part` reaches the numbers, and its callers hold parts that do not overlap.
unsafe impl Sync for Output {}

impl Output {
    /// Up to `COLUMNS` numbers of a row from a column on.
    ///
    /// # Safety
    /// No other part that is in use overlaps this one.
    #[expect(clippy::mut_from_ref, reason = "parts do not overlap")]
    unsafe fn part(&self, row: usize, column: usize) -> &mut [f32] {
        assert!(
            row < self.rows && column < self.columns,
            "the part lies in the output"
        );
        let len = COLUMNS.min(self.columns - column);
        // SAFETY: the part lies in the slice that the output was made of, and the caller has it alone.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.columns + column), len) }
    }

    /// Asks for the cache lines of a part.
    fn prefetch(&self, row: usize, column: usize) {
        for column in (column..self.columns.min(column + COLUMNS)).step_by(LANES) {
            prefetch::<TO_WRITE>(self.data.wrapping_add(row * self.columns + column));
        }
    }
}

/// `out = A B`, or `out += A B`.
///
/// # Shapes
/// - out: `[a.extent(), b.extent()]`
pub(super) fn product(a: &Panels<ROWS>, b: &Panels<COLUMNS>, out: &mut [f32], accumulate: bool) {
    let (rows, columns) = (a.extent(), b.extent());
    assert_eq!(
        out.len(),
        rows * columns,
        "the output has the size of the product"
    );
    let output = Output {
        data: out.as_mut_ptr(),
        rows,
        columns,
    };
    let jobs = a.count().div_ceil(JOB);
    (0..b.count() * jobs).into_par_iter().for_each(|job| {
        let (panel, job) = (job / jobs, job % jobs);
        let mut sums = [[0.0; COLUMNS]; ROWS];
        for index in job * JOB..((job + 1) * JOB).min(a.count()) {
            let span = index * ROWS..rows.min((index + 1) * ROWS);
            for row in span.clone() {
                output.prefetch(row, panel * COLUMNS);
            }
            tile(a.panel(index), b.panel(panel), &mut sums);
            for (row, sums) in span.zip(&sums) {
                // SAFETY: no other tile has these rows and columns.
                let part = unsafe { output.part(row, panel * COLUMNS) };
                if accumulate {
                    part.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                } else {
                    part.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum);
                }
            }
        }
    });
}
