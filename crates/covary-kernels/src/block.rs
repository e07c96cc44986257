//! A basic residual block: `out = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`, 3x3 convolutions, the first with the stride.
//! The shortcut is the identity, or a 1x1 convolution with BatchNorm where stride or channels change. He et al. 2016, figure 5 left.
//!
//! Parameters lie in torchvision's order: conv1.weight, bn1.weight, bn1.bias, conv2.weight, bn2.weight, bn2.bias, then
//! downsample.0.weight, downsample.1.weight, downsample.1.bias; statistics likewise as running mean and variance of each BatchNorm.

use rayon::prelude::*;

use crate::Isa;
use crate::conv::backward::backward;
use crate::conv::{ConvGeometry, Operand};
use crate::conv_norm::{ConvNorm, take};
use crate::element::Element;
use crate::inference::{Folded, Residual};
use crate::layer::{Feed, Layer, LayerScratch, LayerTape, Statistics};
use crate::passes::{self, Relu};
use crate::relu_gradient::{Below, ReluGradient};

/// Sizes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockGeometry {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Stride of the first convolution and of the shortcut.
    pub stride: usize,
}

impl BlockGeometry {
    /// Whether the shortcut is a convolution.
    pub fn has_projection(&self) -> bool {
        self.stride != 1 || self.c_in != self.c_out
    }

    /// Its convolutions: the first, the second and, where there is one, the shortcut's.
    pub fn convolutions(&self) -> Vec<ConvGeometry> {
        let projection = self.has_projection().then(|| self.projection());
        [self.first(), self.second()]
            .into_iter()
            .chain(projection)
            .collect()
    }

    fn first(&self) -> ConvGeometry {
        let Self {
            height,
            width,
            c_in,
            c_out,
            stride,
        } = *self;
        ConvGeometry {
            height,
            width,
            c_in,
            c_out,
            kernel: 3,
            stride,
        }
    }

    fn second(&self) -> ConvGeometry {
        let first = self.first();
        ConvGeometry {
            height: first.out_height(),
            width: first.out_width(),
            c_in: self.c_out,
            stride: 1,
            ..first
        }
    }

    fn projection(&self) -> ConvGeometry {
        ConvGeometry {
            kernel: 1,
            ..self.first()
        }
    }
}

/// A residual block whose activations are stored as T and whose tiles multiply O.
#[derive(Debug)]
pub struct ResidualBlock<T, O> {
    isa: Isa,
    first: ConvNorm<T, O>,
    second: ConvNorm<T, O>,
    projection: Option<ConvNorm<T, O>>,
}

impl<T: Element, O: Operand> ResidualBlock<T, O> {
    /// A block without weights yet: [`Layer::pack`] gives it some.
    pub fn new(geometry: BlockGeometry, isa: Isa) -> Self {
        Self {
            isa,
            first: ConvNorm::new(geometry.first()),
            second: ConvNorm::new(geometry.second()),
            projection: geometry
                .has_projection()
                .then(|| ConvNorm::new(geometry.projection())),
        }
    }

    fn units(&self) -> impl Iterator<Item = &ConvNorm<T, O>> {
        [&self.first, &self.second]
            .into_iter()
            .chain(&self.projection)
    }

    fn split_parameters<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (first, rest) = parameters.split_at(self.first.parameters_len());
        let (second, projection) = rest.split_at(self.second.parameters_len());
        (first, second, projection)
    }
}

impl<T: Element, O: Operand> Layer<T> for ResidualBlock<T, O> {
    fn parameters_len(&self) -> usize {
        self.units().map(ConvNorm::parameters_len).sum()
    }

    fn statistics_len(&self) -> usize {
        self.units().map(ConvNorm::statistics_len).sum()
    }

