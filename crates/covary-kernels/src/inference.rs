//! Networks in eval mode: BatchNorm by its running statistics, `scale * y + shift` with `scale = γ / √(var + ε)` and
//! `shift = β - mean * scale`, applied to a convolution's sums while the next convolution's frames are laid.
//!
//! Nothing is kept for a backward pass and no statistics are taken, so a few images go from layer to layer on one thread, near to it.
//! Sums are not rounded to storage before their BatchNorm, as they are in training.

use std::cell::RefCell;

use crate::Isa;
use crate::buffer::sized;
use crate::conv::Operand;
use crate::conv::pool::max_pool;
use crate::conv_norm::ConvNorm;
use crate::element::Element;
use crate::ends::put_pixels;
use crate::frame::{Affine, Map, load_frame};
use crate::norm::Normalisation;
use crate::passes;

/// Scales and shifts of the BatchNorms of a layer, in the order of its convolutions.
#[derive(Debug)]
pub struct Folded(Vec<Normalisation>);

impl Folded {
    pub(crate) fn of<'a, T: Element + 'a, O: Operand + 'a>(
        units: impl Iterator<Item = &'a ConvNorm<T, O>>,
        mut parameters: &[f32],
        mut statistics: &[f32],
    ) -> Self {
        let folded = units.map(|unit| {
            let channels = unit.geometry().c_out;
            let (mean, rest) = statistics.split_at(channels);
            let (variance, rest) = rest.split_at(channels);
            let own = unit.parameters(parameters);
            statistics = rest;
            parameters = &parameters[unit.parameters_len()..];
            Normalisation::fixed(mean, variance, own.gamma, own.beta)
        });
        Self(folded.collect())
    }

    fn affine(&self, unit: usize) -> Affine<'_> {
        let Normalisation { scale, shift, .. } = &self.0[unit];
        Affine { scale, shift }
    }
}

/// Buffers of one thread, kept between calls.
#[derive(Default)]
struct Scratch {
    image: Vec<f32>,
    frames: Vec<u32>,
    hidden_frames: Vec<u32>,
    sums: Vec<f32>,
    projected: Vec<f32>,
    pooled: Vec<f32>,
    winners: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A convolution with max-pool, where it has one, BatchNorm and ReLU.
pub(crate) struct Plain<'a, T, O> {
    pub(crate) isa: Isa,
    pub(crate) unit: &'a ConvNorm<T, O>,
}

impl<T: Element, O: Operand> Plain<'_, T, O> {
    /// Images as they come, `[images, height, width, channels]`, not padded.
    pub(crate) fn infer_images(&self, images: &[f32], folded: &Folded, out: &mut Vec<T>) {
        let layer = &self.unit.layer;
        let (input, output, channels) = (layer.in_map(), layer.stored_map(), layer.geometry().c_in);
        let image_len = input.pixels() * channels;
        out.resize(images.len() / image_len * output.len(), T::default());
        SCRATCH.with_borrow_mut(|scratch| {
            let mut padded = std::mem::take(&mut scratch.image);
            let images = images.chunks_exact(image_len);
            for (image, out) in images.zip(out.chunks_exact_mut(output.len())) {
                let padded = sized(&mut padded, input.len());
                padded.fill(0.0);
                put_pixels(image, channels, padded);
                self.infer_group::<f32>(padded, folded, scratch, out);
            }
            scratch.image = padded;
        });
    }

    /// Stored activations.
    pub(crate) fn infer(&self, x: &[T], folded: &Folded, out: &mut Vec<T>) {
        let layer = &self.unit.layer;
        let (input, output, group) = (layer.in_map(), layer.stored_map(), layer.group());
        out.resize(x.len() / input.len() * output.len(), T::default());
        SCRATCH.with_borrow_mut(|scratch| {
            let groups = x.chunks(group * input.len());
            for (x, out) in groups.zip(out.chunks_mut(group * output.len())) {
                self.infer_group::<T>(x, folded, scratch, out);
            }
        });
    }

    /// Images of X to stored activations.
    fn infer_group<X: Element>(
        &self,
        x: &[X],
        folded: &Folded,
        scratch: &mut Scratch,
        out: &mut [T],
    ) {
        let (isa, layer) = (self.isa, &self.unit.layer);
        let (input, output) = (layer.in_map(), layer.out_map());
        let images = x.len() / input.len();
        let frames = sized(
            &mut scratch.frames,
            images * input.frame_len() / O::PER_WORD,
        );
        lay_frames::<X, O>(isa, input, x, None, frames);
        let mut sums = sized(&mut scratch.sums, images * output.len());
        layer.products(isa, frames, sums);
        if layer.has_pool() {
            let pooled = sized(&mut scratch.pooled, out.len());
            let winners = sized(&mut scratch.winners, layer.stored_map().len());
            let maps = sums.chunks_exact(output.len());
            for (map, pooled) in maps.zip(pooled.chunks_exact_mut(winners.len())) {
                max_pool(isa, output, map, pooled, winners);
            }
            sums = pooled;
        }
        passes::activate::<f32, T>(isa, sums, folded.affine(0), out);
    }
}

