//! Max-pool of 2x2 pixels with stride 2, between a convolution and its BatchNorm, and the way back.
//!
//! ```text
//! out[i, j] = max(x[2i, 2j], x[2i, 2j+1], x[2i+1, 2j], x[2i+1, 2j+1])
//! dx[2i+a, 2j+b] = dout[i, j] where (a, b) is the winner of the window, else 0
//! ```
//! As PyTorch's `MaxPool2d(2)`: of equal numbers the first in the order of rows wins, a NaN wins over numbers, and the last row or
//! column of an odd map is in no window. A winner is stored as `2a + b`. The pool comes before the BatchNorm (as in airbench, Jordan
//! 2404.00498), so that statistics, storage and ReLU work on a quarter of the pixels.

use super::gradient::{Back, Channels, Incoming};
use crate::Isa;
use crate::dispatch::elementwise;
use crate::element::Rounding;
use crate::element::{Element, LANES, Lanes, block_done, blocks, blocks_mut, lanes, widen};
use crate::frame::Map;

/// The map behind a max-pool of `map`.
pub(crate) fn pooled(map: Map) -> Map {
    Map {
        height: map.height / 2,
        width: map.width / 2,
        channels: map.channels,
    }
}

elementwise! {
    /// The maxima of one image's windows, and where each stood.
    ///
    /// # Shapes
    /// - x: `[height, width, channels]` of `map`
    /// - out, winners: `[height / 2, width / 2, channels]`
    fn max_pool(map: Map, x: &[f32], out: &mut [f32], winners: &mut [u8]) = max_pool_body;
}

#[inline(always)]
fn max_pool_body(map: Map, x: &[f32], out: &mut [f32], winners: &mut [u8]) {
    let count = map.channels / LANES;
    let row = map.width * count;
    let pooled_row = map.width / 2 * count;
    let out = blocks_mut(out).chunks_exact_mut(pooled_row);
    let rows = out.zip(blocks_mut(winners).chunks_exact_mut(pooled_row));
    for ((out, winners), x) in rows.zip(blocks(x).chunks_exact(2 * row)) {
        let (upper, lower) = x.split_at(row);
        for (at, (out, winners)) in out.iter_mut().zip(winners).enumerate() {
            let left = 2 * (at / count) * count + at % count;
            let right = left + count;
            let (above, first) = larger(&upper[left], &upper[right]);
            let (below, second) = larger(&lower[left], &lower[right]);
            let (most, side) = larger(&above, &below);
            *out = most;
            *winners = lanes!(|i| (2 * side[i] + choose(side[i], second[i], first[i])) as u8);
            block_done();
        }
    }
}

/// The larger numbers of two blocks, and 1 where they are those of the second: where that is larger, or a NaN.
#[inline(always)]
fn larger(first: &Lanes, second: &Lanes) -> (Lanes, [u32; LANES]) {
    let chosen: [u32; LANES] = lanes!(|i| u32::from((second[i] > first[i]) | second[i].is_nan()));
    let value =
        lanes!(|i| f32::from_bits(choose(chosen[i], second[i].to_bits(), first[i].to_bits())));
    (value, chosen)
}

/// `yes` where `flag` is 1, `no` where it is 0, without a branch.
#[inline(always)]
fn choose(flag: u32, yes: u32, no: u32) -> u32 {
    let mask = flag.wrapping_neg();
    (yes & mask) | (no & !mask)
}

/// The gradient before the BatchNorm and the max-pool of some images, rounded to storage.
///
/// # Shapes
/// - incoming, winners: `[images, height / 2, width / 2, channels]`
/// - out: `[images, height, width, channels]` of `map`
pub(super) fn unpool_images<T: Element>(
    isa: Isa,
    map: Map,
    incoming: Incoming<'_, T>,
    back: Back<'_>,
    winners: &[u8],
    out: &mut [f32],
) {
    let len = pooled(map).len();
    for (image, out) in out.chunks_exact_mut(map.len()).enumerate() {
        let part = incoming.part(image * len, len);
        unpool::<T>(isa, map, part, back, &winners[image * len..][..len], out);
    }
}

elementwise! {
    /// That of one image.
    fn unpool<T: Element>(map: Map, incoming: Incoming<'_, T>, back: Back<'_>, winners: &[u8], out: &mut [f32]) = rounding unpool_body::<T>;
}

#[inline(always)]
fn unpool_body<T: Element>(
    rounding: Rounding,
    map: Map,
    incoming: Incoming<'_, T>,
    back: Back<'_>,
    winners: &[u8],
    out: &mut [f32],
) {
    if !map.height.is_multiple_of(2) || !map.width.is_multiple_of(2) {
        out.fill(0.0);
    }
    let count = map.channels / LANES;
    let row = map.width * count;
    let pooled_row = map.width / 2 * count;
    let rows = blocks_mut(out).chunks_exact_mut(2 * row);
    let rows = rows.zip(blocks(winners).chunks_exact(pooled_row));
    for (index, (out, winners)) in rows.enumerate() {
        let incoming = incoming.part(index * pooled_row * LANES, pooled_row * LANES);
        let (upper, lower) = out.split_at_mut(row);
        for block in 0..count {
            let channels = Channels::new(back, block);
            for column in 0..map.width / 2 {
                let gradient = incoming.block(column, &channels);
                let gradient = widen(&T::round_block(rounding, &gradient));
                let winner = &winners[column * count + block];
                let left = 2 * column * count + block;
                let right = left + count;
                upper[left] = where_winner(0, winner, &gradient);
                upper[right] = where_winner(1, winner, &gradient);
                lower[left] = where_winner(2, winner, &gradient);
                lower[right] = where_winner(3, winner, &gradient);
                block_done();
            }
        }
    }
}

