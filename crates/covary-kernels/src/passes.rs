//! The loops over pixels between products: rounding and statistics of outputs, the end of a residual block, gradients through ReLU and
//! BatchNorm. All slices are `[pixels, padded channels]`; sums are `[2, padded channels]` for one image.

use crate::dispatch::elementwise;
use crate::element::{
    Element, LANES, Lanes, block_done, blocks, blocks_mut, lanes, round, where_positive, widen,
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
    fn finish_output<T: Element>(channels: usize, output: &[f32], store: &mut [T], moments: &mut [f32]) = finish_output_body::<T>;
}

#[inline(always)]
fn finish_output_body<T: Element>(
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
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let at = pixel * count + block;
            let rounded = round::<T>(&output[at]);
            let value = widen(&rounded);
            store[at] = rounded;
            for i in 0..LANES {
                acc[slot][i] += value[i];
            }
        });
        let sum = zip(acc);
        blocks_mut(sums)[block] = sum;
        let mean: Lanes = lanes!(|i| sum[i] / pixels as f32);
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let value = widen(&store[pixel * count + block]);
            for i in 0..LANES {
                let deviation = value[i] - mean[i];
                acc[slot][i] += deviation * deviation;
            }
        });
        blocks_mut(deviations)[block] = zip(acc);
    }
}

elementwise! {
    /// `relu(affine(y))`, stored.
    fn activate<Y: Element, T: Element>(y: &[Y], affine: Affine<'_>, out: &mut [T]) = activate_body::<Y, T>;
}

#[inline(always)]
fn activate_body<Y: Element, T: Element>(y: &[Y], affine: Affine<'_>, out: &mut [T]) {
    let channels = affine.scale.len();
    for (y, out) in y.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        let vectors = blocks(affine.scale).iter().zip(blocks(affine.shift));
        for ((y, out), (scale, shift)) in blocks(y).iter().zip(blocks_mut(out)).zip(vectors) {
            let y = widen(y);
            let value: Lanes = lanes!(|i| (y[i] * scale[i] + shift[i]).max(0.0));
            *out = round(&value);
            block_done();
        }
    }
}

elementwise! {
    /// `relu(affine(y) + shortcut)`, where the shortcut has its own affine in a projection.
    fn join<Y: Element, S: Element, T: Element>(y: &[Y], affine: Affine<'_>, shortcut: &[S], projection: Option<Affine<'_>>, out: &mut [T])
        = join_body::<Y, S, T>;
}

#[inline(always)]
fn join_body<Y: Element, S: Element, T: Element>(
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
            *out = round(&value);
            block_done();
        }
    }
}

elementwise! {
    /// `Σ g` and `Σ g (y - mean)` of one image, where g is the gradient behind a ReLU whose output was `mask`.
    fn gradient_sums<T: Element>(gradient: &[T], mask: &[T], y: &[T], mean: &[f32], sums: &mut [f32]) = gradient_sums_body::<T>;
}

#[inline(always)]
fn gradient_sums_body<T: Element>(
    gradient: &[T],
    mask: &[T],
    y: &[T],
    mean: &[f32],
    sums: &mut [f32],
) {
    let channels = mean.len();
    let count = channels / LANES;
    let pixels = gradient.len() / channels;
    let (gradient, mask, y) = (blocks(gradient), blocks(mask), blocks(y));
    let (plain, products) = sums.split_at_mut(channels);
    for block in 0..count {
        let mean = &blocks(mean)[block];
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        let mut product = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let at = pixel * count + block;
            let (g, m, y) = (widen(&gradient[at]), widen(&mask[at]), widen(&y[at]));
            for i in 0..LANES {
                let g = where_positive(m[i], g[i]);
                acc[slot][i] += g;
                product[slot][i] += g * (y[i] - mean[i]);
            }
        });
        blocks_mut(plain)[block] = zip(acc);
        blocks_mut(products)[block] = zip(product);
    }
}

elementwise! {
    /// The gradient before a BatchNorm's ReLU, stored, with `Σ g` and `Σ g (y - mean)` of the image.
    fn relu_gradient<T: Element>(gradient: &[f32], y: &[T], affine: Affine<'_>, mean: &[f32], store: &mut [T], sums: &mut [f32])
        = relu_gradient_body::<T>;
}

#[inline(always)]
fn relu_gradient_body<T: Element>(
    gradient: &[f32],
    y: &[T],
    affine: Affine<'_>,
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
        let (mean, scale, shift) = (
            &blocks(mean)[block],
            &blocks(affine.scale)[block],
            &blocks(affine.shift)[block],
        );
        let mut acc = [[0.0; LANES]; INTERLEAVED];
        let mut product = [[0.0; LANES]; INTERLEAVED];
        interleaved!(pixels, |pixel, slot| {
            let at = pixel * count + block;
            let (y, gradient) = (widen(&y[at]), &gradient[at]);
            let mut g: Lanes = *gradient;
            for i in 0..LANES {
                g[i] = where_positive(y[i] * scale[i] + shift[i], g[i]);
            }
            let rounded = round::<T>(&g);
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

elementwise! {
    /// The gradient of a block's input, stored: that of its convolutions, and through an identity shortcut the block's own gradient
    /// where its output was positive.
    fn input_gradient<T: Element>(gradient: &[f32], shortcut: Option<(&[T], &[T])>, store: &mut [T]) = input_gradient_body::<T>;
}

#[inline(always)]
fn input_gradient_body<T: Element>(
    gradient: &[f32],
    shortcut: Option<(&[T], &[T])>,
    store: &mut [T],
) {
    match shortcut {
        None => {
            for (g, store) in blocks(gradient).iter().zip(blocks_mut(store)) {
                *store = round(g);
                block_done();
            }
        }
        Some((outer, mask)) => {
            let blocks = blocks(gradient)
                .iter()
                .zip(blocks(outer))
                .zip(blocks(mask))
                .zip(blocks_mut(store));
            for (((g, outer), mask), store) in blocks {
                let (outer, mask) = (widen(outer), widen(mask));
                let value: Lanes = lanes!(|i| g[i] + where_positive(mask[i], outer[i]));
                *store = round(&value);
                block_done();
            }
        }
    }
}
