//! A convolution followed by BatchNorm, the unit that networks are made of, over a whole batch of one view.
//!
//! What is kept for the backward pass is the raw output of the convolution and the statistics it was normalised by.

use crate::Isa;
use crate::buffer::Buffer;
use crate::conv::backward::Branch;
use crate::conv::gradient::Back;
use crate::conv::layer::ConvLayer;
use crate::conv::{ConvGeometry, Operand};
use crate::element::Element;
use crate::frame::Affine;
use crate::norm::{GradientCoefficients, Normalisation, Running};
use crate::passes;
use crate::relu_gradient::Below;

/// A convolution and its BatchNorm.
#[derive(Debug)]
pub(crate) struct ConvNorm<T, O> {
    pub(crate) layer: ConvLayer<T, O>,
    /// Whether the weight is no parameter.
    pub(crate) frozen: bool,
}

/// Parameters in order: convolution `[c_out, c_in, k, k]` (empty where it is frozen), γ `[c_out]`, β `[c_out]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
}

/// What a forward pass leaves for the backward pass.
#[derive(Debug, Default)]
pub(crate) struct ConvNormTape<T> {
    pub(crate) y: Vec<T>,
    /// Winners of the convolution's max-pool; empty where there is none.
    pub(crate) winners: Vec<u8>,
    pub(crate) normalisation: Normalisation,
}

impl<T> ConvNormTape<T> {
    /// What the gradient of the ReLU behind needs of this BatchNorm.
    pub(crate) fn below(&self) -> Below<'_, T> {
        Below {
            y: &self.y,
            mean: &self.normalisation.mean,
        }
    }

    pub(crate) fn affine(&self) -> Affine<'_> {
        Affine {
            scale: &self.normalisation.scale,
            shift: &self.normalisation.shift,
        }
    }
}

/// Buffers of a backward pass, kept between calls.
#[derive(Debug, Default)]
pub(crate) struct ConvNormScratch {
    /// `[images, 2, channels]`: moments forward, gradient sums backward.
    pub(crate) per_image: Vec<f32>,
    pub(crate) coefficients: GradientCoefficients,
    pub(crate) weight_sums: Buffer<f32>,
}

/// Splits `len` numbers off the front of a slice that is taken apart in order.
#[expect(clippy::mut_mut, reason = "the rest is replaced in place")]
pub(crate) fn take<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (front, back) = std::mem::take(rest).split_at_mut(len);
    *rest = back;
    front
}

impl<T: Element, O: Operand> ConvNorm<T, O> {
    pub(crate) fn new(geometry: ConvGeometry) -> Self {
        Self {
            layer: ConvLayer::new(geometry),
            frozen: false,
        }
    }

    /// With a max-pool between convolution and BatchNorm.
    pub(crate) fn with_pool(geometry: ConvGeometry) -> Self {
        Self {
            layer: ConvLayer::with_pool(geometry),
            frozen: false,
        }
    }

    pub(crate) fn geometry(&self) -> &ConvGeometry {
        self.layer.geometry()
    }

    pub(crate) fn parameters_len(&self) -> usize {
        self.weight_len() + self.statistics_len()
    }

    /// Numbers of the weight among the parameters.
    fn weight_len(&self) -> usize {
        if self.frozen {
            0
        } else {
            self.geometry().weight_len()
        }
    }

    /// Numbers of running mean and variance.
    pub(crate) fn statistics_len(&self) -> usize {
        2 * self.geometry().c_out
    }

    pub(crate) fn parameters<'a>(&self, flat: &'a [f32]) -> Parameters<'a> {
        let (weight, norm) = flat[..self.parameters_len()].split_at(self.weight_len());
        let (gamma, beta) = norm.split_at(self.geometry().c_out);
        Parameters {
            weight,
            gamma,
            beta,
        }
    }

    pub(crate) fn forward(
        &self,
        isa: Isa,
        x: &[T],
        affine: Option<Affine<'_>>,
        parameters: Parameters<'_>,
        running: Running<'_>,
        tape: &mut ConvNormTape<T>,
        scratch: &mut ConvNormScratch,
    ) {
        let images = x.len() / self.layer.in_map().len();
        let output = self.layer.stored_map();
        tape.y.resize(images * output.len(), T::default());
        if self.layer.has_pool() {
            tape.winners.resize(tape.y.len(), 0);
        }
        scratch.per_image.resize(images * 2 * output.channels, 0.0);
        self.layer.forward(
            isa,
            x,
            affine,
            &mut tape.y,
            &mut tape.winners,
            &mut scratch.per_image,
        );
        tape.normalisation.set_from_moments(
            &scratch.per_image,
            output.pixels(),
            parameters.gamma,
            parameters.beta,
            running,
        );
    }

    /// Takes `Σ g` and `Σ g (y - mean)` of each image.
    pub(crate) fn gradient_sums(
        &self,
        isa: Isa,
        gradient: &[T],
        tape: &ConvNormTape<T>,
        scratch: &mut ConvNormScratch,
    ) {
        use rayon::prelude::*;
        let output = self.layer.stored_map();
        scratch
            .per_image
            .resize(gradient.len() / output.pixels() * 2, 0.0);
        let images = gradient
            .par_chunks(output.len())
            .zip(tape.y.par_chunks(output.len()));
        images
            .zip(scratch.per_image.par_chunks_mut(2 * output.channels))
            .for_each(|((gradient, y), sums)| {
                passes::gradient_sums::<T>(isa, gradient, y, &tape.normalisation.mean, sums);
            });
    }

    /// From the sums of each image: adds the gradients of γ and β, sets the coefficients of this BatchNorm's gradient.
    pub(crate) fn coefficients(
        &self,
        sums: &[f32],
        parameters: Parameters<'_>,
        gradients: &mut [f32],
        tape: &ConvNormTape<T>,
        coefficients: &mut GradientCoefficients,
    ) {
        let (_, norm) = gradients.split_at_mut(self.weight_len());
        let (gamma, beta) = norm.split_at_mut(self.geometry().c_out);
        let pixels = self.layer.stored_map().pixels();
        coefficients.set_from_sums(
            sums,
            pixels,
            &tape.normalisation,
            parameters.gamma,
            gamma,
            beta,
        );
    }

    /// This convolution's part of a backward pass.
    pub(crate) fn branch<'a>(
        &'a self,
        gradient: &'a [T],
        tape: &'a ConvNormTape<T>,
        scratch: &'a mut ConvNormScratch,
    ) -> Branch<'a, T, O> {
        let GradientCoefficients {
            factor,
            offset,
            slope,
        } = &scratch.coefficients;
        let back = Back {
            mean: &tape.normalisation.mean,
            factor,
            offset,
            slope,
        };
        Branch {
            layer: &self.layer,
            gradient,
            y: &tape.y,
            winners: &tape.winners,
            back,
            sums: &mut scratch.weight_sums,
        }
    }

    pub(crate) fn add_weight_gradient(&self, scratch: &mut ConvNormScratch, gradients: &mut [f32]) {
        self.layer.add_weight_gradient(
            &mut scratch.weight_sums,
            &mut gradients[..self.geometry().weight_len()],
        );
    }

    /// Numbers of one image's stored output, padding included.
    pub(crate) fn output_len(&self) -> usize {
        self.layer.stored_map().len()
    }
}
