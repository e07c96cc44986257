//! What layers of an encoder have in common: how one reads the output of the layer before, and what a pass leaves for the way back.
//!
//! A layer ends in `relu(scale * y + shift)`. Where only convolutions read that, it is not stored: they compute it from y while they load
//! an image. Layers store it where the next one adds its input to something, or where the pixels are averaged.

use crate::conv_norm::{ConvNormScratch, ConvNormTape, take};
use crate::element::Element;
use crate::frame::Affine;
use crate::inference::Folded;
use crate::norm::Running;
use crate::passes::Relu;
use crate::relu_gradient::{Below, ReluGradient};

/// Convolutions of a layer at most.
const UNITS: usize = 3;

/// Activations `[images, height, width, padded channels]` as a layer reads them: stored, or to be computed by the BatchNorm and ReLU of the
/// layer before.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) affine: Option<Affine<'a>>,
}

impl<'a, T> Feed<'a, T> {
    /// Stored activations.
    pub fn stored(values: &'a [T]) -> Self {
        Self {
            values,
            affine: None,
        }
    }

    /// Where the ReLU that made them was positive.
    pub(crate) fn relu(&self) -> Relu<'a, T> {
        match self.affine {
            Some(affine) => Relu::Of(affine),
            None => Relu::Output(self.values),
        }
    }
}

/// What a forward pass leaves for the backward pass, the layer's output among it.
#[derive(Debug, Default)]
pub struct LayerTape<T> {
    pub(crate) units: [ConvNormTape<T>; UNITS],
    /// Output behind the last ReLU; empty where the layer does not store it.
    pub(crate) output: Vec<T>,
}

impl<T> LayerTape<T> {
    /// The stored output `[images, height, width, padded channels]`, of layers that store it.
    pub fn output(&self) -> &[T] {
        &self.output
    }
}

/// Buffers that layers share, kept between steps.
#[derive(Debug, Default)]
pub struct LayerScratch<T> {
    pub(crate) units: [ConvNormScratch; UNITS],
    pub(crate) hidden_gradient: ReluGradient<T>,
}

/// The statistics of the batch are what is normalised by; the running ones may move with them.
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

/// A layer of an encoder, whose activations are stored as T. Parameters and running statistics are slices of `parameters_len` and
/// `statistics_len` numbers.
pub trait Layer<T: Element>: std::fmt::Debug + Send + Sync {
    /// Numbers of its parameters.
    fn parameters_len(&self) -> usize;

    /// Numbers of its running statistics.
    fn statistics_len(&self) -> usize;

    /// Packs the weights; needed once after every change of the parameters, `backward` only where gradients of its input are wanted.
    fn pack(&mut self, parameters: &[f32], backward: bool);

    /// The layer's output and everything its backward pass needs, into `tape`.
    fn forward(
        &self,
        x: Feed<'_, T>,
        parameters: &[f32],
        statistics: Statistics<'_>,
        tape: &mut LayerTape<T>,
        scratch: &mut LayerScratch<T>,
    );

    /// Gradients of parameters, added to `gradients`, and of the ReLU that x came from, whose BatchNorm is `below`; none where that is not
    /// given.
    ///
    /// # Shapes
    /// - gradient: of the output's ReLU, as the output
    /// - into: as x
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
    );

    /// The output as the next layer reads it.
    fn feed<'a>(&self, tape: &'a LayerTape<T>) -> Feed<'a, T>;

    /// The BatchNorm before the output's ReLU.
    fn below<'a>(&self, tape: &'a LayerTape<T>) -> Below<'a, T>;

    /// What its BatchNorms do in eval mode.
    fn fold(&self, parameters: &[f32], statistics: &[f32]) -> Folded;

    /// The output in eval mode, on this thread.
    ///
    /// # Shapes
    /// - x: `[images, height, width, padded c_in]`
    /// - out: `[images, rows, columns, padded c_out]`, resized
    fn infer(&self, x: &[T], folded: &Folded, out: &mut Vec<T>);
}
