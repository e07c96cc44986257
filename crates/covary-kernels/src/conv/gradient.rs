//! The gradient behind a convolution's BatchNorm, computed once and laid out for both products of the backward pass.
//!
//! `dy = factor (g - offset - (y - mean) slope)`, g masked where there is a mask, rounded to storage. Weight gradients read it as words
//! that pair the same pixel of two images where a word holds two; input gradients read it in frames whose words pair neighbouring
//! channels.

use super::operand::{Operand, words};
use crate::dispatch::elementwise;
use crate::element::{Element, LANES, block_done, blocks, lanes, round, where_positive, widen};
use crate::frame::{Map, clear_border};

/// Vectors over channels that a gradient goes through a BatchNorm with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Back<'a> {
    pub(crate) mean: &'a [f32],
    pub(crate) factor: &'a [f32],
    pub(crate) offset: &'a [f32],
    pub(crate) slope: &'a [f32],
}

/// The gradient before a BatchNorm of as many images as a word holds, or of the one that is left: `[images, pixels, padded channels]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a, T> {
    pub(super) gradient: &'a [T],
    pub(super) mask: Option<&'a [T]>,
    pub(super) y: &'a [T],
}

elementwise! {
    /// Lays out the gradient of one or two images.
    ///
    /// # Shapes
    /// - pair: `[pixels, padded channels]` words
    /// - frames: `[images, height + 2, width + 2, padded channels / PER_WORD]` words, or none where no input gradient is wanted
    fn lay_out<T: Element, O: Operand>(map: Map, incoming: Incoming<'_, T>, back: Back<'_>, pair: &mut [u32], frames: &mut [u32])
        = lay_out_body::<T, O>;
}

#[inline(always)]
fn lay_out_body<T: Element, O: Operand>(
    map: Map,
    incoming: Incoming<'_, T>,
    back: Back<'_>,
    pair: &mut [u32],
    frames: &mut [u32],
) {
    let frame = map.frame_len() / O::PER_WORD;
    for frame in frames.chunks_exact_mut(frame) {
        clear_border(map, map.channels / O::PER_WORD, frame);
    }
    let images = incoming.gradient.len() / map.len();
    let (first_frame, second_frame) = frames.split_at_mut(frame.min(frames.len()));
    let len = map.width * map.channels;
    for row in 0..map.height {
        let inside = map.row_inside(row, map.channels / O::PER_WORD);
        let words = &mut pair[row * len..][..len];
        let first = incoming.part(row * len, len);
        let to = first_frame.get_mut(inside.clone()).unwrap_or_default();
        if images == 2 {
            let second = incoming.part(map.len() + row * len, len);
            let second_to = second_frame.get_mut(inside).unwrap_or_default();
            two_rows::<T, O>(first, second, back, words, to, second_to);
        } else {
            one_row::<T, O>(first, back, words, to);
        }
    }
}

#[inline(always)]
fn one_row<T: Element, O: Operand>(
    row: Incoming<'_, T>,
    back: Back<'_>,
    words_out: &mut [u32],
    frame: &mut [u32],
) {
    let count = back.mean.len() / LANES;
    let mut frame = frame.chunks_exact_mut(LANES / O::PER_WORD);
    let mut channel = 0;
    for (at, out) in words_out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let dy = row.block(at, channel, back);
        *out = words::<O>(&widen(&dy), &[0.0; LANES]);
        if let Some(frame) = frame.next() {
            O::pack(&lanes!(|i| O::round(dy[i].widen())), frame);
        }
        block_done();
        channel += 1;
        if channel == count {
            channel = 0;
        }
    }
}

#[inline(always)]
fn two_rows<T: Element, O: Operand>(
    first: Incoming<'_, T>,
    second: Incoming<'_, T>,
    back: Back<'_>,
    words_out: &mut [u32],
    first_frame: &mut [u32],
    second_frame: &mut [u32],
) {
    let count = back.mean.len() / LANES;
    let mut frames = first_frame
        .chunks_exact_mut(LANES / O::PER_WORD)
        .zip(second_frame.chunks_exact_mut(LANES / O::PER_WORD));
    let mut channel = 0;
    for (at, out) in words_out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let a = first.block(at, channel, back);
        let b = second.block(at, channel, back);
        *out = words::<O>(&widen(&a), &widen(&b));
        if let Some((first, second)) = frames.next() {
            O::pack(&lanes!(|i| O::round(a[i].widen())), first);
            O::pack(&lanes!(|i| O::round(b[i].widen())), second);
        }
        block_done();
        channel += 1;
        if channel == count {
            channel = 0;
        }
    }
}

impl<T: Element> Incoming<'_, T> {
    #[inline(always)]
    fn part(&self, start: usize, len: usize) -> Self {
        Self {
            gradient: &self.gradient[start..][..len],
            mask: self.mask.map(|mask| &mask[start..][..len]),
            y: &self.y[start..][..len],
        }
    }

    /// Block `at` of a row, of the channels from `16 * channel` on.
    #[inline(always)]
    fn block(&self, at: usize, channel: usize, back: Back<'_>) -> [T; LANES] {
        let mut g = widen(&blocks(self.gradient)[at]);
        let y = widen(&blocks(self.y)[at]);
        if let Some(mask) = self.mask {
            let m = widen(&blocks(mask)[at]);
            g = lanes!(|i| where_positive(m[i], g[i]));
        }
        let (mean, factor) = (&blocks(back.mean)[channel], &blocks(back.factor)[channel]);
        let (offset, slope) = (&blocks(back.offset)[channel], &blocks(back.slope)[channel]);
        round(&lanes!(
            |i| factor[i] * (g[i] - offset[i] - (y[i] - mean[i]) * slope[i])
        ))
    }
}
