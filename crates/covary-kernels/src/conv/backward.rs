//! The backward pass of convolutions over a batch: weight gradients summed over fixed chunks of images, input gradients through what
//! comes before the convolution.

use std::ops::Range;

use rayon::prelude::*;

use super::gradient::{Back, Incoming, lay_out, lay_out_plain};
use super::layer::{ConvLayer, SCRATCH, Scratch};
use super::operand::Operand;
use super::outer::outer;
use super::pool::unpool_images;
use super::winograd;
use crate::Isa;
use crate::buffer::{Buffer, sized};
use crate::element::Element;
use crate::frame::{Affine, Map, load_pair};
use crate::relu_gradient::ThroughRelu;

/// One convolution's part of a backward pass: its gradient behind its BatchNorm, and the sums of its weight gradient.
pub(crate) struct Branch<'a, T, O> {
    pub(crate) layer: &'a ConvLayer<T, O>,
    pub(crate) gradient: &'a [T],
    pub(crate) y: &'a [T],
    /// Winners of the layer's max-pool; empty where there is none.
    pub(crate) winners: &'a [u8],
    pub(crate) back: Back<'a>,
    pub(crate) sums: &'a mut Buffer<f32>,
}

/// The backward pass of convolutions that read the same input: weight gradients into each branch's sums, the input gradient through
/// the ReLU that the input came from, where it is wanted.
///
/// # Shapes
/// - x: `[images, height, width, padded c_in]`, `affine` as in the forward pass
pub(crate) fn backward<T: Element, O: Operand>(
    isa: Isa,
    x: &[T],
    affine: Option<Affine<'_>>,
    branches: &mut [Branch<'_, T, O>],
    through: Option<ThroughRelu<'_, T>>,
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
                through: None,
            }
        })
        .collect();
    for branch in branches {
        let len = branch.layer.sums_len();
        let sums = branch.sums.room(chunks * len);
        let output = branch.layer.stored_map().len();
        for (job, sums) in jobs.iter_mut().zip(sums.chunks_exact_mut(len)) {
            let span = job.range.start * output..job.range.end * output;
            job.parts.push(Part {
                layer: branch.layer,
                gradient: &branch.gradient[span.clone()],
                y: &branch.y[span.clone()],
                winners: branch.winners.get(span).unwrap_or_default(),
                back: branch.back,
                sums,
            });
        }
    }
    if let Some(through) = through {
        let parts = through.parts(chunk, input.len());
        for (job, part) in jobs.iter_mut().zip(parts) {
            job.through = Some(part);
        }
    }
    jobs.into_par_iter()
        .for_each(|job| SCRATCH.with_borrow_mut(|scratch| job.run(isa, affine, scratch)));
}

struct Part<'a, T, O> {
    layer: &'a ConvLayer<T, O>,
    gradient: &'a [T],
    y: &'a [T],
    winners: &'a [u8],
    back: Back<'a>,
    sums: &'a mut [f32],
}

/// A chunk of images.
struct Job<'a, T, O> {
    range: Range<usize>,
    x: &'a [T],
    parts: Vec<Part<'a, T, O>>,
    through: Option<ThroughRelu<'a, T>>,
}

impl<T: Element, O: Operand> Job<'_, T, O> {
    fn run(mut self, isa: Isa, affine: Option<Affine<'_>>, scratch: &mut Scratch) {
        let input = self.parts[0].layer.in_map();
        let group = self
            .parts
            .iter()
            .map(|part| part.layer.backward_group())
            .min()
            .expect("there is a part");
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
            let wanted = self.through.is_some();
            for (index, part) in self.parts.iter_mut().enumerate() {
                let (gradient_pairs, frames) = part.lay_out(
                    isa,
                    start..start + now,
                    wanted,
                    &mut scratch.gradient_pairs,
                    &mut scratch.frames,
                    &mut scratch.pooled,
                );
                part.weight_gradient(isa, pairs, gradient_pairs, start > 0);
                if wanted {
                    part.layer.backward.run(isa, frames, out, index > 0);
                }
            }
            if let Some(through) = &mut self.through {
                through
                    .group(start, now, input.len())
                    .put(isa, out, input.len());
            }
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
    /// The gradient before this convolution's BatchNorm of some images: words for the weight gradient, frames for the input gradient
    /// where it is wanted.
    fn lay_out<'s>(
        &self,
        isa: Isa,
        images: Range<usize>,
        wanted: bool,
        pairs: &'s mut Vec<u32>,
        frames: &'s mut Vec<u32>,
        unpooled: &mut Vec<f32>,
    ) -> (&'s [u32], &'s [u32]) {
        let (output, stored) = (self.layer.out_map(), self.layer.stored_map());
        let pairs = sized(pairs, images.len().div_ceil(O::PER_WORD) * output.len());
        let frame = if wanted {
            output.frame_len() / O::PER_WORD
        } else {
            0
        };
        let frames = sized(frames, images.len() * frame);
        for (index, pair) in pairs.chunks_exact_mut(output.len()).enumerate() {
            let first = index * O::PER_WORD;
            let last = (first + O::PER_WORD).min(images.len());
            let span = (images.start + first) * stored.len()..(images.start + last) * stored.len();
            let incoming = Incoming {
                gradient: &self.gradient[span.clone()],
                y: &self.y[span.clone()],
            };
            let frames = &mut frames[first * frame..last * frame];
            if self.layer.has_pool() {
                let winners = &self.winners[span];
                let unpooled = sized(unpooled, (last - first) * output.len());
                unpool_images::<T>(isa, output, incoming, self.back, winners, unpooled);
                lay_out_plain::<O>(isa, output, unpooled, pair, frames);
            } else {
                lay_out::<T, O>(isa, output, incoming, self.back, pair, frames);
            }
        }
        (pairs, frames)
    }

    fn weight_gradient(&mut self, isa: Isa, x_pairs: &[u32], dy_pairs: &[u32], accumulate: bool) {
        let geometry = &self.layer.geometry;
        let pairs = dy_pairs.len() / self.layer.out_map().len();
        let outer = if winograd::fits_weights(geometry) {
            winograd::outer::<O>
        } else {
            outer::<O>
        };
        outer(
            isa, geometry, pairs, x_pairs, dy_pairs, self.sums, accumulate,
        );
    }
}
