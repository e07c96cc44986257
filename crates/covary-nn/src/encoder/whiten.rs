//! The filters of a whitened stem: they decorrelate patches of 2x2 pixels and give each direction the same size.
//!
//! ```text
//! C = mean of p pᵀ over all patches p of 12 numbers,   C = Σ λ_k v_k v_kᵀ
//! filters: v_k / √(λ_k + 5e-4) in the order of falling λ, then the same with the other sign
//! ```
//! airbench (Jordan 2404.00498), after Page's "How to train your ResNet 8": the moment about zero, as normalised images have means near
//! zero. A filter lies in the lower right of 3x3 taps, so that an output pixel reads itself and its right and lower neighbours, and maps
//! stay even. An eigenvector's sign is free; its largest component is made positive.

use rayon::prelude::*;

use super::plan::{COLOURS, WHITENING_FILTERS};
use crate::NnError;

/// Added to each eigenvalue.
const EPSILON: f64 = 5e-4;
/// Pixels of a patch on each side.
const SIDE: usize = 2;
/// Numbers of a patch.
const PATCH: usize = SIDE * SIDE * COLOURS;
/// Images whose moments are summed together; sums of these are added in order.
const CHUNK: usize = 64;

type Matrix = [[f64; PATCH]; PATCH];

/// The weight `[24, 3, 3, 3]` for images `[n, rows, columns, 3]`.
///
/// # Errors
/// [`NnError::Stem`] without images, or with numbers that are not finite.
pub(crate) fn weight(images: &[f32], [rows, columns]: [usize; 2]) -> Result<Vec<f32>, NnError> {
    let moments = moments(images, [rows, columns]);
    if images.is_empty() {
        return Err(NnError::Stem("there are no images".into()));
    }
    if !moments.iter().flatten().all(|moment| moment.is_finite()) {
        return Err(NnError::Stem("a pixel is not a finite number".into()));
    }
    let (values, vectors) = eigen(moments);
    let mut order: Vec<usize> = (0..PATCH).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut weight = Vec::with_capacity(WHITENING_FILTERS * COLOURS * 9);
    for sign in [1.0, -1.0] {
        for &k in &order {
            // Rounding may leave an eigenvalue of zero slightly negative.
            let scale = sign / (values[k].max(0.0) + EPSILON).sqrt();
            let vector: [f64; PATCH] = std::array::from_fn(|at| vectors[at][k]);
            weight.extend(filter(&vector, scale));
        }
    }
    Ok(weight)
}

/// A patch's direction, scaled, in 3x3 taps of each colour.
fn filter(vector: &[f64; PATCH], scale: f64) -> [f32; COLOURS * 9] {
    let largest = vector.iter().fold(
        0.0_f64,
        |most, v| if v.abs() > most.abs() { *v } else { most },
    );
    let scale = scale * largest.signum();
    let mut taps = [0.0; COLOURS * 9];
    for (at, value) in vector.iter().enumerate() {
        let (pixel, colour) = (at / COLOURS, at % COLOURS);
        let (row, column) = (1 + pixel / SIDE, 1 + pixel % SIDE);
        taps[colour * 9 + row * 3 + column] = (value * scale) as f32;
    }
    taps
}

/// Mean of `p pᵀ` over the patches of all images, which are `[pixel, colour]`.
fn moments(images: &[f32], [rows, columns]: [usize; 2]) -> Matrix {
    let len = rows * columns * COLOURS;
    let sums: Vec<Matrix> = images
        .par_chunks(CHUNK * len)
        .map(|images| {
            let mut sum = [[0.0; PATCH]; PATCH];
            for image in images.chunks_exact(len) {
                add_patches(image, columns, &mut sum);
            }
            sum
        })
        .collect();
    let patches = (images.len() / len * (rows - 1) * (columns - 1)) as f64;
    let mut mean = [[0.0; PATCH]; PATCH];
    for i in 0..PATCH {
        for j in 0..PATCH {
            mean[i][j] = sums.iter().map(|sum| sum[i][j]).sum::<f64>() / patches;
        }
    }
    mean
}

fn add_patches(image: &[f32], columns: usize, sum: &mut Matrix) {
    let row = columns * COLOURS;
    for pair in image.windows(2 * row).step_by(row) {
        let (upper, lower) = pair.split_at(row);
        for at in (0..row - COLOURS).step_by(COLOURS) {
            let span = at..at + SIDE * COLOURS;
            let numbers = upper[span.clone()].iter().chain(&lower[span]);
            let mut patch = [0.0; PATCH];
            patch
                .iter_mut()
                .zip(numbers)
                .for_each(|(to, number)| *to = f64::from(*number));
            for (sum, a) in sum.iter_mut().zip(patch) {
                sum.iter_mut().zip(patch).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }
}

/// Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations (Golub and Van Loan, section 8.5).
fn eigen(mut a: Matrix) -> ([f64; PATCH], Matrix) {
    /// Sweeps over all pairs, far more than twelve rows need.
    const SWEEPS: usize = 50;
    let mut v: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| f64::from(i == j)));
    for _ in 0..SWEEPS {
        for p in 0..PATCH {
            for q in p + 1..PATCH {
                if a[p][q] != 0.0 {
                    rotate(&mut a, &mut v, p, q);
                }
            }
        }
    }
    (std::array::from_fn(|i| a[i][i]), v)
}

/// Turns rows and columns p and q so that `a[p][q]` becomes 0.
fn rotate(a: &mut Matrix, v: &mut Matrix, p: usize, q: usize) {
    let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for matrix in [&mut *a, v] {
        for row in matrix.iter_mut() {
            (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
        }
    }
    let (upper, lower) = (a[p], a[q]);
    for (k, (x, y)) in upper.into_iter().zip(lower).enumerate() {
        (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
    }
    (a[p][q], a[q][p]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Images whose neighbours and colours are alike.
    fn images(count: usize, [rows, columns]: [usize; 2]) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut images = Vec::new();
        for _ in 0..count {
            let (brightness, slope): (f32, f32) = (rng.random(), rng.random());
            for pixel in 0..rows * columns {
                let shade = brightness - 0.5 + slope * (pixel % columns) as f32 / columns as f32;
                let grain: f32 = rng.random();
                images.extend(
                    [0.9, 1.0, 1.1]
                        .map(|colour| colour * shade + 0.2 * grain + 0.1 * rng.random::<f32>()),
                );
            }
        }
        images
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_make_up_the_matrix() {
        let matrix = moments(&images(20, [5, 6]), [5, 6]);
        let (values, vectors) = eigen(matrix);
        for i in 0..PATCH {
            for j in 0..PATCH {
                let made: f64 = (0..PATCH)
                    .map(|k| values[k] * vectors[i][k] * vectors[j][k])
                    .sum();
                let product: f64 = (0..PATCH).map(|k| vectors[k][i] * vectors[k][j]).sum();
                assert!(
                    (made - matrix[i][j]).abs() < 1e-12,
                    "{made} {}",
                    matrix[i][j]
                );
                assert!((product - f64::from(i == j)).abs() < 1e-12, "{product}");
            }
        }
    }
}
