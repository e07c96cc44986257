//! Random directions to look at embeddings from: normal vectors brought to length 1, new ones each step.
//!
//! They depend on seed, step and sizes alone (Box, Muller 1958, on the streams of [`covary_data::rng`]).

use burn::tensor::{Device, Tensor, TensorData};
use covary_data::rng::stream;
use rand::Rng;

/// The image index of these draws, which no image and no other purpose has.
const DIRECTIONS: u64 = u64::MAX - 1;

/// Columns of length 1, `[d, count]`.
pub(super) fn directions(
    seed: u64,
    step: u64,
    [d, count]: [usize; 2],
    device: &Device,
) -> Tensor<2> {
    let mut random = stream(seed, step, DIRECTIONS, 0);
    let mut rows = vec![0.0_f32; count * d];
    for row in rows.chunks_mut(d) {
        for pair in row.chunks_mut(2) {
            // 1 - u is in (0, 1], where the logarithm is finite.
            let [u, v] = [(); 2].map(|()| f64::from(random.next_u32()) / 4_294_967_296.0);
            let radius = (-2.0 * (1.0 - u).ln()).sqrt();
            let (sine, cosine) = (std::f64::consts::TAU * v).sin_cos();
            for (number, coordinate) in pair.iter_mut().zip([cosine, sine]) {
                *number = (radius * coordinate) as f32;
            }
        }
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut()
            .for_each(|v| *v /= length.max(f32::MIN_POSITIVE));
    }
    Tensor::<2>::from_data(TensorData::new(rows, [count, d]), device).transpose()
}
