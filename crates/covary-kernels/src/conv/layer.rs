//! A convolution over a batch with what surrounds it: BatchNorm and ReLU of its input while images are loaded, statistics of its output
//! while it is stored, and in the backward pass the gradient of its own BatchNorm on the way in.
//!
//! Images go through in groups that fit a core's cache; groups are dealt to threads. Weight gradients are summed over fixed chunks of
//! images and added in chunk order.

use std::cell::RefCell;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::geometry::{ConvGeometry, Walk};
use super::operand::Operand;
use super::outer::outer;
use super::panel::{Direction, Panel};
use super::product::{Extent, product};
use crate::Isa;
use crate::element::{Element, LANES, padded};
use crate::frame::{Affine, Map, load_frame, load_pair};
use crate::passes::{self, Back};

/// Bytes that the frames and outputs of a group may take.
const GROUP_BYTES: usize = 512 << 10;
/// Chunks that a batch's weight gradients are summed in, and the most bytes that all their sums may take.
const CHUNKS: usize = 8;
const CHUNK_BYTES: usize = 48 << 20;

/// A convolution with weights packed for the tiles; activations are stored as T, tiles multiply O.
#[derive(Debug)]
pub(crate) struct ConvLayer<T, O> {
    geometry: ConvGeometry,
    forward_walk: [Walk; 1],
    forward_panel: [Panel; 1],
    backward_walks: Vec<Walk>,
    backward_panels: Vec<Panel>,
    types: PhantomData<(T, O)>,
}

/// Buffers of one thread, kept between calls.
#[derive(Default)]
struct Scratch {
    frames: Vec<u32>,
    pairs: Vec<u32>,
    gradient_pairs: Vec<u32>,
    output: Vec<f32>,
    gradient: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn sized<N: Copy + Default>(buffer: &mut Vec<N>, len: usize) -> &mut [N] {
    if buffer.len() < len {
        buffer.resize(len, N::default());
    }
    &mut buffer[..len]
}

/// One convolution's part of a backward pass: its gradient behind its BatchNorm, and the sums of its weight gradient.
pub(crate) struct Branch<'a, T, O> {
    pub(crate) layer: &'a ConvLayer<T, O>,
    pub(crate) gradient: &'a [T],
    pub(crate) mask: Option<&'a [T]>,
    pub(crate) y: &'a [T],
    pub(crate) back: Back<'a>,
    pub(crate) sums: &'a mut Vec<f32>,
}

