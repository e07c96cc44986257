//! What happens to embeddings before the loss, and the way of gradients back through it. N rows, D columns.
//!
//! - l2: `ẑ_n = z_n / |z_n|`, a row of zeros stays one.
//! - standardise: `ẑ_d = (z_d - mean) / √(var + ε)`, biased variance, ε = 1e-5, as BatchNorm without affine.
//! - whiten: `Ẑ = Z_c L⁻ᵀ` with `L Lᵀ = Z_cᵀ Z_c / (N - 1) + ε I`, ε = 1e-5 times the mean variance (Ermolov et al. 2021, W-MSE, which
//!   shrinks by ε = 0; its Cholesky factor). It takes more rows than columns.
//!
//! Views are normalised each by their own rows. Sums are in f64.

use faer::linalg::solvers::Llt;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Mat, Par, Side};

use crate::error::LossError;
use crate::method::Normalise;

const EPSILON: f64 = 1e-5;

/// One view's normalised rows, with what the way back needs.
#[derive(Debug)]
pub(super) struct Normalised {
    values: Vec<f32>,
    d: usize,
    tape: Tape,
}

#[derive(Debug)]
enum Tape {
    None,
    /// 1 / |z| of each row.
    Rows(Vec<f64>),
    /// 1 / √(var + ε) of each column.
    Columns(Vec<f64>),
    /// L and the centred rows.
    Factor(Mat<f64>, Mat<f64>),
}

impl Normalised {
    /// # Errors
    /// [`LossError::TooFewRows`] to whiten, or a covariance that has no Cholesky factor.
    pub(super) fn new(how: Normalise, z: &[f32], d: usize) -> Result<Self, LossError> {
        let (values, tape) = match how {
            Normalise::None => (z.to_vec(), Tape::None),
            Normalise::L2 => l2(z, d),
            Normalise::Standardise => standardise(z, d),
            Normalise::Whiten => whiten(z, d)?,
        };
        Ok(Self { values, d, tape })
    }

    /// `[n, d]`.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The gradient of what came in, from that of what came out.
    pub(super) fn backward(&self, mut gradient: Vec<f32>) -> Vec<f32> {
        match &self.tape {
            Tape::None => {}
            Tape::Rows(inverse) => self.l2_backward(inverse, &mut gradient),
            Tape::Columns(inverse) => self.standardise_backward(inverse, &mut gradient),
            Tape::Factor(factor, centred) => self.whiten_backward(factor, centred, &mut gradient),
        }
        gradient
    }

    fn l2_backward(&self, inverse: &[f64], gradient: &mut [f32]) {
        let rows = gradient
            .chunks_exact_mut(self.d)
            .zip(self.values.chunks_exact(self.d));
        for ((g, z), inverse) in rows.zip(inverse) {
            let along: f64 = g.iter().zip(z).map(|(g, z)| f64::from(g * z)).sum();
            for (g, z) in g.iter_mut().zip(z) {
                *g = (inverse * (f64::from(*g) - along * f64::from(*z))) as f32;
            }
        }
    }

    fn standardise_backward(&self, inverse: &[f64], gradient: &mut [f32]) {
        let n = (gradient.len() / self.d) as f64;
        let (mut plain, mut along) = (vec![0.0; self.d], vec![0.0; self.d]);
        for (g, z) in gradient
            .chunks_exact(self.d)
            .zip(self.values.chunks_exact(self.d))
        {
            for c in 0..self.d {
                plain[c] += f64::from(g[c]) / n;
                along[c] += f64::from(g[c] * z[c]) / n;
            }
        }
        for (g, z) in gradient
            .chunks_exact_mut(self.d)
            .zip(self.values.chunks_exact(self.d))
        {
            for c in 0..self.d {
                let g_c = f64::from(g[c]) - plain[c] - f64::from(z[c]) * along[c];
                g[c] = (inverse[c] * g_c) as f32;
            }
        }
    }

