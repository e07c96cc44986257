//! Pieces that several terms share. N rows (images), D columns (dimensions of the embedding).

use burn::tensor::Tensor;

/// Columns minus their means.
pub(super) fn centred(z: Tensor<2>) -> Tensor<2> {
    let mean = z.clone().mean_dim(0);
    z - mean
}

/// Rows of length 1; a row of zeros stays one.
pub(super) fn normalised_rows(z: Tensor<2>) -> Tensor<2> {
    let length = z.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    z / length
}

/// Columns of mean 0 and variance 1 / (1 + ε / var): biased variance, ε = 1e-5 under the root, as BatchNorm without affine.
pub(super) fn standardised(z: Tensor<2>) -> Tensor<2> {
    let centred = centred(z);
    let variance = centred.clone().square().mean_dim(0);
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
    let smaller = if n < d { gram(z) } else { gram(z.transpose()) };
    total(smaller.square())
}

fn gram(z: Tensor<2>) -> Tensor<2> {
    z.clone().matmul(z.transpose())
}

/// `Σ_j (xᵀy)_jj²`.
pub(super) fn squared_diagonal(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    (x * y).sum_dim(0).square().sum()
}
