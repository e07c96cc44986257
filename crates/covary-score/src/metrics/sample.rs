//! A sample of embeddings with what several metrics share, each part computed at most once, in f64.
//!
//! Covariance has divisor n − 1 and its eigenvalues are clamped at 0; singular values are those of the uncentred
//! embeddings. Sums run in fixed chunks, so values do not depend on the number of threads.

use std::sync::OnceLock;

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::{evd, svd};
use faer::{Mat, MatMut, MatRef, Par, Spec};
use rayon::prelude::*;

use crate::embeddings::{EmbeddingError, Embeddings, product};

/// Share of the mean square that variance must exceed for embeddings not to count as constant; rounding equal numbers to
/// f32 leaves at most (2⁻²⁴)² = 3.6e-15.
const CONSTANT: f64 = 1e-14;
const PANEL: usize = 64;

/// Embeddings under measurement. The cost of uniformity grows with the square of the rows, that of the spectra with the
/// cube of the width: [`Embeddings::first`] bounds the rows (5,000 is customary).
#[derive(Debug)]
pub struct Sample<'a> {
    embeddings: Embeddings<'a>,
    second_view: Option<Embeddings<'a>>,
    augmented: Option<(Embeddings<'a>, usize)>,
    unit_rows: OnceLock<Vec<f64>>,
    covariance: OnceLock<Mat<f64>>,
    eigenvalues: OnceLock<Option<Vec<f64>>>,
    singular_values: OnceLock<Option<Vec<f64>>>,
    is_constant: OnceLock<bool>,
}

impl<'a> Sample<'a> {
    /// A sample of one view.
    pub fn new(embeddings: Embeddings<'a>) -> Self {
        Self {
            embeddings,
            second_view: None,
            augmented: None,
            unit_rows: OnceLock::new(),
            covariance: OnceLock::new(),
            eigenvalues: OnceLock::new(),
            singular_values: OnceLock::new(),
            is_constant: OnceLock::new(),
        }
    }

    /// A sample of two views of the same images; metrics of one view use the first.
    ///
    /// # Shapes
    /// - first, second: `[n, d]`
    ///
    /// # Errors
    /// [`EmbeddingError::WidthMismatch`] or [`EmbeddingError::CountMismatch`] if the shapes differ.
    pub fn try_from_views(
        first: Embeddings<'a>,
        second: Embeddings<'a>,
    ) -> Result<Self, EmbeddingError> {
        let (left, right) = (first.dimension(), second.dimension());
        if left != right {
            return Err(EmbeddingError::WidthMismatch { left, right });
        }
        let (left, right) = (first.rows(), second.rows());
        if left != right {
            let what = "second-view rows";
            return Err(EmbeddingError::CountMismatch { what, left, right });
        }
        Ok(Self {
            second_view: Some(second),
            ..Self::new(first)
        })
    }

    /// Adds augmented views: q rows an image, one image after the other.
    ///
    /// # Shapes
    /// - views: `[images * q, d]`
    ///
    /// # Errors
    /// [`EmbeddingError::CountMismatch`] if the rows are no whole groups of q ≥ 2, [`EmbeddingError::TooFewRows`] for fewer than two
    /// images.
    pub fn try_with_augmented(
        mut self,
        views: Embeddings<'a>,
        q: usize,
    ) -> Result<Self, EmbeddingError> {
        if q < 2 || !views.rows().is_multiple_of(q) {
            return Err(EmbeddingError::CountMismatch {
                what: "views an image",
                left: views.rows(),
                right: q,
            });
        }
        if views.rows() / q < 2 {
            return Err(EmbeddingError::TooFewRows {
                rows: views.rows() / q,
                needed: 2,
            });
        }
        self.augmented = Some((views, q));
        Ok(self)
    }

    /// Augmented views and how many an image has, if there are any.
    pub fn augmented(&self) -> Option<(Embeddings<'a>, usize)> {
        self.augmented
    }

