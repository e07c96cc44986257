//! Images laid into frames: one pixel of zeros on each side, operands of the tiles inside.
//!
//! `relu(scale * y + shift)`, a BatchNorm with its activation, is computed while an image is loaded, so that it is never stored.

use crate::conv::ConvGeometry;
use crate::conv::operand::{Operand, stored};
use crate::dispatch::elementwise;
use crate::element::{Element, LANES, Lanes, Rounding, block_done, blocks, lanes, padded, widen};

/// Height and width of the images in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Padded channels.
    pub(crate) channels: usize,
}

impl Map {
    /// Of a convolution's input.
    pub(crate) fn of_input(geometry: &ConvGeometry) -> Self {
        Self {
            height: geometry.height,
            width: geometry.width,
            channels: padded(geometry.c_in),
        }
    }

    /// Of a convolution's output.
    pub(crate) fn of_output(geometry: &ConvGeometry) -> Self {
        Self {
            height: geometry.out_height(),
            width: geometry.out_width(),
            channels: padded(geometry.c_out),
        }
    }

    pub(crate) fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Numbers of one image.
    pub(crate) fn len(self) -> usize {
        self.pixels() * self.channels
    }

    /// Numbers of one frame.
    pub(crate) fn frame_len(self) -> usize {
        (self.height + 2) * (self.width + 2) * self.channels
    }

    /// Where a row of the image lies in a frame of `pixel` words a pixel.
    #[inline(always)]
    pub(crate) fn row_inside(self, row: usize, pixel: usize) -> std::ops::Range<usize> {
        let start = ((row + 1) * (self.width + 2) + 1) * pixel;
        start..start + self.width * pixel
    }
}

/// Writes the zeros around a frame of `pixel` words a pixel.
#[inline(always)]
pub(crate) fn clear_border(map: Map, pixel: usize, frame: &mut [u32]) {
    let row = (map.width + 2) * pixel;
    frame[..row].fill(0);
    frame[(map.height + 1) * row..][..row].fill(0);
    for row in frame[row..].chunks_exact_mut(row).take(map.height) {
        let len = row.len();
        row[..pixel].fill(0);
        row[len - pixel..].fill(0);
    }
}

/// A BatchNorm as `scale * y + shift`, followed by a ReLU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
}

#[inline(always)]
fn activate(y: &Lanes, scale: &Lanes, shift: &Lanes) -> Lanes {
    lanes!(|i| (y[i] * scale[i] + shift[i]).max(0.0))
}

elementwise! {
    /// Frame words of one image, neighbouring channels paired: `[height + 2, width + 2, channels / PER_WORD]`.
    fn load_frame<T: Element, O: Operand>(map: Map, image: &[T], affine: Option<Affine<'_>>, frame: &mut [u32]) = rounding load_frame_body::<T, O>;
}

#[inline(always)]
fn load_frame_body<T: Element, O: Operand>(
    rounding: Rounding,
    map: Map,
    image: &[T],
    affine: Option<Affine<'_>>,
    frame: &mut [u32],
) {
    let pixel = map.channels / O::PER_WORD;
    clear_border(map, pixel, frame);
    for (row, image) in image.chunks_exact(map.width * map.channels).enumerate() {
        let inside = &mut frame[map.row_inside(row, pixel)];
        match affine {
            None => {
                let words = O::blocks_mut(inside).iter_mut();
                for (block, words) in blocks(image).iter().zip(words) {
                    put_channels::<T, O>(rounding, &widen(block), words);
                }
            }
            Some(Affine { scale, shift }) => {
                let pixels = image
                    .chunks_exact(map.channels)
                    .zip(inside.chunks_exact_mut(pixel));
                for (image, words) in pixels {
                    let channels = blocks(image).iter().zip(blocks(scale)).zip(blocks(shift));
                    for (((block, scale), shift), words) in channels.zip(O::blocks_mut(words)) {
                        let values = activate(&widen(block), scale, shift);
                        put_channels::<T, O>(rounding, &values, words);
                    }
                }
            }
        }
    }
}

/// Rounds to storage and writes one block of channels as words.
#[inline(always)]
fn put_channels<T: Element, O: Operand>(rounding: Rounding, lanes: &Lanes, words: &mut O::Words) {
    let stored = stored::<T, O>(rounding, lanes);
    *words = O::pack(&O::round_block(rounding, &stored));
    block_done();
}

elementwise! {
    /// Frame words for weight gradients, the same pixel of two images paired where a word holds two: a frame for each block of
    /// channels, `[channels / 16, height + 2, width + 2, 16]`. A missing second image is zeros.
    fn load_pair<T: Element, O: Operand>(map: Map, first: &[T], second: Option<&[T]>, affine: Option<Affine<'_>>, frames: &mut [u32])
        = rounding load_pair_body::<T, O>;
}

#[inline(always)]
fn load_pair_body<T: Element, O: Operand>(
    rounding: Rounding,
    map: Map,
    first: &[T],
    second: Option<&[T]>,
    affine: Option<Affine<'_>>,
    frames: &mut [u32],
) {
    let count = map.channels / LANES;
    let len = map.width * map.channels;
    for (block, frame) in frames.chunks_exact_mut(map.frame_len() / count).enumerate() {
        clear_border(map, LANES, frame);
        let affine =
            affine.map(|affine| (&blocks(affine.scale)[block], &blocks(affine.shift)[block]));
        for row in 0..map.height {
            let inside = frame[map.row_inside(row, LANES)].as_chunks_mut::<LANES>().0;
            let first = &blocks(&first[row * len..][..len])[block..];
            let second = second.map(|second| &blocks(&second[row * len..][..len])[block..]);
            pair_row::<T, O>(rounding, count, first, second, affine, inside);
        }
    }
}

/// One block of channels of a row; `count` blocks from pixel to pixel.
#[inline(always)]
fn pair_row<T: Element, O: Operand>(
    rounding: Rounding,
    count: usize,
    first: &[[T; LANES]],
    second: Option<&[[T; LANES]]>,
    affine: Option<(&Lanes, &Lanes)>,
    out: &mut [[u32; LANES]],
) {
    for (column, words_out) in out.iter_mut().enumerate() {
        let mut a = widen(&first[column * count]);
        let mut b = [0.0; LANES];
        if let Some(second) = second {
            b = widen(&second[column * count]);
        }
        if let Some((scale, shift)) = affine {
            a = activate(&a, scale, shift);
            if second.is_some() {
                b = activate(&b, scale, shift);
            }
        }
        let [a, b] = [a, b].map(|lanes| stored::<T, O>(rounding, &lanes));
        *words_out = O::words(rounding, &a, &b);
        block_done();
    }
}
