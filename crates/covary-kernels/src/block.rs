//! A basic residual block: `out = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`, 3x3 convolutions, the first with the stride.
//! The shortcut is the identity, or a 1x1 convolution with BatchNorm where stride or channels change. He et al. 2016, figure 5 left.
//!
//! Parameters lie in torchvision's order: conv1.weight, bn1.weight, bn1.bias, conv2.weight, bn2.weight, bn2.bias, then
//! downsample.0.weight, downsample.1.weight, downsample.1.bias; statistics likewise as running mean and variance of each BatchNorm.

use rayon::prelude::*;

use crate::Isa;
use crate::conv::backward::backward;
use crate::conv::{ConvGeometry, Operand};
use crate::conv_norm::{ConvNorm, ConvNormScratch, ConvNormTape, take};
use crate::element::Element;
use crate::norm::Running;
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
    pub(crate) isa: Isa,
    pub(crate) first: ConvNorm<T, O>,
    pub(crate) second: ConvNorm<T, O>,
    pub(crate) projection: Option<ConvNorm<T, O>>,
}

/// What a forward pass leaves for the backward pass, the block's output among it.
#[derive(Debug, Default)]
pub struct BlockTape<T> {
    first: ConvNormTape<T>,
    second: ConvNormTape<T>,
    projection: ConvNormTape<T>,
    /// Output `[images, height, width, padded channels]`.
    pub output: Vec<T>,
}

/// Buffers that blocks share, kept between steps.
#[derive(Debug, Default)]
pub struct BlockScratch<T> {
    first: ConvNormScratch,
    second: ConvNormScratch,
    projection: ConvNormScratch,
    hidden_gradient: ReluGradient<T>,
}

/// Those of the batch are what is normalised by; the running ones may move with them.
#[derive(Debug)]
pub enum Statistics<'a> {
    /// Those of the batch.
    Batch,
    /// Those of the batch; these running ones move.
    Update(&'a mut [f32]),
}

impl<'a> Statistics<'a> {
    /// Splits running mean and variance of `channels` channels off the front.
    pub(crate) fn next(&mut self, channels: usize) -> Running<'a> {
        match self {
            Self::Batch => Running::Batch,
            Self::Update(rest) => {
                let mean = take(rest, channels);
                Running::Update(mean, take(rest, channels))
            }
        }
    }

    /// Splits the statistics of a part of a network off the front.
    pub fn part(&mut self, len: usize) -> Self {
        match self {
            Self::Batch => Self::Batch,
            Self::Update(rest) => Self::Update(take(rest, len)),
        }
    }
}

impl<T> BlockTape<T> {
    /// The BatchNorm before the output's ReLU.
    pub fn below(&self) -> Below<'_, T> {
        Below::of(&self.second)
    }
}

impl<T: Element, O: Operand> ResidualBlock<T, O> {
    /// A block without weights yet: [`ResidualBlock::pack`] gives it some.
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

    pub(crate) fn units(&self) -> impl Iterator<Item = &ConvNorm<T, O>> {
        [&self.first, &self.second]
            .into_iter()
            .chain(&self.projection)
    }

    /// Numbers of the block's parameters.
    pub fn parameters_len(&self) -> usize {
        self.units().map(ConvNorm::parameters_len).sum()
    }

    /// Numbers of the block's running statistics.
    pub fn statistics_len(&self) -> usize {
        self.units().map(ConvNorm::statistics_len).sum()
    }

    /// Packs the weights; needed once after every change of the parameters, `backward` only where gradients are wanted.
    pub fn pack(&mut self, parameters: &[f32], backward: bool) {
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

    fn split_parameters<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (first, rest) = parameters.split_at(self.first.parameters_len());
        let (second, projection) = rest.split_at(self.second.parameters_len());
        (first, second, projection)
    }

