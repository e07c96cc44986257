//! A convolution over a batch with what surrounds it: BatchNorm and ReLU of its input while images are loaded, statistics of its output
//! while it is stored.
//!
//! Images go through in groups that fit a core's cache; groups are dealt to threads.

use std::cell::RefCell;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::geometry::{ConvGeometry, Walk};
use super::operand::Operand;
use super::panel::{Direction, Panel};
use super::product::{Extent, product};
use crate::Isa;
use crate::element::{Element, LANES, padded};
use crate::frame::{Affine, Map, load_frame};
use crate::passes;

/// Bytes that the frames and outputs of a group may take.
const GROUP_BYTES: usize = 512 << 10;
/// Chunks that a batch's weight gradients are summed in: many where their sums are few, so that threads end together. The most bytes
/// that all sums may take, and those that more than the fewest chunks may.
const CHUNKS: [usize; 2] = [8, 32];
const CHUNK_BYTES: usize = 48 << 20;
const MANY_CHUNKS_BYTES: usize = 2 << 20;

/// A convolution with weights packed for the tiles; activations are stored as T, tiles multiply O.
#[derive(Debug)]
pub(crate) struct ConvLayer<T, O> {
    pub(super) geometry: ConvGeometry,
    forward_walk: [Walk; 1],
    forward_panel: [Panel; 1],
    pub(super) backward_walks: Vec<Walk>,
    pub(super) backward_panels: Vec<Panel>,
    types: PhantomData<(T, O)>,
}

/// Buffers of one thread, kept between calls.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) frames: Vec<u32>,
    pub(super) pairs: Vec<u32>,
    pub(super) gradient_pairs: Vec<u32>,
    pub(super) output: Vec<f32>,
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

pub(crate) fn sized<N: Copy + Default>(buffer: &mut Vec<N>, len: usize) -> &mut [N] {
    if buffer.len() < len {
        buffer.resize(len, N::default());
    }
    &mut buffer[..len]
}

impl<T: Element, O: Operand> ConvLayer<T, O> {
    pub(crate) fn new(geometry: ConvGeometry) -> Self {
        let backward_walks = geometry.input_gradient_walks();
        Self {
            geometry,
            forward_walk: [geometry.forward_walk()],
            forward_panel: [Panel::default()],
            backward_panels: vec![Panel::default(); backward_walks.len()],
            backward_walks,
            types: PhantomData,
        }
    }

    pub(crate) fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Packs `[c_out, c_in, k, k]`; needed once after every change of the weight.
    pub(crate) fn pack(&mut self, weight: &[f32], backward: bool) {
        self.forward_panel[0].pack::<T, O>(
            &self.geometry,
            &self.forward_walk[0],
            Direction::Forward,
            weight,
        );
        if backward {
            for (walk, panel) in self.backward_walks.iter().zip(&mut self.backward_panels) {
                panel.pack::<T, O>(&self.geometry, walk, Direction::InputGradient, weight);
            }
        }
    }

    pub(crate) fn in_map(&self) -> Map {
        Map {
            height: self.geometry.height,
            width: self.geometry.width,
            channels: padded(self.geometry.c_in),
        }
    }

    pub(crate) fn out_map(&self) -> Map {
        let (height, width) = (self.geometry.out_height(), self.geometry.out_width());
        Map {
            height,
            width,
            channels: padded(self.geometry.c_out),
        }
    }

    fn forward_extent(&self) -> Extent {
        Extent {
            frame: self.in_map().frame_len(),
            channels: padded(self.geometry.c_in),
            real_channels: self.geometry.c_in,
            out_pixels: self.geometry.out_pixels(),
            out_channels: padded(self.geometry.c_out),
        }
    }

    pub(super) fn backward_extent(&self) -> Extent {
        Extent {
            frame: self.out_map().frame_len(),
            channels: padded(self.geometry.c_out),
            real_channels: self.geometry.c_out,
            out_pixels: self.geometry.in_pixels(),
            out_channels: padded(self.geometry.c_in),
        }
    }

