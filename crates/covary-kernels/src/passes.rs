//! The loops over pixels between products: rounding and statistics of outputs, the end of a residual block, gradients through ReLU and
//! BatchNorm. All slices are `[pixels, padded channels]`; sums are `[2, padded channels]` for one image.

use crate::dispatch::elementwise;
use crate::element::{
    Element, LANES, Lanes, Rounding, block_done, blocks, blocks_mut, lanes, where_positive, widen,
};
use crate::frame::Affine;

/// Partial sums that run side by side, so that additions do not wait for each other.
const INTERLEAVED: usize = 4;

/// Runs a block for every pixel with the slot of its partial sums. Slots are constants of an unrolled loop, so that sums stay in
/// registers.
macro_rules! interleaved {
    ($pixels:expr, |$pixel:ident, $slot:ident| $body:block) => {
        let whole = $pixels / INTERLEAVED * INTERLEAVED;
        for first in (0..whole).step_by(INTERLEAVED) {
            for $slot in 0..INTERLEAVED {
                let $pixel = first + $slot;
                $body
                block_done();
            }
        }
        for $pixel in whole..$pixels {
            let $slot = 0;
            $body
        }
    };
}

#[inline(always)]
fn zip<const N: usize>(sums: [Lanes; N]) -> Lanes {
    lanes!(|i| {
        let mut total = 0.0;
        for sum in &sums {
            total += sum[i];
        }
        total
    })
}

elementwise! {
    /// Rounds an image's output to storage, and takes the sum of what is stored and its sum of squared deviations from its mean.
    fn finish_output<T: Element>(channels: usize, output: &[f32], store: &mut [T], moments: &mut [f32]) = rounding finish_output_body::<T>;
}

#[inline(always)]
fn finish_output_body<T: Element>(
    rounding: Rounding,
    channels: usize,
    output: &[f32],
    store: &mut [T],
    moments: &mut [f32],
) {
    let count = channels / LANES;
    let pixels = output.len() / channels;
    let output = blocks(output);
    let store = blocks_mut(store);
    let (sums, deviations) = moments.split_at_mut(channels);
    for block in 0..count {
        // Deviations from a value near the mean, as from any other, but for what rounds: `Σ (v - mean)² = Σ d² - (Σ d)² / n`.
        let near = widen(&T::round_block(rounding, &output[block]));
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        let mut squares = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let at = pixel * count + block;
            let rounded = T::round_block(rounding, &output[at]);
            let value = widen(&rounded);
            store[at] = rounded;
            for i in 0..LANES {
                let deviation = value[i] - near[i];
                acc[slot][i] += deviation;
                squares[slot][i] += deviation * deviation;
            }
        });
        let (sum, square) = (zip(acc), zip(squares));
        let n = pixels as f32;
        blocks_mut(sums)[block] = lanes!(|i| sum[i] + n * near[i]);
        blocks_mut(deviations)[block] = lanes!(|i| (square[i] - sum[i] * sum[i] / n).max(0.0));
    }
}

elementwise! {
    /// `relu(affine(y))`, stored.
    fn activate<Y: Element, T: Element>(y: &[Y], affine: Affine<'_>, out: &mut [T]) = rounding activate_body::<Y, T>;
}

#[inline(always)]
fn activate_body<Y: Element, T: Element>(
    rounding: Rounding,
    y: &[Y],
    affine: Affine<'_>,
    out: &mut [T],
) {
    let channels = affine.scale.len();
    for (y, out) in y.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        let vectors = blocks(affine.scale).iter().zip(blocks(affine.shift));
        for ((y, out), (scale, shift)) in blocks(y).iter().zip(blocks_mut(out)).zip(vectors) {
            let y = widen(y);
            let value: Lanes = lanes!(|i| (y[i] * scale[i] + shift[i]).max(0.0));
            *out = T::round_block(rounding, &value);
            block_done();
        }
    }
}

elementwise! {
    /// `relu(affine(y) + shortcut)`, where the shortcut has its own affine in a projection.
    fn join<Y: Element, S: Element, T: Element>(y: &[Y], affine: Affine<'_>, shortcut: &[S], projection: Option<Affine<'_>>, out: &mut [T])
        = rounding join_body::<Y, S, T>;
}