    /// The block's output and everything its backward pass needs.
    ///
    /// # Shapes
    /// - x: `[images, height, width, padded c_in]`
    pub fn forward(
        &self,
        x: &[T],
        parameters: &[f32],
        mut statistics: Statistics<'_>,
        tape: &mut BlockTape<T>,
        scratch: &mut BlockScratch<T>,
    ) {
        let isa = self.isa;
        let (first, second, projection) = self.split_parameters(parameters);
        let running = statistics.next(self.first.geometry().c_out);
        self.first.forward(
            isa,
            x,
            None,
            self.first.parameters(first),
            running,
            &mut tape.first,
            &mut scratch.first,
        );
        let running = statistics.next(self.second.geometry().c_out);
        let affine = Some(tape.first.affine());
        self.second.forward(
            isa,
            &tape.first.y,
            affine,
            self.second.parameters(second),
            running,
            &mut tape.second,
            &mut scratch.second,
        );
        if let Some(unit) = &self.projection {
            let running = statistics.next(unit.geometry().c_out);
            unit.forward(
                isa,
                x,
                None,
                unit.parameters(projection),
                running,
                &mut tape.projection,
                &mut scratch.projection,
            );
        }

        let (shortcut, projected) = match self.projection {
            Some(_) => (tape.projection.y.as_slice(), Some(tape.projection.affine())),
            None => (x, None),
        };
        tape.output.resize(tape.second.y.len(), T::default());
        let image = self.second.output_len();
        let images = tape
            .second
            .y
            .par_chunks(image)
            .zip(shortcut.par_chunks(image))
            .zip(tape.output.par_chunks_mut(image));
        let affine = tape.second.affine();
        images.for_each(|((y, shortcut), out)| {
            passes::join::<T, T, T>(isa, y, affine, shortcut, projected, out);
        });
    }

    /// Gradients of parameters, added to `gradients`, and of the ReLU that the input came from, whose BatchNorm is `below`.
    ///
    /// # Shapes
    /// - gradient: of the output's ReLU, as the output
    /// - into: as x
    pub fn backward(
        &self,
        x: &[T],
        below: Below<'_, T>,
        parameters: &[f32],
        gradients: &mut [f32],
        gradient: &ReluGradient<T>,
        into: &mut ReluGradient<T>,
        tape: &BlockTape<T>,
        scratch: &mut BlockScratch<T>,
    ) {
        let isa = self.isa;
        let (first, second, projection) = self.split_parameters(parameters);
        let mut rest = gradients;
        let first_gradients = take(&mut rest, self.first.parameters_len());
        let second_gradients = take(&mut rest, self.second.parameters_len());
        let hidden = &mut scratch.hidden_gradient;

        self.second.coefficients(
            gradient.sums(),
            self.second.parameters(second),
            second_gradients,
            &tape.second,
            &mut scratch.second.coefficients,
        );
        let through = hidden.through(
            None,
            Relu::Of(tape.first.affine()),
            Below::of(&tape.first),
            self.first.geometry().out_pixels(),
        );
        let branch = self
            .second
            .branch(gradient.values(), &tape.second, &mut scratch.second);
        let affine = Some(tape.first.affine());
        backward(isa, &tape.first.y, affine, &mut [branch], Some(through));
        self.second
            .add_weight_gradient(&mut scratch.second, second_gradients);

        self.first.coefficients(
            hidden.sums(),
            self.first.parameters(first),
            first_gradients,
            &tape.first,
            &mut scratch.first.coefficients,
        );
        let shortcut = self.projection.is_none().then_some(gradient.values());
        let pixels = self.first.geometry().in_pixels();
        let through = into.through(shortcut, Relu::Output(x), below, pixels);
        let branch = self
            .first
            .branch(hidden.values(), &tape.first, &mut scratch.first);
        let mut branches = vec![branch];
        if let Some(unit) = &self.projection {
            unit.gradient_sums(
                isa,
                gradient.values(),
                &tape.projection,
                &mut scratch.projection,
            );
            unit.coefficients(
                &scratch.projection.per_image,
                unit.parameters(projection),
                rest,
                &tape.projection,
                &mut scratch.projection.coefficients,
            );
            branches.push(unit.branch(
                gradient.values(),
                &tape.projection,
                &mut scratch.projection,
            ));
        }
        backward(isa, x, None, &mut branches, Some(through));
        if let Some(unit) = &self.projection {
            unit.add_weight_gradient(&mut scratch.projection, rest);
        }
        self.first
            .add_weight_gradient(&mut scratch.first, first_gradients);
    }
}
