//! Networks composed of Burn's own operations: an engine for any device that Burn has, and a second opinion on the kernels.
//!
//! Parameters are uploaded once a change, each a leaf of a graph that a forward pass keeps until its backward pass. Stored in f32; on
//! tensor cores Burn's autotuning may round operands of products to TF32.
//! Running statistics as PyTorch's: momentum 0.1 and unbiased variance, view after view.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::encoder::EncoderConfig;
use crate::encoder::burn as encoder;
use crate::encoder::plan::COLOURS;
use crate::engine::{Engine, Pass, Values};
use crate::layout::{Layout, LayoutEntry};
use crate::mlp::{self, LayerPlan};
use crate::walk::{Leaves, Norms, Walk};

const MOMENTUM: f64 = 0.1;

/// Which network the operations make.
#[derive(Debug)]
pub(crate) enum Architecture {
    /// With rows and columns of the images in eval mode.
    Encoder(EncoderConfig, [usize; 2]),
    Mlp(Vec<LayerPlan>),
}

impl Architecture {
    /// Rows of input through the network, images of `size` through an encoder.
    fn pass(&self, walk: &mut Walk<'_>, input: Tensor<2>, size: [usize; 2]) -> Tensor<2> {
        match self {
            Self::Encoder(config, _) => {
                let plan = config.plan(size);
                let plan = plan.expect("images of a group have at least 8 rows and columns");
                encoder::pass(&plan, walk, input)
            }
            Self::Mlp(layers) => mlp::burn::pass(layers, walk, input),
        }
    }

    fn input_width(&self, size: [usize; 2]) -> usize {
        match self {
            Self::Encoder(..) => size[0] * size[1] * COLOURS,
            Self::Mlp(layers) => layers[0].inputs,
        }
    }

    /// Rows and columns of the images in eval mode; of heads, nothing.
    fn size(&self) -> [usize; 2] {
        match self {
            Self::Encoder(_, size) => *size,
            Self::Mlp(_) => [0; 2],
        }
    }

    fn has_input_gradient(&self) -> bool {
        matches!(self, Self::Mlp(_))
    }
}

/// A network on a device, with the graph of the last forward pass of each group.
#[derive(Debug)]
pub(crate) struct GraphEngine {
    architecture: Architecture,
    device: Device,
    layout: Layout,
    statistics_layout: Layout,
    /// Each parameter and each frozen weight on the device, flat; none when they changed since.
    uploaded: Option<Leaves>,
    tapes: Vec<Option<Tape>>,
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
            tapes: Vec::new(),
        }
    }

    fn leaves(&mut self, parameters: &[f32], statistics: &[f32]) -> Leaves {
        let uploaded = self.uploaded.get_or_insert_with(|| {
            let running = self.statistics_layout.running();
            let frozen = &self.statistics_layout.entries()[running.len()..];
            Leaves {
                parameters: split(self.layout.entries(), parameters, &self.device),
                frozen: split(frozen, statistics, &self.device),
            }
        });
        uploaded.clone()
    }

    fn rows(&self, input: &[f32], size: [usize; 2]) -> Tensor<2> {
        let width = self.architecture.input_width(size);
        upload(input, [input.len() / width, width], &self.device)
    }
}

impl Engine for GraphEngine {
    fn forward(&mut self, values: Values<'_, &mut [f32]>, pass: Pass<'_>, out: &mut [f32]) {
        let statistics = values.statistics;
        let mut leaves = self.leaves(values.parameters, statistics);
        let mut x = self.rows(pass.input, pass.size);
        if pass.keep_tape {
            if self.tapes.len() <= pass.group {
                self.tapes.resize_with(pass.group + 1, || None);
            }
            // The last graph's memory is free before this one's is taken.
            self.tapes[pass.group] = None;
            leaves.parameters = leaves
                .parameters
                .into_iter()
                .map(|leaf| leaf.autodiff().require_grad())
                .collect();
            leaves.frozen = leaves.frozen.into_iter().map(Tensor::autodiff).collect();
            x = x.autodiff();
            if self.architecture.has_input_gradient() {
                x = x.require_grad();
            }
        }
        let (mut outputs, mut moments) = (Vec::new(), Vec::new());
        for view in x.clone().chunk(pass.views, 0) {
            let mut walk = Walk::new(&self.layout, &leaves, Norms::Batch(Vec::new()));
            outputs.push(self.architecture.pass(&mut walk, view, pass.size));
            moments.push(walk.moments());
        }
        let output = Tensor::cat(outputs, 0);
        out.copy_from_slice(&numbers(output.clone().inner()));
        // Frozen weights lie behind the running statistics, which the moments are as many as.
        for moments in moments.into_iter().flatten() {
            for (running, batch) in statistics.iter_mut().zip(numbers(moments)) {
                let moved = (1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * f64::from(batch);
                *running = moved as f32;
            }
        }
        if pass.keep_tape {
            self.tapes[pass.group] = Some(Tape {
                input: self.architecture.has_input_gradient().then_some(x),
                parameters: leaves.parameters,
                output,
            });
        }
    }

    fn backward(
        &mut self,
        _: Values<'_, &[f32]>,
        group: usize,
        output_gradient: &[f32],
        gradients: &mut [f32],
    ) -> Vec<f32> {
        let tape = self
            .tapes
            .get_mut(group)
            .and_then(Option::take)
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

    fn infer(&mut self, values: Values<'_, &[f32]>, input: &[f32], out: &mut [f32]) {
        let leaves = self.leaves(values.parameters, values.statistics);
        let running = split(
            self.statistics_layout.running(),
            values.statistics,
            &self.device,
        );
        let norms = Norms::Running(running.into_iter());
        let mut walk = Walk::new(&self.layout, &leaves, norms);
        let size = self.architecture.size();
        let rows = self.rows(input, size);
        let output = self.architecture.pass(&mut walk, rows, size);
        out.copy_from_slice(&numbers(output));
    }

    fn invalidate(&mut self) {
        self.uploaded = None;
    }
}

fn upload<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), shape),
        (device, DType::F32),
    )
}

/// One transfer, then a flat tensor for each entry.
fn split(entries: &[LayoutEntry], values: &[f32], device: &Device) -> Vec<Tensor<1>> {
    if entries.is_empty() {
        return Vec::new();
    }
    let whole = upload(values, [values.len()], device);
    entries
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