    /// The embeddings, of two views the first.
    pub fn embeddings(&self) -> Embeddings<'a> {
        self.embeddings
    }

    /// The second view, if there is one.
    pub fn second_view(&self) -> Option<Embeddings<'a>> {
        self.second_view
    }

    /// Eigenvalues of the covariance, `[d]`, largest first, none negative.
    ///
    /// # Errors
    /// [`EmbeddingError::Decomposition`] if the iteration does not converge.
    pub fn covariance_eigenvalues(&self) -> Result<&[f64], EmbeddingError> {
        let d = self.embeddings.dimension();
        self.eigenvalues
            .get_or_init(|| eigenvalues(self.covariance()))
            .as_deref()
            .ok_or(EmbeddingError::Decomposition {
                what: "eigenvalues",
                rows: d,
                columns: d,
            })
    }

    /// Singular values of the embeddings as they are (not centred), `[min(n, d)]`, largest first.
    ///
    /// # Errors
    /// [`EmbeddingError::Decomposition`] if the iteration does not converge.
    pub fn singular_values(&self) -> Result<&[f64], EmbeddingError> {
        let (rows, columns) = (self.embeddings.rows(), self.embeddings.dimension());
        self.singular_values
            .get_or_init(|| singular_values(self.embeddings))
            .as_deref()
            .ok_or(EmbeddingError::Decomposition {
                what: "singular values",
                rows,
                columns,
            })
    }

    /// Whether all rows are equal but for rounding. Spectral shares are meaningless then.
    pub fn is_constant(&self) -> bool {
        *self.is_constant.get_or_init(|| {
            let variance: f64 = (0..self.embeddings.dimension())
                .map(|column| self.covariance()[(column, column)])
                .sum();
            let squares: f64 = self
                .embeddings
                .values()
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum();
            variance <= CONSTANT * squares / self.embeddings.rows() as f64
        })
    }

    /// Covariance, `[d, d]`, lower triangle.
    pub(super) fn covariance(&self) -> &Mat<f64> {
        self.covariance.get_or_init(|| covariance(self.embeddings))
    }

    /// Rows divided by max(norm, 1e-12), `[n, d]`.
    pub(super) fn unit_rows(&self) -> &[f64] {
        self.unit_rows.get_or_init(|| unit_rows(self.embeddings))
    }
}

/// Rows divided by max(norm, 1e-12) as PyTorch's `normalize` does, `[n, d]`.
pub(super) fn unit_rows(embeddings: Embeddings<'_>) -> Vec<f64> {
    let mut rows: Vec<f64> = embeddings.values().iter().map(|&x| f64::from(x)).collect();
    for row in rows.chunks_exact_mut(embeddings.dimension()) {
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        for x in row {
            *x /= norm;
        }
    }
    rows
}

/// Mean of each column of `[n, d]` values.
pub(super) fn column_means(values: &[f64], dimension: usize) -> Vec<f64> {
    let mut means = vec![0.0; dimension];
    for row in values.chunks_exact(dimension) {
        means.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
    }
    let n = (values.len() / dimension) as f64;
    for mean in &mut means {
        *mean /= n;
    }
    means
}

fn covariance(embeddings: Embeddings<'_>) -> Mat<f64> {
    let (n, d) = (embeddings.rows(), embeddings.dimension());
    let mut centred: Vec<f64> = embeddings.values().iter().map(|&x| f64::from(x)).collect();
    let means = column_means(&centred, d);
    for row in centred.chunks_exact_mut(d) {
        row.iter_mut().zip(&means).for_each(|(x, mean)| *x -= mean);
    }
    let centred = MatRef::from_column_major_slice(&centred, d, n);
    let mut values = vec![0.0; d * d];
    values
        .par_chunks_mut(PANEL * d)
        .enumerate()
        .for_each(|(panel, out)| {
            let (start, width) = (panel * PANEL, out.len() / d);
            let right = centred.subrows(start, width).transpose();
            let out = MatMut::from_column_major_slice_mut(out, d, width);
            product(
                out.subrows_mut(start, d - start),
                centred.subrows(start, d - start),
                right,
            );
        });
    let scale = 1.0 / (n - 1) as f64;
    Mat::from_fn(d, d, |row, column| {
        scale * values[row.min(column) * d + row.max(column)]
    })
}

fn eigenvalues(covariance: &Mat<f64>) -> Option<Vec<f64>> {
    let d = covariance.nrows();
    let mut values = vec![0.0; d];
    let no_vectors = evd::ComputeEigenvectors::No;
    let scratch = evd::self_adjoint_evd_scratch::<f64>(d, no_vectors, Par::Seq, Spec::default());
    evd::self_adjoint_evd(
        covariance.as_ref(),
        DiagMut::from_slice_mut(&mut values),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .ok()?;
    Some(values.iter().rev().map(|value| value.max(0.0)).collect())
}

fn singular_values(embeddings: Embeddings<'_>) -> Option<Vec<f64>> {
    let (n, d) = (embeddings.rows(), embeddings.dimension());
    let matrix = Mat::from_fn(n, d, |row, column| f64::from(embeddings.row(row)[column]));
    let mut values = vec![0.0; n.min(d)];
    let none = svd::ComputeSvdVectors::No;
    let scratch = svd::svd_scratch::<f64>(n, d, none, none, Par::Seq, Spec::default());
    svd::svd(
        matrix.as_ref(),
        DiagMut::from_slice_mut(&mut values),
        None,
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .ok()?;
    Some(values)
}

/// `exp(−Σ p log p)` over the positive `shares`.
pub(super) fn exponential_entropy(shares: impl Iterator<Item = f64>) -> f64 {
    (-shares.filter(|&p| p > 0.0).map(|p| p * p.ln()).sum::<f64>()).exp()
}