/// What becomes of the gradient of the input.
pub(crate) enum Epilogue<'a, T> {
    /// It is not needed: the input is the images.
    Drop,
    /// It goes back through the ReLU of the BatchNorm before the convolution; sums are `[images, 2, channels]`.
    Relu {
        y: &'a [T],
        affine: Affine<'a>,
        mean: &'a [f32],
        store: &'a mut [T],
        sums: &'a mut [f32],
    },
    /// It is the gradient of the block's input; an identity shortcut adds the block's gradient where its output was positive.
    Store {
        shortcut: Option<(&'a [T], &'a [T])>,
        store: &'a mut [T],
    },
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

    fn backward_extent(&self) -> Extent {
        Extent {
            frame: self.out_map().frame_len(),
            channels: padded(self.geometry.c_out),
            real_channels: self.geometry.c_out,
            out_pixels: self.geometry.in_pixels(),
            out_channels: padded(self.geometry.c_in),
        }
    }

    /// Images that go through together; even, so that bf16 pairs do not cross groups.
    fn group(&self) -> usize {
        let (input, output) = (self.in_map(), self.out_map());
        let bytes = 4
            * (input.frame_len().max(output.frame_len()) / O::PER_WORD
                + input.len().max(output.len()));
        (GROUP_BYTES / bytes).clamp(2, 16) & !1
    }

    /// Images of a chunk of weight gradients.
    fn chunk(&self, images: usize) -> usize {
        let chunks = (CHUNK_BYTES / (4 * self.sums_len())).clamp(2, CHUNKS);
        images.div_ceil(chunks).next_multiple_of(2)
    }

    fn sums_len(&self) -> usize {
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
                product::<O>(
                    isa,
                    &self.forward_walk,
                    &self.forward_panel,
                    &self.forward_extent(),
                    frames,
                    out,
                    false,
                );
                let images = out
                    .chunks_exact_mut(output.len())
                    .zip(y.chunks_exact_mut(output.len()));
                for ((out, y), moments) in images.zip(moments.chunks_exact_mut(2 * output.channels))
                {
                    passes::finish_output::<T>(isa, output.channels, out, y, moments);
                }
            });
        });
    }

    /// Adds the summed weight gradient of a backward pass to `[c_out, c_in, k, k]`.
    pub(crate) fn add_weight_gradient(&self, sums: &[f32], gradient: &mut [f32]) {
        let (taps, c_in) = (self.geometry.taps(), self.geometry.c_in);
        let (c_in_padded, c_out_padded) = (padded(c_in), padded(self.geometry.c_out));
        gradient
            .par_chunks_mut(LANES * c_in * taps)
            .enumerate()
            .for_each(|(block, gradient)| {
                for tap in 0..taps {
                    for ci in 0..c_in {
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

/// The backward pass of convolutions that read the same input: weight gradients into each branch's sums, the input gradient into the
/// epilogue.
///
/// # Shapes
/// - x: `[images, height, width, padded c_in]`, `affine` as in the forward pass
pub(crate) fn backward<T: Element, O: Operand>(
    isa: Isa,
    x: &[T],
    affine: Option<Affine<'_>>,
    branches: &mut [Branch<'_, T, O>],
    epilogue: Epilogue<'_, T>,
) {
    let first = branches
        .first()
        .expect("a backward pass has a convolution")
        .layer;
    let input = first.in_map();
    let images = x.len() / input.len();
    let chunk = branches
        .iter()
        .map(|branch| branch.layer.chunk(images))
        .max()
        .expect("there is a branch");
    let chunks = images.div_ceil(chunk);
    let mut jobs: Vec<Job<'_, T, O>> = (0..chunks)
        .map(|index| {
            let range = index * chunk..((index + 1) * chunk).min(images);
            Job {
                x: &x[range.start * input.len()..range.end * input.len()],
                range,
                parts: Vec::new(),
                epilogue: Epilogue::Drop,
            }
        })
        .collect();
    for branch in branches {
        let len = branch.layer.sums_len();
        branch.sums.resize(chunks * len, 0.0);
        let output = branch.layer.out_map().len();
        for (job, sums) in jobs.iter_mut().zip(branch.sums.chunks_exact_mut(len)) {
            let span = job.range.start * output..job.range.end * output;
            job.parts.push(Part {
                layer: branch.layer,
                gradient: &branch.gradient[span.clone()],
                mask: branch.mask.map(|mask| &mask[span.clone()]),
                y: &branch.y[span],
                back: branch.back,
                sums,
            });
        }
    }
    deal(epilogue, &mut jobs, chunk, input);
    jobs.into_par_iter()
        .for_each(|job| SCRATCH.with_borrow_mut(|scratch| job.run(isa, affine, scratch)));
}

/// Splits the epilogue among the jobs.
fn deal<'a, T: Element, O>(
    epilogue: Epilogue<'a, T>,
    jobs: &mut [Job<'a, T, O>],
    chunk: usize,
    input: Map,
) {
    match epilogue {
        Epilogue::Drop => {}
        Epilogue::Relu {
            y,
            affine,
            mean,
            store,
            sums,
        } => {
            let parts = y
                .chunks(chunk * input.len())
                .zip(store.chunks_mut(chunk * input.len()));
            for (job, ((y, store), sums)) in jobs
                .iter_mut()
                .zip(parts.zip(sums.chunks_mut(chunk * 2 * input.channels)))
            {
                job.epilogue = Epilogue::Relu {
                    y,
                    affine,
                    mean,
                    store,
                    sums,
                };
            }
        }
        Epilogue::Store { shortcut, store } => {
            for (job, store) in jobs.iter_mut().zip(store.chunks_mut(chunk * input.len())) {
                let span = job.range.start * input.len()..job.range.end * input.len();
                let shortcut =
                    shortcut.map(|(gradient, mask)| (&gradient[span.clone()], &mask[span.clone()]));
                job.epilogue = Epilogue::Store { shortcut, store };
            }
        }
    }
}

struct Part<'a, T, O> {
    layer: &'a ConvLayer<T, O>,
    gradient: &'a [T],
    mask: Option<&'a [T]>,
    y: &'a [T],
    back: Back<'a>,
    sums: &'a mut [f32],
}

/// A chunk of images.
struct Job<'a, T, O> {
    range: std::ops::Range<usize>,
    x: &'a [T],
    parts: Vec<Part<'a, T, O>>,
    epilogue: Epilogue<'a, T>,
}

impl<T: Element, O: Operand> Job<'_, T, O> {
    fn run(mut self, isa: Isa, affine: Option<Affine<'_>>, scratch: &mut Scratch) {
        let input = self.parts[0].layer.in_map();
        let group = self
            .parts
            .iter()
            .map(|part| part.layer.group())
            .min()
            .expect("there is a part");
        for part in &mut self.parts {
            part.sums.fill(0.0);
        }
        let images = self.range.len();
        for start in (0..images).step_by(group) {
            let now = group.min(images - start);
            let x = &self.x[start * input.len()..(start + now) * input.len()];
            let pairs = sized(
                &mut scratch.pairs,
                now.div_ceil(O::PER_WORD) * input.frame_len(),
            );
            load_pairs::<T, O>(isa, input, x, affine, pairs);
            let out = sized(&mut scratch.output, now * input.len());
            let wanted = !matches!(self.epilogue, Epilogue::Drop);
            for (index, part) in self.parts.iter_mut().enumerate() {
                part.weight_gradient(
                    isa,
                    start,
                    now,
                    pairs,
                    &mut scratch.gradient,
                    &mut scratch.gradient_pairs,
                );
                if wanted {
                    part.input_gradient(
                        isa,
                        now,
                        &scratch.gradient,
                        &mut scratch.frames,
                        out,
                        index > 0,
                    );
                }
            }
            finish(isa, &mut self.epilogue, input, start, out);
        }
    }
}

fn load_pairs<T: Element, O: Operand>(
    isa: Isa,
    input: Map,
    x: &[T],
    affine: Option<Affine<'_>>,
    pairs: &mut [u32],
) {
    let pairs_of_images = x
        .chunks(O::PER_WORD * input.len())
        .zip(pairs.chunks_exact_mut(input.frame_len()));
    for (x, frame) in pairs_of_images {
        let (first, second) = x.split_at(input.len());
        let second = (!second.is_empty()).then_some(second);
        load_pair::<T, O>(isa, input, first, second, affine, frame);
    }
}

impl<T: Element, O: Operand> Part<'_, T, O> {
    /// The gradient before this convolution's BatchNorm, left in `gradient`, and its weight gradient.
    fn weight_gradient(
        &mut self,
        isa: Isa,
        start: usize,
        images: usize,
        x_pairs: &[u32],
        gradient: &mut Vec<f32>,
        gradient_pairs: &mut Vec<u32>,
    ) {
        let output = self.layer.out_map();
        let span = start * output.len()..(start + images) * output.len();
        let dy = sized(gradient, images * output.len());
        let mask = self.mask.map(|mask| &mask[span.clone()]);
        passes::norm_gradient::<T>(
            isa,
            &self.gradient[span.clone()],
            mask,
            &self.y[span],
            self.back,
            dy,
        );
        let pairs = images.div_ceil(O::PER_WORD);
        let dy_pairs = sized(gradient_pairs, pairs * output.len());
        for (dy, pair) in dy
            .chunks(O::PER_WORD * output.len())
            .zip(dy_pairs.chunks_exact_mut(output.len()))
        {
            let (first, second) = dy.split_at(output.len());
            passes::pair_gradients::<O>(isa, first, (!second.is_empty()).then_some(second), pair);
        }
        outer::<O>(
            isa,
            &self.layer.geometry,
            pairs,
            x_pairs,
            dy_pairs,
            self.sums,
        );
    }

    fn input_gradient(
        &self,
        isa: Isa,
        images: usize,
        gradient: &[f32],
        frames: &mut Vec<u32>,
        out: &mut [f32],
        accumulate: bool,
    ) {
        let output = self.layer.out_map();
        let frame = output.frame_len() / O::PER_WORD;
        let frames = sized(frames, images * frame);
        for (dy, frame) in gradient
            .chunks_exact(output.len())
            .zip(frames.chunks_exact_mut(frame))
        {
            load_frame::<f32, O>(isa, output, dy, None, frame);
        }
        let (walks, panels) = (&self.layer.backward_walks, &self.layer.backward_panels);
        product::<O>(
            isa,
            walks,
            panels,
            &self.layer.backward_extent(),
            frames,
            out,
            accumulate,
        );
    }
}

fn finish<T: Element>(
    isa: Isa,
    epilogue: &mut Epilogue<'_, T>,
    input: Map,
    start: usize,
    out: &[f32],
) {
    let span = start * input.len()..start * input.len() + out.len();
    match epilogue {
        Epilogue::Drop => {}
        Epilogue::Relu {
            y,
            affine,
            mean,
            store,
            sums,
        } => {
            let sums = &mut sums[start * 2 * input.channels..];
            let images = out
                .chunks_exact(input.len())
                .zip(y[span.clone()].chunks_exact(input.len()));
            let stores = store[span]
                .chunks_exact_mut(input.len())
                .zip(sums.chunks_exact_mut(2 * input.channels));
            for ((gradient, y), (store, sums)) in images.zip(stores) {
                passes::relu_gradient::<T>(isa, gradient, y, *affine, mean, store, sums);
            }
        }
        Epilogue::Store { shortcut, store } => {
            let shortcut =
                shortcut.map(|(gradient, mask)| (&gradient[span.clone()], &mask[span.clone()]));
            passes::input_gradient::<T>(isa, out, shortcut, &mut store[span]);
        }
    }
}