/// The gradient where the winner stood in this place of its window, else 0.
#[inline(always)]
fn where_winner(place: u8, winner: &[u8; LANES], gradient: &Lanes) -> Lanes {
    lanes!(|i| f32::from_bits(gradient[i].to_bits() & u32::from(winner[i] == place).wrapping_neg()))
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::conv::battery::numbers;

    /// The definition, window by window.
    fn reference(map: Map, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
        let (mut out, mut winners) = (Vec::new(), Vec::new());
        for row in 0..map.height / 2 {
            for column in 0..map.width / 2 {
                for channel in 0..map.channels {
                    let mut best = (f32::NEG_INFINITY, 0);
                    for place in 0..4 {
                        let pixel = (2 * row + place / 2) * map.width + 2 * column + place % 2;
                        let value = x[pixel * map.channels + channel];
                        if value > best.0 || value.is_nan() {
                            best = (value, place as u8);
                        }
                    }
                    out.push(best.0);
                    winners.push(best.1);
                }
            }
        }
        (out, winners)
    }

    /// The gradient of each pixel, which looks for its window.
    fn reference_gradient<T: Element>(
        map: Map,
        [gradient, y]: [&[T]; 2],
        [mean, factor, offset, slope]: [&[f32]; 4],
        winners: &[u8],
    ) -> Vec<f32> {
        let (rows, columns, channels) = (map.height / 2, map.width / 2, map.channels);
        let mut out = vec![0.0; map.len()];
        for (at, out) in out.iter_mut().enumerate() {
            let (pixel, c) = (at / channels, at % channels);
            let (row, column) = (pixel / map.width, pixel % map.width);
            if row / 2 < rows && column / 2 < columns {
                let window = (row / 2 * columns + column / 2) * channels + c;
                if usize::from(winners[window]) == row % 2 * 2 + column % 2 {
                    let (g, y) = (gradient[window].widen(), y[window].widen());
                    let before = factor[c] * (g - offset[c] - (y - mean[c]) * slope[c]);
                    *out = T::round(before).widen();
                }
            }
        }
        out
    }

    fn stored<T: Element>(values: &[f32]) -> Vec<T> {
        values.iter().map(|value| T::round(*value)).collect()
    }

    /// Equal bits, but that products may be fused with sums in the one and not in the other.
    fn backward<T: Element>(
        isa: Isa,
        map: Map,
        seed: u64,
        units: f32,
    ) -> Result<(), TestCaseError> {
        let small = pooled(map);
        let [gradient, y] = [1, 2].map(|stream| stored::<T>(&numbers(seed ^ stream, small.len())));
        let vectors = [3, 4, 5, 6].map(|stream| numbers(seed ^ stream, map.channels));
        let [mean, factor, offset, slope] = &vectors;
        let x = numbers(seed, map.len());
        let (_, winners) = reference(map, &x);
        let back = Back {
            mean,
            factor,
            offset,
            slope,
        };
        let incoming = Incoming {
            gradient: &gradient,
            y: &y,
        };
        let mut out = vec![f32::NAN; map.len()];
        unpool_images::<T>(isa, map, incoming, back, &winners, &mut out);
        let expected = reference_gradient(
            map,
            [&gradient, &y],
            [mean, factor, offset, slope],
            &winners,
        );
        for (out, expected) in out.iter().zip(&expected) {
            prop_assert!((out - expected).abs() <= units * 4.0, "{out} {expected}");
            prop_assert_eq!(*expected == 0.0, *out == 0.0);
        }
        Ok(())
    }

    fn maps() -> impl Strategy<Value = Map> {
        (2_usize..10, 2_usize..10, 1_usize..4).prop_map(|(height, width, blocks)| Map {
            height,
            width,
            channels: blocks * LANES,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        /// `numbers` has many zeros, so that windows with equal numbers occur.
        #[test]
        fn maxima_and_winners_are_those_of_the_definition(map in maps(), seed in any::<u64>(), nan in any::<bool>()) {
            let mut x = numbers(seed, map.len());
            if nan {
                x.iter_mut().step_by(7).for_each(|value| *value = f32::NAN);
            }
            let (expected, expected_winners) = reference(map, &x);
            for isa in Isa::available() {
                let len = pooled(map).len();
                let (mut out, mut winners) = (vec![7.0; len], vec![9; len]);
                max_pool(isa, map, &x, &mut out, &mut winners);
                let bits = |values: &[f32]| values.iter().map(|v| if v.is_nan() { 1 } else { v.to_bits() }).collect::<Vec<_>>();
                prop_assert_eq!(bits(&out), bits(&expected), "{}", isa.name());
                if !nan {
                    prop_assert_eq!(&winners, &expected_winners, "{}", isa.name());
                }
            }
        }

        #[test]
        fn gradients_go_to_the_winners_alone(map in maps(), seed in any::<u64>()) {
            for isa in Isa::available() {
                backward::<f32>(isa, map, seed, f32::EPSILON)?;
                backward::<bf16>(isa, map, seed, 1.0 / 128.0)?;
            }
        }
    }
}