    /// Images that go through together; even, so that bf16 pairs do not cross groups.
    pub(crate) fn group(&self) -> usize {
        let (input, output) = (self.in_map(), self.out_map());
        let bytes = 4
            * (input.frame_len().max(output.frame_len()) / O::PER_WORD
                + input.len().max(output.len()));
        (GROUP_BYTES / bytes).clamp(2, 16) & !1
    }

    /// Images of a chunk of weight gradients.
    pub(super) fn chunk(&self, images: usize) -> usize {
        let bytes = 4 * self.sums_len();
        let most = (MANY_CHUNKS_BYTES / bytes).clamp(CHUNKS[0], CHUNKS[1]);
        let chunks = (CHUNK_BYTES / bytes).clamp(2, most);
        images.div_ceil(chunks).next_multiple_of(2)
    }

    pub(super) fn sums_len(&self) -> usize {
        self.geometry.taps() * padded(self.geometry.c_in) * padded(self.geometry.c_out)
    }

    /// `y = conv(x)` or `conv(relu(affine(x)))`, with the moments of each image of y.
    ///
    /// # Shapes
    /// - x: `[images, height, width, padded c_in]`
    /// - y: `[images, out_height, out_width, padded c_out]`
    /// - moments: `[images, 2, padded c_out]`
    pub(crate) fn forward(
        &self,
        isa: Isa,
        x: &[T],
        affine: Option<Affine<'_>>,
        y: &mut [T],
        moments: &mut [f32],
    ) {
        let (input, output, group) = (self.in_map(), self.out_map(), self.group());
        let groups = x
            .par_chunks(group * input.len())
            .zip(y.par_chunks_mut(group * output.len()))
            .zip(moments.par_chunks_mut(group * 2 * output.channels));
        groups.for_each(|((x, y), moments)| {
            SCRATCH.with_borrow_mut(|scratch| {
                let images = x.len() / input.len();
                let frame = input.frame_len() / O::PER_WORD;
                let frames = sized(&mut scratch.frames, images * frame);
                for (x, frame) in x
                    .chunks_exact(input.len())
                    .zip(frames.chunks_exact_mut(frame))
                {
                    load_frame::<T, O>(isa, input, x, affine, frame);
                }
                let out = sized(&mut scratch.output, images * output.len());
                self.products(isa, frames, out);
                let images = out
                    .chunks_exact(output.len())
                    .zip(y.chunks_exact_mut(output.len()));
                for ((out, y), moments) in images.zip(moments.chunks_exact_mut(2 * output.channels))
                {
                    passes::finish_output::<T>(isa, output.channels, out, y, moments);
                }
            });
        });
    }

    /// The convolution of images in frames, in f32.
    ///
    /// # Shapes
    /// - frames: `[images, frame]` words
    /// - out: `[images, out_height, out_width, padded c_out]`
    pub(crate) fn products(&self, isa: Isa, frames: &[u32], out: &mut [f32]) {
        let (walk, panel) = (&self.forward_walk, &self.forward_panel);
        let extent = self.forward_extent();
        product::<O>(isa, walk, panel, &extent, frames, out, false);
    }

    /// Adds the summed weight gradient of a backward pass to `[c_out, c_in, k, k]`.
    pub(crate) fn add_weight_gradient(&self, sums: &[f32], gradient: &mut [f32]) {
        let (taps, c_in) = (self.geometry.taps(), self.geometry.c_in);
        let (c_in_padded, c_out_padded) = (padded(c_in), padded(self.geometry.c_out));
        gradient
            .par_chunks_mut(LANES * c_in * taps)
            .enumerate()
            .for_each(|(block, gradient)| {
                // Taps lie side by side in what is written.
                for ci in 0..c_in {
                    for tap in 0..taps {
                        let at = (tap * c_in_padded + ci) * c_out_padded + block * LANES;
                        let mut total = [0.0_f32; LANES];
                        for chunk in sums.chunks_exact(self.sums_len()) {
                            total
                                .iter_mut()
                                .zip(&chunk[at..at + LANES])
                                .for_each(|(t, part)| *t += part);
                        }
                        for (gradient, total) in gradient.chunks_exact_mut(c_in * taps).zip(total) {
                            gradient[ci * taps + tap] += total;
                        }
                    }
                }
            });
    }
}