    /// With `A = L⁻¹`, `Y = Z_c Aᵀ` and Ȳ the gradient of Y: `L̄ = -tril(Aᵀ Ȳᵀ Y)`, `Σ̄ = sym(Aᵀ Φ(Lᵀ L̄) A)` where Φ is the lower triangle
    /// with half its diagonal (Murray 2016, eq. 9), `Z̄ = Ȳ A + 2 Z_c Σ̄ / (N - 1)`, and, as ε follows the mean variance, its share of tr Σ̄.
    fn whiten_backward(&self, factor: &Mat<f64>, centred: &Mat<f64>, gradient: &mut [f32]) {
        let (d, n) = (self.d, centred.nrows());
        let y = matrix(&self.values, d);
        let cotangent = matrix(gradient, d);
        let mut factor_gradient = cotangent.transpose() * &y;
        solve_upper_triangular_in_place(factor.transpose(), factor_gradient.as_mut(), Par::Seq);
        let lower = Mat::from_fn(d, d, |i, j| {
            if i >= j {
                -factor_gradient[(i, j)]
            } else {
                0.0
            }
        });
        let product = factor.transpose() * &lower;
        let mut phi = Mat::from_fn(d, d, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Greater => product[(i, j)],
            std::cmp::Ordering::Equal => 0.5 * product[(i, j)],
            std::cmp::Ordering::Less => 0.0,
        });
        // Aᵀ Φ A: Φ ← Lᵀ \ Φ, then its transpose the same way.
        solve_upper_triangular_in_place(factor.transpose(), phi.as_mut(), Par::Seq);
        let mut turned = phi.transpose().to_owned();
        solve_upper_triangular_in_place(factor.transpose(), turned.as_mut(), Par::Seq);
        let trace: f64 = (0..d).map(|i| turned[(i, i)]).sum();
        let covariance = Mat::from_fn(d, d, |i, j| {
            let shared = if i == j {
                EPSILON * trace / d as f64
            } else {
                0.0
            };
            0.5 * (turned[(i, j)] + turned[(j, i)]) + shared
        });
        // Ȳ A: solve Lᵀ X = Ȳᵀ.
        let mut direct = cotangent.transpose().to_owned();
        solve_upper_triangular_in_place(factor.transpose(), direct.as_mut(), Par::Seq);
        let through = centred * &covariance;
        let scale = 2.0 / (n - 1) as f64;
        let mut total = Mat::from_fn(n, d, |i, j| direct[(j, i)] + scale * through[(i, j)]);
        for column in 0..d {
            let mean = (0..n).map(|row| total[(row, column)]).sum::<f64>() / n as f64;
            (0..n).for_each(|row| total[(row, column)] -= mean);
        }
        for (row, out) in gradient.chunks_exact_mut(d).enumerate() {
            for (column, out) in out.iter_mut().enumerate() {
                *out = total[(row, column)] as f32;
            }
        }
    }
}

fn matrix(values: &[f32], d: usize) -> Mat<f64> {
    Mat::from_fn(values.len() / d, d, |row, column| {
        f64::from(values[row * d + column])
    })
}

fn l2(z: &[f32], d: usize) -> (Vec<f32>, Tape) {
    let inverse: Vec<f64> = z
        .chunks_exact(d)
        .map(|row| {
            let squares: f64 = row.iter().map(|z| f64::from(*z).powi(2)).sum();
            1.0 / squares.sqrt().max(1e-12)
        })
        .collect();
    let rows = z.chunks_exact(d).zip(&inverse);
    let values = rows
        .flat_map(|(row, inverse)| row.iter().map(move |z| (f64::from(*z) * inverse) as f32))
        .collect();
    (values, Tape::Rows(inverse))
}

fn standardise(z: &[f32], d: usize) -> (Vec<f32>, Tape) {
    let centred = centre(z, d);
    let n = centred.nrows();
    let inverse: Vec<f64> = (0..d)
        .map(|column| {
            let squares: f64 = (0..n).map(|row| centred[(row, column)].powi(2)).sum();
            1.0 / (squares / n as f64 + EPSILON).sqrt()
        })
        .collect();
    let values = (0..n * d)
        .map(|i| (centred[(i / d, i % d)] * inverse[i % d]) as f32)
        .collect();
    (values, Tape::Columns(inverse))
}

