//! A way through a network of Burn's operations, parameter after parameter in the order of its layout, with the norms on it.
//!
//! BatchNorm as PyTorch's: ε = 1e-5, biased variance. LayerNorm over each row, with the same ε.

use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{DType, Device, Tensor};

use crate::encoder::plan::{COLOURS, WHITENING_FILTERS};
use crate::layout::{Layout, LayoutEntry};

const EPSILON: f64 = 1e-5;

/// Each parameter and each frozen weight on a device, flat, in the order of the layouts.
#[derive(Debug, Clone)]
pub(crate) struct Leaves {
    pub(crate) parameters: Vec<Tensor<1>>,
    pub(crate) frozen: Vec<Tensor<1>>,
}

/// A way through a network in the order of its layout.
pub(crate) struct Walk<'a> {
    entries: std::slice::Iter<'a, LayoutEntry>,
    parameters: std::slice::Iter<'a, Tensor<1>>,
    frozen: std::slice::Iter<'a, Tensor<1>>,
    norms: Norms,
}

/// Where BatchNorm takes its statistics from.
pub(crate) enum Norms {
    /// The batch; means and unbiased variances are kept.
    Batch(Vec<Tensor<1>>),
    /// Running means and variances.
    Running(std::vec::IntoIter<Tensor<1>>),
}

impl<'a> Walk<'a> {
    pub(crate) fn new(layout: &'a Layout, leaves: &'a Leaves, norms: Norms) -> Self {
        Self {
            entries: layout.entries().iter(),
            parameters: leaves.parameters.iter(),
            frozen: leaves.frozen.iter(),
            norms,
        }
    }

    /// The next parameter of the layout.
    pub(crate) fn parameter<const D: usize>(&mut self) -> Tensor<D> {
        let (entry, parameter) = self
            .entries
            .next()
            .zip(self.parameters.next())
            .expect("a walk follows the layout");
        let shape: [usize; D] = entry.shape[..]
            .try_into()
            .expect("a walk follows the layout");
        parameter.clone().reshape(shape)
    }

    /// The weight of the frozen stem.
    pub(crate) fn frozen(&mut self) -> Tensor<4> {
        let weight = self.frozen.next().expect("a walk follows the layout");
        weight.clone().reshape([WHITENING_FILTERS, COLOURS, 3, 3])
    }

    /// BatchNorm over all dimensions but the second, with γ and β where `affine`.
    ///
    /// # Shapes
    /// - x: `[n, channels, ...]` → the same
    pub(crate) fn norm<const D: usize>(&mut self, x: Tensor<D>, affine: bool) -> Tensor<D> {
        let channels = x.dims()[1];
        let (gamma, beta) = self.gamma_beta(channels, &x.device(), affine);
        match &mut self.norms {
            Norms::Batch(kept) => {
                let count = (x.shape().num_elements() / channels) as f64;
                let normed = batch_norm_train(x, gamma, beta, EPSILON);
                kept.push(normed.mean.inner());
                kept.push(normed.variance.inner() * (count / (count - 1.0).max(1.0)));
                normed.output
            }
            Norms::Running(running) => {
                let mut next = || running.next().expect("a walk follows the layout");
                let (mean, variance) = (next(), next());
                batch_norm(x, gamma, beta, mean, variance, EPSILON)
            }
        }
    }

    /// LayerNorm over each row, with γ and β where `affine`.
    ///
    /// # Shapes
    /// - x: `[n, width]` → the same
    pub(crate) fn layer_norm(&mut self, x: Tensor<2>, affine: bool) -> Tensor<2> {
        let width = x.dims()[1];
        let (gamma, beta) = self.gamma_beta(width, &x.device(), affine);
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        centred / (variance + EPSILON).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
    }

    fn gamma_beta(
        &mut self,
        width: usize,
        device: &Device,
        affine: bool,
    ) -> (Tensor<1>, Tensor<1>) {
        if affine {
            return (self.parameter::<1>(), self.parameter::<1>());
        }
        let options = (device, DType::F32);
        (
            Tensor::ones([width], options),
            Tensor::zeros([width], options),
        )
    }

    /// Mean and unbiased variance of each BatchNorm, one after the other as running statistics are; none without BatchNorm.
    pub(crate) fn moments(self) -> Option<Tensor<1>> {
        match self.norms {
            Norms::Batch(kept) if !kept.is_empty() => Some(Tensor::cat(kept, 0)),
            _ => None,
        }
    }
}
