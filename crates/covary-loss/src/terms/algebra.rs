//! Pieces that several terms share. N rows (images), D columns (dimensions of the embedding).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Divisor of second moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Divisor {
    /// N: biased.
    #[serde(rename = "n")]
    N,
    /// N - 1: unbiased.
    #[serde(rename = "n-1")]
    NMinusOne,
}

impl Divisor {
    /// The divisor for `n` rows.
    pub(super) fn of(self, n: usize) -> f32 {
        match self {
            Self::N => n as f32,
            Self::NMinusOne => (n - 1) as f32,
        }
    }

    /// Its name in formulas.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::N => "N",
            Self::NMinusOne => "(N-1)",
        }
    }
}

/// Sum of matrices, of which there is at least one.
pub(super) fn sum(z: &[Tensor<2>]) -> Tensor<2> {
    let sum = z.iter().cloned().reduce(|a, b| a + b);
    sum.expect("there is a matrix")
}

/// Columns minus their means.
pub(super) fn centred(z: Tensor<2>) -> Tensor<2> {
    let mean = z.clone().mean_dim(0);
    z - mean
}

/// Variance of each column plus ε, `[1, d]`.
pub(super) fn variances(z: Tensor<2>, divisor: Divisor, epsilon: f64) -> Tensor<2> {
    let divisor = divisor.of(z.dims()[0]);
    squares(centred(z), 0) / divisor + epsilon as f32
}

/// Rows of length 1; a row of zeros stays one.
pub(super) fn normalised_rows(z: Tensor<2>) -> Tensor<2> {
    // The bound goes under the root: the root's slope at 0 is infinite.
    let length = squares(z.clone(), 1).clamp_min(1e-24).sqrt();
    z / length
}

/// Columns of mean 0 and variance 1 / (1 + ε / var): biased variance, ε = 1e-5 under the root, as BatchNorm without affine.
pub(super) fn standardised(z: Tensor<2>) -> Tensor<2> {
    let n = z.dims()[0] as f32;
    let centred = centred(z);
    let variance = squares(centred.clone(), 0) / n;
    centred / (variance + 1e-5).sqrt()
}

/// Sum over all entries, row by row first: sums of very many numbers at once depend on the threads.
pub(super) fn total(z: Tensor<2>) -> Tensor<1> {
    z.sum_dim(1).sum()
}

/// Mean over all entries.
pub(super) fn mean(z: Tensor<2>) -> Tensor<1> {
    z.mean_dim(1).mean()
}

/// `Σ_ij (xᵀy)_ij²` for `[n, d]` matrices, by whichever is smaller of the `d x d` product and the two `n x n` Gram matrices:
/// `‖XᵀY‖² = ⟨X Xᵀ, Y Yᵀ⟩`.
pub(super) fn squared_product(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let [n, d] = x.dims();
    if n < d {
        total(gram(x) * gram(y))
    } else {
        total(x.transpose().matmul(y).square())
    }
}

/// [`squared_product`] of a matrix with itself, which needs one product: `‖ZᵀZ‖² = ‖Z Zᵀ‖²`.
pub(super) fn squared_self_product(z: Tensor<2>) -> Tensor<1> {
    let [n, d] = z.dims();
    let z = if n < d { z } else { z.transpose() };
    let product = z.clone().matmul(z.detach().transpose());
    of_both_factors(squares(product, 1).sum())
}

/// What was computed from a product of equal factors, one of them detached, with the gradient of both: either gives half of it, so that of
/// the other is taken twice, which spares a product or two passes over a matrix.
fn of_both_factors<const D: usize>(half: Tensor<D>) -> Tensor<D> {
    half.clone() * 2.0 - half.detach()
}

/// `z zᵀ`.
pub(super) fn gram(z: Tensor<2>) -> Tensor<2> {
    z.clone().matmul(z.transpose())
}

/// Sums of squares along a dimension.
pub(super) fn squares(z: Tensor<2>, dim: usize) -> Tensor<2> {
    of_both_factors((z.clone() * z.detach()).sum_dim(dim))
}

/// A square matrix with zeros on its diagonal.
pub(super) fn off_diagonal(matrix: Tensor<2>) -> Tensor<2> {
    let side = matrix.dims()[0];
    let elsewhere = -Tensor::<2>::eye(side, &matrix.device()) + 1.0;
    matrix * elsewhere
}
