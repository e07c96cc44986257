//! The gradient behind a convolution's BatchNorm, computed once and laid out for both products of the backward pass.
//!
//! `dy = factor (g - offset - (y - mean) slope)`, rounded to storage. Weight gradients read it as words
//! that pair the same pixel of two images where a word holds two; input gradients read it in frames whose words pair neighbouring
//! channels.

use super::operand::{Operand, stored};
use crate::Isa;
use crate::dispatch::elementwise;
use crate::element::{Element, LANES, Lanes, Rounding, block_done, blocks, lanes, widen};
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
    pub(super) y: &'a [T],
}

elementwise! {
    /// Lays out the gradient of one or two images.
    ///
    /// # Shapes
    /// - pair: `[padded channels / 16, pixels, 16]` words
    /// - frames: `[images, height + 2, width + 2, padded channels / PER_WORD]` words, or none where no input gradient is wanted
    fn lay_out<T: Element, O: Operand>(map: Map, incoming: Incoming<'_, T>, back: Back<'_>, pair: &mut [u32], frames: &mut [u32])
        = rounding lay_out_body::<T, O>;
}

/// Lays out the gradient of one or two images that went through their BatchNorm before.
pub(super) fn lay_out_plain<O: Operand>(
    isa: Isa,
    map: Map,
    gradient: &[f32],
    pair: &mut [u32],
    frames: &mut [u32],
) {
    let (zeros, ones) = (vec![0.0; map.channels], vec![1.0; map.channels]);
    let unchanged = Back {
        mean: &zeros,
        factor: &ones,
        offset: &zeros,
        slope: &zeros,
    };
    let incoming = Incoming {
        gradient,
        y: gradient,
    };
    lay_out::<f32, O>(isa, map, incoming, unchanged, pair, frames);
}

#[inline(always)]
fn lay_out_body<T: Element, O: Operand>(
    rounding: Rounding,
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
    let two = incoming.gradient.len() > map.len();
    let (first_frame, second_frame) = frames.split_at_mut(frame.min(frames.len()));
    let len = map.width * map.channels;
    for (block, pair) in pair.chunks_exact_mut(map.pixels() * LANES).enumerate() {
        let channels = Channels::new(back, block);
        for (row, words) in pair.chunks_exact_mut(map.width * LANES).enumerate() {
            let inside = map.row_inside(row, map.channels / O::PER_WORD);
            let words = words.as_chunks_mut::<LANES>().0;
            let mut first = Row {
                incoming: incoming.part(row * len, len),
                frame: first_frame.get_mut(inside.clone()).unwrap_or_default(),
            };
            let mut second = two.then(|| Row {
                incoming: incoming.part(map.len() + row * len, len),
                frame: second_frame.get_mut(inside).unwrap_or_default(),
            });
            lay_out_row::<T, O>(rounding, &mut first, second.as_mut(), &channels, words);
        }
    }
}

/// A row of an image, and of its frame where that is wanted.
struct Row<'a, T> {
    incoming: Incoming<'a, T>,
    frame: &'a mut [u32],
}

#[inline(always)]
fn lay_out_row<T: Element, O: Operand>(
    rounding: Rounding,
    first: &mut Row<'_, T>,
    mut second: Option<&mut Row<'_, T>>,
    channels: &Channels<'_>,
    words_out: &mut [[u32; LANES]],
) {
    for (column, out) in words_out.iter_mut().enumerate() {
        let a = stored::<T, O>(rounding, &first.incoming.block(column, channels));
        put_frame::<O>(rounding, &a, channels.at(column), first.frame);
        let mut b = [0.0; LANES];
        if let Some(second) = &mut second {
            b = stored::<T, O>(rounding, &second.incoming.block(column, channels));
            put_frame::<O>(rounding, &b, channels.at(column), second.frame);
        }
        *out = O::words(rounding, &a, &b);
        block_done();
    }
}

/// Writes block `at` of a row of a frame that is wanted.
#[inline(always)]
fn put_frame<O: Operand>(rounding: Rounding, dy: &Lanes, at: usize, row: &mut [u32]) {
    if let Some(to) = O::blocks_mut(row).get_mut(at) {
        *to = O::pack(&O::round_block(rounding, dy));
    }
}

/// One block of the channels.
pub(super) struct Channels<'a> {
    /// Which, of how many.
    block: usize,
    count: usize,
    mean: &'a Lanes,
    factor: &'a Lanes,
    offset: &'a Lanes,
    slope: &'a Lanes,
}

impl<'a> Channels<'a> {
    #[inline(always)]
    pub(super) fn new(back: Back<'a>, block: usize) -> Self {
        Self {
            block,
            count: back.mean.len() / LANES,
            mean: &blocks(back.mean)[block],
            factor: &blocks(back.factor)[block],
            offset: &blocks(back.offset)[block],
            slope: &blocks(back.slope)[block],
        }
    }

    /// The block of a pixel in its row.
    #[inline(always)]
    pub(super) fn at(&self, column: usize) -> usize {
        column * self.count + self.block
    }
}

impl<T: Element> Incoming<'_, T> {
    #[inline(always)]
    pub(super) fn part(&self, start: usize, len: usize) -> Self {
        Self {
            gradient: &self.gradient[start..][..len],
            y: &self.y[start..][..len],
        }
    }

    /// The gradient of a pixel of a row.
    #[inline(always)]
    pub(super) fn block(&self, column: usize, channels: &Channels<'_>) -> Lanes {
        let at = channels.at(column);
        let (g, y) = (
            widen(&blocks(self.gradient)[at]),
            widen(&blocks(self.y)[at]),
        );
        let Channels {
            mean,
            factor,
            offset,
            slope,
            ..
        } = channels;
        lanes!(|i| factor[i] * (g[i] - offset[i] - (y[i] - mean[i]) * slope[i]))
    }
}
