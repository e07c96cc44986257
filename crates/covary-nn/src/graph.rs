//! Networks composed of Burn's own operations: an engine for any device that Burn has, and a second opinion on the kernels.
//!
//! Parameters are uploaded once a change, each a leaf of a graph that a forward pass keeps until its backward pass. Stored in f32; on
//! tensor cores Burn's autotuning may round operands of products to TF32.
//! BatchNorm as PyTorch's: ε = 1e-5, biased variance; running statistics with momentum 0.1 and unbiased variance, view after view.

use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::encoder::resnet::{self, ResNetConfig};
use crate::layout::{Layout, LayoutEntry};
use crate::mlp::{self, LayerPlan};

const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Which network the operations make.
#[derive(Debug)]
pub(crate) enum Architecture {
    ResNet(ResNetConfig),
    Mlp(Vec<LayerPlan>),
}

impl Architecture {
    fn pass(&self, walk: &mut Walk<'_>, input: Tensor<2>) -> Tensor<2> {
        match self {
            Self::ResNet(config) => resnet::burn::pass(config, walk, input),
            Self::Mlp(layers) => mlp::burn::pass(layers, walk, input),
        }
    }

    fn input_width(&self) -> usize {
        match self {
            Self::ResNet(config) => config.rows * config.columns * 3,
            Self::Mlp(layers) => layers[0].inputs,
        }
    }

    fn has_input_gradient(&self) -> bool {
        matches!(self, Self::Mlp(_))
    }
}

/// A network on a device, with the graph of its last forward pass.
#[derive(Debug)]
pub(crate) struct GraphEngine {
    architecture: Architecture,
    device: Device,
    layout: Layout,
    statistics_layout: Layout,
    /// Each parameter on the device, flat; none when they changed since.
    uploaded: Option<Vec<Tensor<1>>>,
    tape: Option<Tape>,
}

#[derive(Debug)]
struct Tape {
    input: Option<Tensor<2>>,
    parameters: Vec<Tensor<1>>,
    output: Tensor<2>,
}

impl GraphEngine {
    pub(crate) fn new(
        architecture: Architecture,
        device: &Device,
        (layout, statistics_layout): (Layout, Layout),
    ) -> Self {
        Self {
            architecture,
            device: device.clone().inner(),
            layout,
            statistics_layout,
            uploaded: None,
            tape: None,
        }
    }

    /// Says that the parameters changed.
    pub(crate) fn invalidate(&mut self) {
        self.uploaded = None;
    }

    fn parameters(&mut self, values: &[f32]) -> Vec<Tensor<1>> {
        self.uploaded
            .get_or_insert_with(|| split(&self.layout, values, &self.device))
            .clone()
    }

    fn rows(&self, input: &[f32]) -> Tensor<2> {
        let width = self.architecture.input_width();
        upload(input, [input.len() / width, width], &self.device)
    }

    /// Training mode; moves the running statistics.
    ///
    /// # Shapes
    /// - input: `[views * n, input width]`
    /// - out: `[views * n, output width]`
    pub(crate) fn forward(
        &mut self,
        parameters: &[f32],
        statistics: &mut [f32],
        input: &[f32],
        views: usize,
        keep_tape: bool,
        out: &mut [f32],
    ) {
        let mut leaves = self.parameters(parameters);
        let mut x = self.rows(input);
        if keep_tape {
            // The last graph's memory is free before this one's is taken.
            self.tape = None;
            leaves = leaves
                .into_iter()
                .map(|leaf| leaf.autodiff().require_grad())
                .collect();
            x = x.autodiff();
            if self.architecture.has_input_gradient() {
                x = x.require_grad();
            }
        }
        let (mut outputs, mut moments) = (Vec::new(), Vec::new());
        for view in x.clone().chunk(views, 0) {
            let mut walk = Walk::new(&self.layout, &leaves, Norms::Batch(Vec::new()));
            outputs.push(self.architecture.pass(&mut walk, view));
            moments.push(walk.moments());
        }
        let output = Tensor::cat(outputs, 0);
        out.copy_from_slice(&numbers(output.clone().inner()));
        for moments in moments.into_iter().flatten() {
            for (running, batch) in statistics.iter_mut().zip(numbers(moments)) {
                let moved = (1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * f64::from(batch);
                *running = moved as f32;
            }
        }
        if keep_tape {
            self.tape = Some(Tape {
                input: self.architecture.has_input_gradient().then_some(x),
                parameters: leaves,
                output,
            });
        }
    }

    /// Adds the gradients of the last forward pass that kept its tape; gives that of its input, empty for an encoder.
    pub(crate) fn backward(&mut self, output_gradient: &[f32], gradients: &mut [f32]) -> Vec<f32> {
        let tape = self
            .tape
            .take()
            .expect("a backward pass follows a forward pass of its own");
        let cotangent = upload(output_gradient, tape.output.dims(), &self.device);
        let mut found = (tape.output * cotangent.autodiff()).sum().backward();
        let parameters = tape.parameters.iter().map(|leaf| {
            leaf.grad_remove(&mut found)
                .expect("every parameter has a part in the output")
        });
        let flat = numbers(Tensor::cat(parameters.collect(), 0));
        for (gradient, found) in gradients.iter_mut().zip(flat) {
            *gradient += found;
        }
        tape.input.map_or_else(Vec::new, |input| {
            let gradient = input.grad_remove(&mut found);
            numbers(gradient.expect("the input has a part in the output"))
        })
    }

    /// Eval mode.
    pub(crate) fn infer(
        &mut self,
        parameters: &[f32],
        statistics: &[f32],
        input: &[f32],
        out: &mut [f32],
    ) {
        let parameters = self.parameters(parameters);
        let running = split(&self.statistics_layout, statistics, &self.device);
        let norms = Norms::Running(running.into_iter());
        let mut walk = Walk::new(&self.layout, &parameters, norms);
        let output = self.architecture.pass(&mut walk, self.rows(input));
        out.copy_from_slice(&numbers(output));
    }
}

/// A way through a network in the order of its layout.
pub(crate) struct Walk<'a> {
    entries: std::slice::Iter<'a, LayoutEntry>,
    parameters: std::slice::Iter<'a, Tensor<1>>,
    norms: Norms,
}

/// Where BatchNorm takes its statistics from.
enum Norms {
    /// The batch; means and unbiased variances are kept.
    Batch(Vec<Tensor<1>>),
    /// Running means and variances.
    Running(std::vec::IntoIter<Tensor<1>>),
}

impl<'a> Walk<'a> {
    fn new(layout: &'a Layout, parameters: &'a [Tensor<1>], norms: Norms) -> Self {
        Self {
            entries: layout.entries().iter(),
            parameters: parameters.iter(),
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
    fn moments(self) -> Option<Tensor<1>> {
        match self.norms {
            Norms::Batch(kept) if !kept.is_empty() => Some(Tensor::cat(kept, 0)),
            _ => None,
        }
    }
}

fn upload<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), shape),
        (device, DType::F32),
    )
}

/// One transfer, then a flat tensor for each entry of the layout.
fn split(layout: &Layout, values: &[f32], device: &Device) -> Vec<Tensor<1>> {
    let whole = upload(values, [values.len()], device);
    layout
        .entries()
        .iter()
        .map(|entry| whole.clone().slice([entry.range()]))
        .collect()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec()
        .expect("tensors of a network are f32")
}