    fn pack(&mut self, parameters: &[f32], backward: bool) {
        let mut rest = parameters;
        for unit in [&mut self.first, &mut self.second]
            .into_iter()
            .chain(&mut self.projection)
        {
            let weight = unit.parameters(rest).weight;
            unit.layer.pack(self.isa, weight, backward);
            rest = &rest[unit.parameters_len()..];
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
        let (isa, x) = (self.isa, stored(x));
        let LayerTape { units, output } = tape;
        let [first_tape, second_tape, projection_tape] = units;
        let [first_scratch, second_scratch, projection_scratch] = &mut scratch.units;
        let (first, second, projection) = self.split_parameters(parameters);
        let running = statistics.next(self.first.geometry().c_out);
        self.first.forward(
            isa,
            x,
            None,
            self.first.parameters(first),
            running,
            first_tape,
            first_scratch,
        );
        let running = statistics.next(self.second.geometry().c_out);
        let affine = Some(first_tape.affine());
        self.second.forward(
            isa,
            &first_tape.y,
            affine,
            self.second.parameters(second),
            running,
            second_tape,
            second_scratch,
        );
        if let Some(unit) = &self.projection {
            let running = statistics.next(unit.geometry().c_out);
            unit.forward(
                isa,
                x,
                None,
                unit.parameters(projection),
                running,
                projection_tape,
                projection_scratch,
            );
        }

        let (shortcut, projected) = match self.projection {
            Some(_) => (projection_tape.y.as_slice(), Some(projection_tape.affine())),
            None => (x, None),
        };
        output.resize(second_tape.y.len(), T::default());
        let image = self.second.output_len();
        let images = second_tape
            .y
            .par_chunks(image)
            .zip(shortcut.par_chunks(image))
            .zip(output.par_chunks_mut(image));
        let affine = second_tape.affine();
        images.for_each(|((y, shortcut), out)| {
            passes::join::<T, T, T>(isa, y, affine, shortcut, projected, out);
        });
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
        let (isa, x) = (self.isa, stored(x));
        let [first_tape, second_tape, projection_tape] = &tape.units;
        let LayerScratch {
            units: [first_scratch, second_scratch, projection_scratch],
            hidden_gradient: hidden,
        } = scratch;
        let (first, second, projection) = self.split_parameters(parameters);
        let mut rest = gradients;
        let first_gradients = take(&mut rest, self.first.parameters_len());
        let second_gradients = take(&mut rest, self.second.parameters_len());

        self.second.coefficients(
            gradient.sums(),
            self.second.parameters(second),
            second_gradients,
            second_tape,
            &mut second_scratch.coefficients,
        );
        let through = hidden.through(
            None,
            Relu::Of(first_tape.affine()),
            first_tape.below(),
            self.first.geometry().out_pixels(),
        );
        let branch = self
            .second
            .branch(gradient.values(), second_tape, second_scratch);
        let affine = Some(first_tape.affine());
        backward(isa, &first_tape.y, affine, &mut [branch], Some(through));
        self.second
            .add_weight_gradient(second_scratch, second_gradients);

        self.first.coefficients(
            hidden.sums(),
            self.first.parameters(first),
            first_gradients,
            first_tape,
            &mut first_scratch.coefficients,
        );
        let shortcut = self.projection.is_none().then_some(gradient.values());
        let pixels = self.first.geometry().in_pixels();
        let through = below.map(|below| into.through(shortcut, Relu::Output(x), below, pixels));
        let branch = self
            .first
            .branch(hidden.values(), first_tape, first_scratch);
        let mut branches = vec![branch];
        if let Some(unit) = &self.projection {
            unit.gradient_sums(isa, gradient.values(), projection_tape, projection_scratch);
            unit.coefficients(
                &projection_scratch.per_image,
                unit.parameters(projection),
                rest,
                projection_tape,
                &mut projection_scratch.coefficients,
            );
            branches.push(unit.branch(gradient.values(), projection_tape, projection_scratch));
        }
        backward(isa, x, None, &mut branches, through);
        if let Some(unit) = &self.projection {
            unit.add_weight_gradient(projection_scratch, rest);
        }
        self.first
            .add_weight_gradient(first_scratch, first_gradients);
    }
    fn feed<'a>(&self, tape: &'a LayerTape<T>) -> Feed<'a, T> {
        Feed::stored(&tape.output)
    }

    fn below<'a>(&self, tape: &'a LayerTape<T>) -> Below<'a, T> {
        tape.units[1].below()
    }

    fn fold(&self, parameters: &[f32], statistics: &[f32]) -> Folded {
        Folded::of(self.units(), parameters, statistics)
    }

    fn infer(&self, x: &[T], folded: &Folded, out: &mut Vec<T>) {
        let block = Residual {
            isa: self.isa,
            first: &self.first,
            second: &self.second,
            projection: self.projection.as_ref(),
        };
        block.infer(x, folded, out);
    }
}

/// The activations that a shortcut adds.
fn stored<T: Element>(x: Feed<'_, T>) -> &[T] {
    assert!(
        x.affine.is_none(),
        "the layer before a residual block stores its output"
    );
    x.values
}