#[inline(always)]
fn join_body<Y: Element, S: Element, T: Element>(
    rounding: Rounding,
    y: &[Y],
    affine: Affine<'_>,
    shortcut: &[S],
    projection: Option<Affine<'_>>,
    out: &mut [T],
) {
    let channels = affine.scale.len();
    let pixels = y
        .chunks_exact(channels)
        .zip(shortcut.chunks_exact(channels))
        .zip(out.chunks_exact_mut(channels));
    for ((y, shortcut), out) in pixels {
        for (block, ((y, shortcut), out)) in blocks(y)
            .iter()
            .zip(blocks(shortcut))
            .zip(blocks_mut(out))
            .enumerate()
        {
            let (y, mut s) = (widen(y), widen(shortcut));
            if let Some(projection) = projection {
                let (scale, shift) = (
                    &blocks(projection.scale)[block],
                    &blocks(projection.shift)[block],
                );
                s = lanes!(|i| s[i] * scale[i] + shift[i]);
            }
            let (scale, shift) = (&blocks(affine.scale)[block], &blocks(affine.shift)[block]);
            let value: Lanes = lanes!(|i| (y[i] * scale[i] + shift[i] + s[i]).max(0.0));
            *out = T::round_block(rounding, &value);
            block_done();
        }
    }
}

elementwise! {
    /// `Σ g` and `Σ g (y - mean)` of one image.
    fn gradient_sums<T: Element>(gradient: &[T], y: &[T], mean: &[f32], sums: &mut [f32]) = gradient_sums_body::<T>;
}

#[inline(always)]
fn gradient_sums_body<T: Element>(gradient: &[T], y: &[T], mean: &[f32], sums: &mut [f32]) {
    let channels = mean.len();
    let count = channels / LANES;
    let pixels = gradient.len() / channels;
    let (gradient, y) = (blocks(gradient), blocks(y));
    let (plain, products) = sums.split_at_mut(channels);
    for block in 0..count {
        let mean = &blocks(mean)[block];
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        let mut product = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let at = pixel * count + block;
            let (g, y) = (widen(&gradient[at]), widen(&y[at]));
            for i in 0..LANES {
                acc[slot][i] += g[i];
                product[slot][i] += g[i] * (y[i] - mean[i]);
            }
        });
        blocks_mut(plain)[block] = zip(acc);
        blocks_mut(products)[block] = zip(product);
    }
}

/// Where a ReLU was positive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Relu<'a, T> {
    /// Where its output, which was kept, is.
    Output(&'a [T]),
    /// Where the BatchNorm before it is.
    Of(Affine<'a>),
}

impl<T> Relu<'_, T> {
    pub(crate) fn part(&self, span: std::ops::Range<usize>) -> Self {
        match *self {
            Self::Output(output) => Self::Output(&output[span]),
            Self::Of(affine) => Self::Of(affine),
        }
    }
}

elementwise! {
    /// The gradient behind a ReLU, of an image, with that of an identity shortcut: stored where the ReLU was positive, with `Σ g` and
    /// `Σ g (y - mean)` of what is stored.
    fn relu_gradient<T: Element>(
        gradient: &[f32], shortcut: Option<&[T]>, relu: Relu<'_, T>, y: &[T], mean: &[f32], store: &mut [T], sums: &mut [f32]
    ) = rounding relu_gradient_body::<T>;
}

#[inline(always)]
fn relu_gradient_body<T: Element>(
    rounding: Rounding,
    gradient: &[f32],
    shortcut: Option<&[T]>,
    relu: Relu<'_, T>,
    y: &[T],
    mean: &[f32],
    store: &mut [T],
    sums: &mut [f32],
) {
    let channels = mean.len();
    let count = channels / LANES;
    let pixels = gradient.len() / channels;
    let (gradient, y, store) = (blocks(gradient), blocks(y), blocks_mut(store));
    let (plain, products) = sums.split_at_mut(channels);
    for block in 0..count {
        let mean = &blocks(mean)[block];
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        let mut product = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let at = pixel * count + block;
            let y = widen(&y[at]);
            let mut g: Lanes = gradient[at];
            if let Some(shortcut) = shortcut {
                let shortcut = widen(&blocks(shortcut)[at]);
                g = lanes!(|i| g[i] + shortcut[i]);
            }
            let positive: Lanes = match relu {
                Relu::Output(output) => widen(&blocks(output)[at]),
                Relu::Of(Affine { scale, shift }) => {
                    let (scale, shift) = (&blocks(scale)[block], &blocks(shift)[block]);
                    lanes!(|i| y[i] * scale[i] + shift[i])
                }
            };
            let g = lanes!(|i| where_positive(positive[i], g[i]));
            let rounded = T::round_block(rounding, &g);
            let g = widen(&rounded);
            store[at] = rounded;
            for i in 0..LANES {
                acc[slot][i] += g[i];
                product[slot][i] += g[i] * (y[i] - mean[i]);
            }
        });
        blocks_mut(plain)[block] = zip(acc);
        blocks_mut(products)[block] = zip(product);
    }
}
