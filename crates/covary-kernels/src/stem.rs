//! The first layer of a network for small images: `relu(bn(conv3x3(images)))`, stride 1; and the last: the mean over pixels.

use rayon::prelude::*;

use crate::Isa;
use crate::block::Statistics;
use crate::conv::backward::backward;
use crate::conv::{ConvGeometry, Operand};
use crate::conv_norm::{ConvNorm, ConvNormScratch, ConvNormTape};
use crate::element::{Element, padded};
use crate::passes;
use crate::relu_gradient::{Below, ReluGradient};

/// The first layer.
#[derive(Debug)]
pub struct Stem<T, O> {
    pub(crate) isa: Isa,
    pub(crate) unit: ConvNorm<T, O>,
}

/// What a forward pass leaves for the backward pass, the output among it.
#[derive(Debug, Default)]
pub struct StemTape<T> {
    images: Vec<T>,
    unit: ConvNormTape<T>,
    /// Output `[images, height, width, padded channels]`.
    pub output: Vec<T>,
}

/// Buffers kept between steps.
#[derive(Debug, Default)]
pub struct StemScratch {
    unit: ConvNormScratch,
}

impl<T> StemTape<T> {
    /// The BatchNorm before the output's ReLU.
    pub fn below(&self) -> Below<'_, T> {
        Below::of(&self.unit)
    }
}

impl<T: Element, O: Operand> Stem<T, O> {
    /// A stem from `channels` image channels to `width` features, without weights yet.
    pub fn new(rows: usize, columns: usize, channels: usize, width: usize, isa: Isa) -> Self {
        let geometry = ConvGeometry {
            height: rows,
            width: columns,
            c_in: channels,
            c_out: width,
            kernel: 3,
            stride: 1,
        };
        Self {
            isa,
            unit: ConvNorm::new(geometry),
        }
    }

    /// Numbers of its parameters: convolution, γ, β.
    pub fn parameters_len(&self) -> usize {
        self.unit.parameters_len()
    }

    /// Numbers of its running statistics.
    pub fn statistics_len(&self) -> usize {
        self.unit.statistics_len()
    }

    /// Packs the weights; needed once after every change of the parameters.
    pub fn pack(&mut self, parameters: &[f32]) {
        let weight = self.unit.parameters(parameters).weight;
        self.unit.layer.pack(self.isa, weight, false);
    }

    /// The stem's output and everything its backward pass needs.
    ///
    /// # Shapes
    /// - images: `[images, height, width, channels]`, not padded
    pub fn forward(
        &self,
        images: &[f32],
        parameters: &[f32],
        mut statistics: Statistics<'_>,
        tape: &mut StemTape<T>,
        scratch: &mut StemScratch,
    ) {
        let isa = self.isa;
        let (channels, input) = (self.unit.geometry().c_in, self.unit.layer.in_map());
        let count = images.len() / (input.pixels() * channels);
        // Padding stays as it was first made: zeros.
        tape.images.resize(count * input.len(), T::default());
        let padded = tape.images.par_chunks_mut(input.len());
        padded
            .zip(images.par_chunks(input.pixels() * channels))
            .for_each(|(padded, image)| put_pixels(image, channels, padded));
        let running = statistics.next(self.unit.geometry().c_out);
        self.unit.forward(
            isa,
            &tape.images,
            None,
            self.unit.parameters(parameters),
            running,
            &mut tape.unit,
            &mut scratch.unit,
        );
        tape.output.resize(tape.unit.y.len(), T::default());
        let image = self.unit.output_len();
        let affine = tape.unit.affine();
        let pairs = tape
            .unit
            .y
            .par_chunks(image)
            .zip(tape.output.par_chunks_mut(image));
        pairs.for_each(|(y, out)| passes::activate::<T, T>(isa, y, affine, out));
    }

    /// Gradients of the parameters, added to `gradients`, from that of the output's ReLU.
    pub fn backward(
        &self,
        parameters: &[f32],
        gradients: &mut [f32],
        gradient: &ReluGradient<T>,
        tape: &StemTape<T>,
        scratch: &mut StemScratch,
    ) {
        self.unit.coefficients(
            gradient.sums(),
            self.unit.parameters(parameters),
            gradients,
            &tape.unit,
            &mut scratch.unit.coefficients,
        );
        let branch = self
            .unit
            .branch(gradient.values(), &tape.unit, &mut scratch.unit);
        backward(self.isa, &tape.images, None, &mut [branch], None);
        self.unit.add_weight_gradient(&mut scratch.unit, gradients);
    }
}

/// Rounds `[pixels, channels]` into the front of padded pixels.
pub(crate) fn put_pixels<T: Element>(image: &[f32], channels: usize, padded_image: &mut [T]) {
    let pixels = padded_image.chunks_exact_mut(padded(channels));
    for (pixel, values) in pixels.zip(image.chunks_exact(channels)) {
        let values = values.iter().map(|value| T::round(*value));
        pixel
            .iter_mut()
            .zip(values)
            .for_each(|(to, value)| *to = value);
    }
}

/// The mean over pixels: `[images, pixels, padded channels]` to `[images, channels]` in f32, pixels added in order.
pub fn average_pool<T: Element>(x: &[T], pixels: usize, channels: usize, out: &mut [f32]) {
    let images = x
        .par_chunks(pixels * padded(channels))
        .zip(out.par_chunks_mut(channels));
    images.for_each(|(image, out)| {
        out.fill(0.0);
        for pixel in image.chunks_exact(padded(channels)) {
            out.iter_mut()
                .zip(pixel)
                .for_each(|(sum, value)| *sum += value.widen());
        }
        out.iter_mut().for_each(|sum| *sum /= pixels as f32);
    });
}
