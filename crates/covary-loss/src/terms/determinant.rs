//! `ln det(I + a ZᵀZ)` and its gradient `2a Z (I + a ZᵀZ)⁻¹`, in f64 by Cholesky.
//!
//! By `det(I + a ZᵀZ) = det(I + a ZZᵀ)` the smaller of the two matrices is factored. Both have eigenvalues from 1 on, whatever the rank
//! of Z.

use burn::tensor::{Tensor, TensorData};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{Mat, MatRef, Par, Spec};

use super::algebra::total;
use covary_score::product;

/// `ln det(I + a ZᵀZ)`; NaN where Z is not finite.
///
/// # Shapes
/// - z: `[n, d]` → `[1]`
pub(super) fn log_det_identity_plus(z: Tensor<2>, a: f64) -> Tensor<1> {
    let [n, d] = z.dims();
    let device = z.device();
    let values = z.clone().detach().into_data().try_to_vec::<f32>();
    let values: Vec<f64> = values
        .expect("losses are f32")
        .into_iter()
        .map(f64::from)
        .collect();
    let rows = MatRef::from_row_major_slice(&values, n, d);
    let wide = if n < d { rows } else { rows.transpose() };
    let Some((value, solved)) = factor(wide, a) else {
        return Tensor::from_data(TensorData::new(vec![f32::NAN], [1]), &device);
    };
    let solved = if n < d {
        solved.as_ref()
    } else {
        solved.transpose()
    };
    let slope: Vec<f32> = (0..n * d)
        .map(|at| (2.0 * a * solved[(at / d, at % d)]) as f32)
        .collect();
    let value = Tensor::<1>::from_data(TensorData::new(vec![value as f32], [1]), &device);
    let slope = Tensor::<2>::from_data(TensorData::new(slope, [n, d]), &device);
    // Linear in Z with the slope found, and 0 at Z: it adds the gradient and nothing to the value.
    let linear = total(z * slope);
    value + linear.clone() - linear.detach()
}

/// `ln det M` and `M⁻¹ X` with `M = I + a X Xᵀ`.
fn factor(x: MatRef<'_, f64>, a: f64) -> Option<(f64, Mat<f64>)> {
    let side = x.nrows();
    let mut matrix = Mat::<f64>::zeros(side, side);
    product(matrix.as_mut(), x, x.transpose());
    for column in 0..side {
        for row in 0..side {
            matrix[(row, column)] = a * matrix[(row, column)] + f64::from(u8::from(row == column));
        }
    }
    let scratch = llt::factor::cholesky_in_place_scratch::<f64>(side, Par::Seq, Spec::default());
    llt::factor::cholesky_in_place(
        matrix.as_mut(),
        llt::factor::LltRegularization::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .ok()?;
    let log_det = 2.0 * (0..side).map(|i| matrix[(i, i)].ln()).sum::<f64>();
    let mut solved = x.to_owned();
    llt::solve::solve_in_place(
        matrix.as_ref(),
        solved.as_mut(),
        Par::Seq,
        MemStack::new(&mut []),
    );
    Some((log_det, solved))
}