fn whiten(z: &[f32], d: usize) -> Result<(Vec<f32>, Tape), LossError> {
    let centred = centre(z, d);
    let n = centred.nrows();
    if n <= d {
        return Err(LossError::Whitening { rows: n, d });
    }
    let mut covariance = centred.transpose() * &centred * faer::Scale(1.0 / (n - 1) as f64);
    let mean = (0..d).map(|i| covariance[(i, i)]).sum::<f64>() / d as f64;
    (0..d).for_each(|i| covariance[(i, i)] += EPSILON * mean);
    let factor = Llt::new(covariance.as_ref(), Side::Lower)
        .map_err(|_| LossError::Whitening { rows: n, d })?
        .L()
        .to_owned();
    let mut white = centred.transpose().to_owned();
    solve_lower_triangular_in_place(factor.as_ref(), white.as_mut(), Par::Seq);
    let values = (0..n * d).map(|i| white[(i % d, i / d)] as f32).collect();
    Ok((values, Tape::Factor(factor, centred)))
}

fn centre(z: &[f32], d: usize) -> Mat<f64> {
    let mut centred = matrix(z, d);
    let n = centred.nrows();
    for column in 0..d {
        let mean = (0..n).map(|row| centred[(row, column)]).sum::<f64>() / n as f64;
        (0..n).for_each(|row| centred[(row, column)] -= mean);
    }
    centred
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, len: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    const ALL: [Normalise; 4] = [
        Normalise::None,
        Normalise::L2,
        Normalise::Standardise,
        Normalise::Whiten,
    ];

    #[test]
    fn gradients_are_slopes() {
        let (n, d) = (9, 4);
        let (z, cotangent) = (numbers(1, n * d), numbers(2, n * d));
        for how in ALL {
            let value = |z: &[f32]| -> f64 {
                let out = Normalised::new(how, z, d).unwrap();
                out.values()
                    .iter()
                    .zip(&cotangent)
                    .map(|(y, c)| f64::from(*y) * f64::from(*c))
                    .sum()
            };
            let gradient = Normalised::new(how, &z, d)
                .unwrap()
                .backward(cotangent.clone());
            for at in 0..n * d {
                let (mut up, mut down) = (z.clone(), z.clone());
                up[at] += 1e-3;
                down[at] -= 1e-3;
                let slope = (value(&up) - value(&down)) / f64::from(up[at] - down[at]);
                let off = (slope - f64::from(gradient[at])).abs();
                assert!(off < 2e-3, "{how:?} {at}: {slope} {}", gradient[at]);
            }
        }
    }

    #[test]
    fn whitened_columns_have_variance_1_and_no_correlation() {
        let (n, d) = (40, 6);
        let out = Normalised::new(Normalise::Whiten, &numbers(3, n * d), d).unwrap();
        let centred = centre(out.values(), d);
        let covariance = centred.transpose() * &centred * faer::Scale(1.0 / (n - 1) as f64);
        for i in 0..d {
            for j in 0..d {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((covariance[(i, j)] - expected).abs() < 1e-3, "{i} {j}");
            }
        }
    }

    #[test]
    fn a_constant_stays_finite_and_few_rows_do_not_whiten() {
        let z = [0.5, -1.0, 2.0].repeat(5);
        for how in [Normalise::None, Normalise::L2, Normalise::Standardise] {
            let out = Normalised::new(how, &z, 3).unwrap();
            assert!(out.values().iter().all(|z| z.is_finite()), "{how:?}");
            let gradient = out.backward(vec![1.0; z.len()]);
            assert!(gradient.iter().all(|g| g.is_finite()), "{how:?}");
        }
        assert!(Normalised::new(Normalise::Whiten, &z[..9], 3).is_err());
    }
}
