//! A convolution over a batch with what surrounds it: BatchNorm and ReLU of its input while images are loaded, a max-pool and the
//! statistics of its output while it is stored.
//!
//! Images go through in groups that fit a core's cache; groups are dealt to threads.

use std::cell::RefCell;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::geometry::ConvGeometry;
use super::operand::Operand;
use super::panel::Direction;
use super::pool::{max_pool, pooled};
use super::product::Product;
use super::winograd;
use crate::Isa;
use crate::buffer::sized;
use crate::element::{Element, LANES, Lanes, padded};
use crate::frame::{Affine, Map, load_frame};
use crate::passes;

/// Bytes that the frames and outputs of a group may take.
const GROUP_BYTES: usize = 512 << 10;
/// Images of a group at most.
const MOST_IMAGES: usize = 16;
/// Chunks that a batch's weight gradients are summed in: many where their sums are few, so that threads end together. The most bytes
/// that all sums may take, and those that more than the fewest chunks may.
const CHUNKS: [usize; 2] = [8, 32];
const CHUNK_BYTES: usize = 48 << 20;
const MANY_CHUNKS_BYTES: usize = 2 << 20;

/// A convolution with weights packed for the tiles; activations are stored as T, tiles multiply O.
#[derive(Debug)]
pub(crate) struct ConvLayer<T, O> {
    pub(super) geometry: ConvGeometry,
    forward: Product<O>,
    pub(super) backward: Product<O>,
    pool: bool,
    stored: PhantomData<T>,
}

