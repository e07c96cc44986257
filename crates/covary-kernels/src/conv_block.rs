//! A layer of one convolution: `relu(bn(pool(conv(x))))`, 3x3 or 1x1 taps, the max-pool of 2x2 pixels where asked for.
//!
//! Parameters in order: convolution `[c_out, c_in, k, k]`, γ, β; statistics: running mean and variance. A frozen layer's weight is no
//! parameter: it comes from elsewhere and gets no gradient, and neither does the layer's input.

use rayon::prelude::*;

use crate::Isa;
use crate::conv::backward::backward;
use crate::conv::{ConvGeometry, Operand};
use crate::conv_norm::ConvNorm;
use crate::element::Element;
use crate::inference::{Folded, Plain};
use crate::layer::{Feed, Layer, LayerScratch, LayerTape, Statistics};
use crate::passes;
use crate::relu_gradient::{Below, ReluGradient};

/// A convolution with BatchNorm and ReLU, whose activations are stored as T and whose tiles multiply O.
#[derive(Debug)]
pub struct ConvBlock<T, O> {
    isa: Isa,
    unit: ConvNorm<T, O>,
    stores_output: bool,
}

/// What a [`ConvBlock`] has beside its convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvBlockOptions {
    /// A max-pool of 2x2 pixels between convolution and BatchNorm.
    pub pool: bool,
    /// The weight is no parameter.
    pub frozen: bool,
    /// The output is stored, and not computed by each layer that reads it.
    pub stores_output: bool,
}

impl<T: Element, O: Operand> ConvBlock<T, O> {
    /// A layer without weights yet.
    ///
    /// # Panics
    /// A max-pool on a map of fewer than 2x2 pixels.
    pub fn new(geometry: ConvGeometry, options: ConvBlockOptions, isa: Isa) -> Self {
        let mut unit = if options.pool {
            ConvNorm::with_pool(geometry)
        } else {
            ConvNorm::new(geometry)
        };
        unit.frozen = options.frozen;
        Self {
            isa,
            unit,
            stores_output: options.stores_output,
        }
    }

    /// Packs a frozen layer's weight `[c_out, c_in, k, k]`.
    pub fn pack_frozen(&mut self, weight: &[f32]) {
        self.unit.layer.pack(self.isa, weight, false);
    }

    /// The output for images in eval mode, on this thread.
    ///
    /// # Shapes
    /// - images: `[images, height, width, channels]`, not padded
    /// - out: `[images, rows, columns, padded channels]`, resized
    pub fn infer_images(&self, images: &[f32], folded: &Folded, out: &mut Vec<T>) {
        self.plain().infer_images(images, folded, out);
    }

    fn plain(&self) -> Plain<'_, T, O> {
        Plain {
            isa: self.isa,
            unit: &self.unit,
        }
    }
}

impl<T: Element, O: Operand> Layer<T> for ConvBlock<T, O> {
    fn parameters_len(&self) -> usize {
        self.unit.parameters_len()
    }

    fn statistics_len(&self) -> usize {
        self.unit.statistics_len()
    }

    fn pack(&mut self, parameters: &[f32], backward: bool) {
        if !self.unit.frozen {
            let weight = self.unit.parameters(parameters).weight;
            self.unit.layer.pack(self.isa, weight, backward);
        }
    }

    fn forward(
        &self,
        x: Feed<'_, T>,
        parameters: &[f32],
        mut statistics: Statistics<'_>,
        tape: &mut LayerTape<T>,
        scratch: &mut LayerScratch<T>,
    ) {
        let (isa, unit) = (self.isa, &self.unit);
        let (own, running) = (&mut tape.units[0], statistics.next(unit.geometry().c_out));
        unit.forward(
            isa,
            x.values,
            x.affine,
            unit.parameters(parameters),
            running,
            own,
            &mut scratch.units[0],
        );
        if self.stores_output {
            tape.output.resize(own.y.len(), T::default());
            let image = unit.output_len();
            let affine = own.affine();
            let pairs = own
                .y
                .par_chunks(image)
                .zip(tape.output.par_chunks_mut(image));
            pairs.for_each(|(y, out)| passes::activate::<T, T>(isa, y, affine, out));
        }
    }

    fn backward(
        &self,
        x: Feed<'_, T>,
        below: Option<Below<'_, T>>,
        parameters: &[f32],
        gradients: &mut [f32],
        gradient: &ReluGradient<T>,
        into: &mut ReluGradient<T>,
        tape: &LayerTape<T>,
        scratch: &mut LayerScratch<T>,
    ) {
        let (unit, own, scratch) = (&self.unit, &tape.units[0], &mut scratch.units[0]);
        unit.coefficients(
            gradient.sums(),
            unit.parameters(parameters),
            gradients,
            own,
            &mut scratch.coefficients,
        );
        if unit.frozen {
            return;
        }
        let pixels = unit.geometry().in_pixels();
        let through = below.map(|below| into.through(None, x.relu(), below, pixels));
        let branch = unit.branch(gradient.values(), own, scratch);
        backward(self.isa, x.values, x.affine, &mut [branch], through);
        unit.add_weight_gradient(scratch, gradients);
    }

    fn feed<'a>(&self, tape: &'a LayerTape<T>) -> Feed<'a, T> {
        if self.stores_output {
            return Feed::stored(&tape.output);
        }
        let own = &tape.units[0];
        Feed {
            values: &own.y,
            affine: Some(own.affine()),
        }
    }

    fn below<'a>(&self, tape: &'a LayerTape<T>) -> Below<'a, T> {
        tape.units[0].below()
    }

    fn fold(&self, parameters: &[f32], statistics: &[f32]) -> Folded {
        Folded::of(std::iter::once(&self.unit), parameters, statistics)
    }

    fn infer(&self, x: &[T], folded: &Folded, out: &mut Vec<T>) {
        self.plain().infer(x, folded, out);
    }
}
