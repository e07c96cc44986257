//! Initial inverse Hessian for the linear probe's minimiser.
//!
//! The Hessian of multinomial logistic regression is bounded by `½ (I − 11ᵀ/K) ⊗ Σ + λI`, Σ the second moments of the
//! features (Böhning 1992, "Multinomial logistic regression algorithm"). Its feature part,
//! `(½ Σ + (λ + δ) I)⁻¹` for each class, makes the number of iterations nearly independent of how ill-conditioned Σ is. It changes
//! the path, not the optimum; δ keeps directions without variance from amplifying rounding.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{Mat, MatMut, MatRef, Par, Spec};
use rayon::prelude::*;

use crate::embeddings::{EmbeddingError, Embeddings, product};

/// δ, in units of a standardised feature's variance.
const FLOOR: f64 = 1e-4;
/// Width of the column panels computed side by side.
const PANEL: usize = 64;
/// Values of the rows taken at a time: 32 MiB of f32.
const BLOCK_VALUES: usize = 1 << 23;

/// Rows that second moments are taken of at least, where there are as many: their rounding and sampling change the path of the
/// minimiser alone.
fn sampled_rows(d: usize) -> usize {
    (4 * d).max(8192)
}

/// Lower triangle of `Xᵀ X / n` of the standardised features, `[d, d]`, of evenly spaced rows.
pub(crate) fn second_moments(features: Embeddings<'_>) -> Mat<f64> {
    let (n, d) = (features.rows(), features.dimension());
    let rows: Vec<usize> = (0..n).step_by((n / sampled_rows(d)).max(1)).collect();
    let n = rows.len();
    let mut panels: Vec<Vec<f64>> = (0..d)
        .step_by(PANEL)
        .map(|start| vec![0.0; (d - start) * PANEL.min(d - start)])
        .collect();
    let block_rows = (BLOCK_VALUES / d).clamp(64, 4096);
    let mut block = vec![0.0f32; block_rows.min(n) * d];
    for rows in rows.chunks(block_rows) {
        let block = &mut block[..rows.len() * d];
        for (row, out) in rows.iter().zip(block.chunks_exact_mut(d)) {
            out.copy_from_slice(features.row(*row));
        }
        let inputs = MatRef::from_column_major_slice(&*block, d, rows.len());
        panels
            .par_iter_mut()
            .enumerate()
            .for_each(|(index, panel)| {
                let below = inputs.subrows(index * PANEL, d - index * PANEL);
                let width = PANEL.min(below.nrows());
                let mut part = vec![0.0f32; panel.len()];
                product(
                    MatMut::from_column_major_slice_mut(&mut part, below.nrows(), width),
                    below,
                    below.subrows(0, width).transpose(),
                );
                panel
                    .iter_mut()
                    .zip(part)
                    .for_each(|(sum, x)| *sum += f64::from(x));
            });
    }
    Mat::from_fn(d, d, |row, column| {
        if row < column {
            return 0.0;
        }
        let panel = column / PANEL;
        let start = panel * PANEL;
        panels[panel][(column - start) * (d - start) + (row - start)] / n as f64
    })
}

/// Cholesky factor of `½ Σ + (λ + δ) I`, found in f64 and kept in f32.
#[derive(Debug)]
pub(crate) struct Preconditioner {
    factor: Mat<f32>,
    classes: usize,
    l2: f64,
}

impl Preconditioner {
    /// Factors the bound for one λ.
    ///
    /// # Errors
    /// [`EmbeddingError::Decomposition`] if the bound is not positive definite in f64.
    pub(crate) fn try_new(
        second_moments: &Mat<f64>,
        l2: f64,
        classes: usize,
    ) -> Result<Self, EmbeddingError> {
        let d = second_moments.nrows();
        let mut factor = Mat::from_fn(d, d, |row, column| {
            0.5 * second_moments[(row, column)] + if row == column { l2 + FLOOR } else { 0.0 }
        });
        let scratch = llt::factor::cholesky_in_place_scratch::<f64>(d, Par::Seq, Spec::default());
        llt::factor::cholesky_in_place(
            factor.as_mut(),
            llt::factor::LltRegularization::default(),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Spec::default(),
        )
        .map_err(|_| EmbeddingError::Decomposition {
            what: "Cholesky factor",
            rows: d,
            columns: d,
        })?;
        Ok(Self {
            factor: Mat::from_fn(d, d, |row, column| factor[(row, column)] as f32),
            classes,
            l2,
        })
    }

    /// Whether it does as well for another λ as one of its own, up to a factor of 2.
    pub(crate) fn serves(&self, l2: f64) -> bool {
        (0.5..=2.0).contains(&((l2 + FLOOR) / (self.l2 + FLOOR)))
    }

    /// Replaces a gradient (weights `[classes, d]`, biases `[classes]`) by the bound's inverse times it.
    pub(crate) fn apply(&self, vector: &mut [f64]) {
        let d = self.factor.nrows();
        let (weights, bias) = vector.split_at_mut(d * self.classes);
        let mut solution: Vec<f32> = weights.iter().map(|x| *x as f32).collect();
        llt::solve::solve_in_place(
            self.factor.as_ref(),
            MatMut::from_column_major_slice_mut(&mut solution, d, self.classes),
            Par::Seq,
            MemStack::new(&mut []),
        );
        for (weight, x) in weights.iter_mut().zip(solution) {
            *weight = f64::from(x);
        }
        for bias in bias {
            *bias *= 2.0;
        }
    }
}