/// Buffers of one thread, kept between calls.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) frames: Vec<u32>,
    pub(super) pairs: Vec<u32>,
    pub(super) gradient_pairs: Vec<u32>,
    pub(super) output: Vec<f32>,
    pub(super) pooled: Vec<f32>,
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<T: Element, O: Operand> ConvLayer<T, O> {
    pub(crate) fn new(geometry: ConvGeometry) -> Self {
        Self {
            geometry,
            forward: Product::new(geometry, Direction::Forward),
            backward: Product::new(geometry, Direction::InputGradient),
            pool: false,
            stored: PhantomData,
        }
    }

    /// A convolution whose output goes through a max-pool of 2x2 pixels before it is stored; its map has at least two rows and columns.
    pub(crate) fn with_pool(geometry: ConvGeometry) -> Self {
        assert!(
            geometry.out_height().min(geometry.out_width()) >= 2,
            "a max-pool needs a map of at least 2x2 pixels"
        );
        Self {
            pool: true,
            ..Self::new(geometry)
        }
    }

    pub(crate) fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Packs `[c_out, c_in, k, k]`; needed once after every change of the weight.
    pub(crate) fn pack(&mut self, isa: Isa, weight: &[f32], backward: bool) {
        self.forward.pack::<T>(isa, weight);
        if backward {
            self.backward.pack::<T>(isa, weight);
        }
    }

    pub(crate) fn in_map(&self) -> Map {
        Map::of_input(&self.geometry)
    }

    pub(crate) fn out_map(&self) -> Map {
        Map::of_output(&self.geometry)
    }

    /// The map that is stored: the output's, behind the max-pool where there is one.
    pub(crate) fn stored_map(&self) -> Map {
        if self.pool {
            pooled(self.out_map())
        } else {
            self.out_map()
        }
    }

    pub(crate) fn has_pool(&self) -> bool {
        self.pool
    }

    /// Images that go through together; even, so that bf16 pairs do not cross groups.
    pub(crate) fn group(&self) -> usize {
        self.images_in(GROUP_BYTES).min(MOST_IMAGES)
    }

    /// Those of a backward pass: more where the sums of the weight gradient, which every group reads and writes, are larger than
    /// the cache anyway.
    pub(super) fn backward_group(&self) -> usize {
        let bytes = GROUP_BYTES.max(4 * self.sums_len() / 2);
        self.images_in(bytes).min(2 * MOST_IMAGES)
    }

    fn images_in(&self, available: usize) -> usize {
        let (input, output) = (self.in_map(), self.out_map());
        let bytes = 4
            * (input.frame_len().max(output.frame_len()) / O::PER_WORD
                + input.len().max(output.len()));
        (available / bytes).max(2) & !1
    }

    /// Images of a chunk of weight gradients.
    pub(super) fn chunk(&self, images: usize) -> usize {
        let bytes = 4 * self.sums_len();
        let most = (MANY_CHUNKS_BYTES / bytes).clamp(CHUNKS[0], CHUNKS[1]);
        let chunks = (CHUNK_BYTES / bytes).clamp(2, most);
        images.div_ceil(chunks).next_multiple_of(2)
    }

    /// Numbers of a chunk's sums of weight gradients: for each tap, or for each point where they go by tiles.
    pub(super) fn sums_len(&self) -> usize {
        let points = if winograd::fits_weights(&self.geometry) {
            winograd::POINTS
        } else {
            self.geometry.taps()
        };
        points * padded(self.geometry.c_in) * padded(self.geometry.c_out)
    }

    /// `y = conv(x)` or `conv(relu(affine(x)))`, behind the max-pool where there is one, with the moments of each image of y.
    ///
    /// # Shapes
    /// - x: `[images, height, width, padded c_in]`
    /// - y: `[images, rows, columns, padded c_out]` of the stored map
    /// - winners: as y, of a layer with a max-pool; else empty
    /// - moments: `[images, 2, padded c_out]`
    pub(crate) fn forward(
        &self,
        isa: Isa,
        x: &[T],
        affine: Option<Affine<'_>>,
        y: &mut [T],
        winners: &mut [u8],
        moments: &mut [f32],
    ) {
        let (input, stored, group) = (self.in_map(), self.stored_map(), self.group());
        // A layer without a max-pool has an empty part for each group.
        let mut winners = winners.chunks_mut(group * stored.len());
        let groups: Vec<_> = y
            .chunks_mut(group * stored.len())
            .map(|y| (y, winners.next().unwrap_or_default()))
            .collect();
        let groups = x
            .par_chunks(group * input.len())
            .zip(groups)
            .zip(moments.par_chunks_mut(group * 2 * stored.channels));
        groups.for_each(|((x, (y, winners)), moments)| {
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
                let out = sized(&mut scratch.output, images * self.out_map().len());
                self.products(isa, frames, out);
                let pooled = &mut scratch.pooled;
                self.store(isa, out, y, winners, moments, pooled);
            });
        });
    }

    /// Stores the output of some images, behind the max-pool where there is one, and takes its moments.
    fn store(
        &self,
        isa: Isa,
        output: &[f32],
        y: &mut [T],
        winners: &mut [u8],
        moments: &mut [f32],
        pooled: &mut Vec<f32>,
    ) {
        let (map, stored) = (self.out_map(), self.stored_map());
        let mut winners = winners.chunks_exact_mut(stored.len());
        let images = output
            .chunks_exact(map.len())
            .zip(y.chunks_exact_mut(stored.len()));
        for ((mut out, y), moments) in images.zip(moments.chunks_exact_mut(2 * stored.channels)) {
            if let Some(winners) = winners.next() {
                let pooled = sized(pooled, stored.len());
                max_pool(isa, map, out, pooled, winners);
                out = pooled;
            }
            passes::finish_output::<T>(isa, stored.channels, out, y, moments);
        }
    }

    /// The convolution of images in frames, in f32.
    ///
    /// # Shapes
    /// - frames: `[images, frame]` words
    /// - out: `[images, out_height, out_width, padded c_out]`
    pub(crate) fn products(&self, isa: Isa, frames: &[u32], out: &mut [f32]) {
        self.forward.run(isa, frames, out, false);
    }

    /// Adds the summed weight gradient of a backward pass to `[c_out, c_in, k, k]`. The sums of the first chunk become those of all.
    pub(crate) fn add_weight_gradient(&self, sums: &mut [f32], gradient: &mut [f32]) {
        let (total, chunks) = sums.split_at_mut(self.sums_len());
        add_chunks(total, chunks);
        let total = &*total;
        let (taps, c_in) = (self.geometry.taps(), self.geometry.c_in);
        gradient
            .par_chunks_mut(LANES * c_in * taps)
            .enumerate()
            .for_each(|(block, gradient)| {
                for ci in 0..c_in {
                    let at = ci * padded(self.geometry.c_out) + block * LANES;
                    let total = self.taps_of(total, at);
                    // Taps lie side by side in what is written.
                    for (lane, gradient) in gradient.chunks_exact_mut(c_in * taps).enumerate() {
                        let gradient = &mut gradient[ci * taps..][..taps];
                        for (gradient, total) in gradient.iter_mut().zip(&total) {
                            *gradient += total[lane];
                        }
                    }
                }
            });
    }

    /// The weight gradient of a block of each tap, from one number of the sums on.
    fn taps_of(&self, sums: &[f32], at: usize) -> [Lanes; 9] {
        let tap = padded(self.geometry.c_in) * padded(self.geometry.c_out);
        let mut points = [[0.0; LANES]; winograd::POINTS];
        for (point, sums) in points.iter_mut().zip(sums.chunks_exact(tap)) {
            point.copy_from_slice(&sums[at..at + LANES]);
        }
        if winograd::fits_weights(&self.geometry) {
            return winograd::weight_taps(&points);
        }
        *points
            .first_chunk()
            .expect("a kernel has at most nine taps")
    }
}

/// Adds the chunks, each as long as the total, in order.
fn add_chunks(total: &mut [f32], chunks: &[f32]) {
    /// Numbers that a thread adds at a time.
    const PART: usize = 4096;
    let len = total.len();
    let parts = total.par_chunks_mut(PART).enumerate();
    parts.for_each(|(part, total)| {
        for chunk in chunks.chunks_exact(len) {
            let values = &chunk[part * PART..][..total.len()];
            total.iter_mut().zip(values).for_each(|(t, v)| *t += v);
        }
    });
}