/// Two convolutions with BatchNorm, beside a shortcut that is a third or the identity.
pub(crate) struct Residual<'a, T, O> {
    pub(crate) isa: Isa,
    pub(crate) first: &'a ConvNorm<T, O>,
    pub(crate) second: &'a ConvNorm<T, O>,
    pub(crate) projection: Option<&'a ConvNorm<T, O>>,
}

impl<T: Element, O: Operand> Residual<'_, T, O> {
    /// Stored activations.
    pub(crate) fn infer(&self, x: &[T], folded: &Folded, out: &mut Vec<T>) {
        let (input, output) = (self.first.layer.in_map(), self.second.layer.out_map());
        let group = self.first.layer.group().min(self.second.layer.group());
        out.resize(x.len() / input.len() * output.len(), T::default());
        SCRATCH.with_borrow_mut(|scratch| {
            let groups = x.chunks(group * input.len());
            for (x, out) in groups.zip(out.chunks_mut(group * output.len())) {
                self.infer_group(x, folded, scratch, out);
            }
        });
    }

    fn infer_group(&self, x: &[T], folded: &Folded, scratch: &mut Scratch, out: &mut [T]) {
        let isa = self.isa;
        let (first, second) = (&self.first.layer, &self.second.layer);
        let (input, hidden) = (first.in_map(), second.in_map());
        let images = x.len() / input.len();
        let frames = sized(
            &mut scratch.frames,
            images * input.frame_len() / O::PER_WORD,
        );
        lay_frames::<T, O>(isa, input, x, None, frames);
        let sums = sized(&mut scratch.sums, out.len());
        first.products(isa, frames, sums);
        let hidden_frames = sized(
            &mut scratch.hidden_frames,
            images * hidden.frame_len() / O::PER_WORD,
        );
        lay_frames::<f32, O>(isa, hidden, sums, Some(folded.affine(0)), hidden_frames);
        second.products(isa, hidden_frames, sums);
        if let Some(unit) = self.projection {
            let projected = sized(&mut scratch.projected, out.len());
            unit.layer.products(isa, frames, projected);
            let projection = Some(folded.affine(2));
            passes::join::<f32, f32, T>(isa, sums, folded.affine(1), projected, projection, out);
        } else {
            passes::join::<f32, T, T>(isa, sums, folded.affine(1), x, None, out);
        }
    }
}

fn lay_frames<T: Element, O: Operand>(
    isa: Isa,
    map: Map,
    x: &[T],
    affine: Option<Affine<'_>>,
    frames: &mut [u32],
) {
    let images = x.chunks_exact(map.len());
    for (x, frame) in images.zip(frames.chunks_exact_mut(map.frame_len() / O::PER_WORD)) {
        load_frame::<T, O>(isa, map, x, affine, frame);
    }
}
