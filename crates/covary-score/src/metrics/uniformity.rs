//! `log mean_{i<j} exp(−2 ‖ẑ_i − ẑ_j‖²)`, ẑ the rows divided by their norm (Wang & Isola 2020, t = 2).
//!
//! O(n² d): [`crate::Embeddings::first`] bounds n. Always defined.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::{CollapseMetric, Invariances, Sample};
use crate::embeddings::{EmbeddingError, product};

const BLOCK: usize = 64;

#[derive(Debug)]
pub(super) struct Uniformity;

impl CollapseMetric for Uniformity {
    fn name(&self) -> &'static str {
        "uniformity"
    }

    fn summary(&self) -> &'static str {
        "log mean Gaussian potential of pairs of l2-normalised embeddings; 0 = all the same, lower = more spread"
    }

    fn range(&self, _dimension: usize) -> (f64, f64) {
        (-8.0, 0.0)
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            rotation: true,
            scale: true,
            translation: false,
        }
    }

    fn compute(&self, sample: &Sample<'_>) -> Result<Option<f64>, EmbeddingError> {
        let (n, d) = (sample.embeddings().rows(), sample.embeddings().dimension());
        let rows = sample.unit_rows();
        let squares: Vec<f64> = rows
            .chunks_exact(d)
            .map(|row| row.iter().map(|x| x * x).sum())
            .collect();
        let sums: Vec<f64> = (0..n.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| potential_of_block(rows, &squares, block * BLOCK, d))
            .collect();
        let pairs = 0.5 * n as f64 * (n - 1) as f64;
        Ok(Some((sums.iter().sum::<f64>() / pairs).ln()))
    }
}

/// Sum of the potentials of the pairs whose first row is one of `BLOCK` from `start` on and whose second comes later.
fn potential_of_block(rows: &[f64], squares: &[f64], start: usize, d: usize) -> f64 {
    let count = squares.len() - start;
    let width = BLOCK.min(count);
    let later = MatRef::from_column_major_slice(&rows[start * d..], d, count);
    let mut products = vec![0.0; count * width];
    product(
        MatMut::from_column_major_slice_mut(&mut products, count, width),
        later.transpose(),
        later.subcols(0, width),
    );
    let mut sum = 0.0;
    for (first, products) in products.chunks_exact(count).enumerate() {
        for second in first + 1..count {
            let norms = squares[start + first] + squares[start + second];
            let distance = (norms - 2.0 * products[second]).max(0.0);
            sum += (-2.0 * distance).exp();
        }
    }
    sum
}
