//! An MLP head on the CPU kernels. Products see the rows of all views at once; BatchNorm is per view, LayerNorm per row.

use covary_kernels::{
    DenseNorm, DenseStatistics, Isa, LayerNorm, Linear, LinearScratch, Precision, RowStatistics,
    add_bias, add_column_sums,
};

use super::{LayerPlan, MlpConfig};

/// A head, with what its last forward pass left for the backward pass.
#[derive(Debug)]
pub(crate) struct MlpKernels {
    isa: Isa,
    layers: Vec<Layer>,
    input: Vec<f32>,
    views: usize,
    gradient: Vec<f32>,
    next_gradient: Vec<f32>,
    scratch: LinearScratch,
}

#[derive(Debug)]
struct Layer {
    plan: LayerPlan,
    linear: Linear,
    /// Output of the linear layer, `[views * n, outputs]`.
    y: Vec<f32>,
    /// Output behind normalisation and ReLU.
    out: Vec<f32>,
    statistics: Vec<DenseStatistics>,
    row_statistics: Vec<RowStatistics>,
}

/// A layer's parameters within the flat vector, in order.
struct Spans {
    weight: std::ops::Range<usize>,
    bias: std::ops::Range<usize>,
    gamma: std::ops::Range<usize>,
    beta: std::ops::Range<usize>,
}

impl LayerPlan {
    fn spans(&self, start: usize) -> Spans {
        let mut at = start;
        let mut next = |len: usize| {
            at += len;
            at - len..at
        };
        let affine = if self.norm.is_some_and(|norm| norm.affine) {
            self.outputs
        } else {
            0
        };
        Spans {
            weight: next(self.inputs * self.outputs),
            bias: next(if self.bias { self.outputs } else { 0 }),
            gamma: next(affine),
            beta: next(affine),
        }
    }
}

/// Where BatchNorm takes its statistics from.
enum Source<'a> {
    Batch(Option<&'a mut [f32]>),
    Running(&'a [f32]),
}

impl MlpKernels {
    /// Products multiply numbers of `precision`; everything else is f32.
    pub(crate) fn new(config: &MlpConfig, isa: Isa, precision: Precision) -> Self {
        let layer = |plan: LayerPlan| {
            let linear = Linear::new(plan.inputs, plan.outputs, isa, precision);
            Layer {
                plan,
                linear,
                y: Vec::new(),
                out: Vec::new(),
                statistics: Vec::new(),
                row_statistics: Vec::new(),
            }
        };
        Self {
            isa,
            layers: config.plan().into_iter().map(layer).collect(),
            input: Vec::new(),
            views: 1,
            gradient: Vec::new(),
            next_gradient: Vec::new(),
            scratch: LinearScratch::default(),
        }
    }

    /// Says that the parameters changed.
    pub(crate) fn invalidate(&mut self) {
        self.layers
            .iter_mut()
            .for_each(|layer| layer.linear.invalidate());
    }

    /// Training mode; moves the running statistics where given.
    pub(crate) fn forward(
        &mut self,
        parameters: &[f32],
        statistics: Option<&mut [f32]>,
        input: &[f32],
        views: usize,
        out: &mut [f32],
    ) {
        self.pass(parameters, Source::Batch(statistics), input, views, out);
    }

    /// Eval mode.
    pub(crate) fn infer(
        &mut self,
        parameters: &[f32],
        statistics: &[f32],
        input: &[f32],
        out: &mut [f32],
    ) {
        self.pass(parameters, Source::Running(statistics), input, 1, out);
    }

    fn pass(
        &mut self,
        parameters: &[f32],
        mut source: Source<'_>,
        input: &[f32],
        views: usize,
        out: &mut [f32],
    ) {
        self.input.clear();
        self.input.extend_from_slice(input);
        self.views = views;
        let (mut start, mut seen) = (0, 0);
        for index in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(index);
            let x = before.last().map_or(&self.input, |layer| layer.result());
            let layer = &mut rest[0];
            let spans = layer.plan.spans(start);
            start = spans.beta.end;
            layer
                .y
                .resize(x.len() / layer.plan.inputs * layer.plan.outputs, 0.0);
            layer.linear.forward(
                x,
                &parameters[spans.weight.clone()],
                &mut layer.y,
                &mut self.scratch,
            );
            if layer.plan.bias {
                add_bias(&parameters[spans.bias.clone()], &mut layer.y);
            }
            layer.normalise(self.isa, parameters, &spans, &mut source, &mut seen, views);
        }
        out.copy_from_slice(self.layers.last().expect("a head has a layer").result());
    }

    /// Output of the last linear layer.
    pub(crate) fn before_output_norm(&self) -> &[f32] {
        &self.layers.last().expect("a head has a layer").y
    }

    /// Gradient of the input; those of the parameters are added to `gradients`, where given.
    pub(crate) fn backward(
        &mut self,
        parameters: &[f32],
        output_gradient: &[f32],
        input_gradient: &mut [f32],
        mut gradients: Option<&mut [f32]>,
    ) {
        let starts: Vec<usize> = self
            .layers
            .iter()
            .scan(0, |start, layer| {
                let now = *start;
                *start = layer.plan.spans(now).beta.end;
                Some(now)
            })
            .collect();
        self.gradient.clear();
        self.gradient.extend_from_slice(output_gradient);
        for index in (0..self.layers.len()).rev() {
            let (before, rest) = self.layers.split_at_mut(index);
            let x = before.last().map_or(&self.input, |layer| layer.result());
            let layer = &mut rest[0];
            let spans = layer.plan.spans(starts[index]);
            layer.norm_gradient(
                self.isa,
                parameters,
                &spans,
                self.views,
                gradients.as_deref_mut(),
                &mut self.gradient,
            );
            if let Some(gradients) = gradients.as_deref_mut() {
                layer.linear.weight_gradient(
                    x,
                    &self.gradient,
                    &mut gradients[spans.weight.clone()],
                    &mut self.scratch,
                );
                if layer.plan.bias {
                    add_column_sums(&self.gradient, &mut gradients[spans.bias]);
                }
            }
            self.next_gradient.resize(x.len(), 0.0);
            layer.linear.input_gradient(
                &self.gradient,
                &parameters[spans.weight],
                &mut self.next_gradient,
                &mut self.scratch,
            );
            std::mem::swap(&mut self.gradient, &mut self.next_gradient);
        }
        input_gradient.copy_from_slice(&self.gradient);
    }
}

impl Layer {
    fn result(&self) -> &Vec<f32> {
        if self.plan.norm.is_some() || self.plan.relu {
            &self.out
        } else {
            &self.y
        }
    }

    fn norm(&self) -> DenseNorm {
        DenseNorm {
            width: self.plan.outputs,
            relu: self.plan.relu,
        }
    }

    fn layer_norm(&self) -> LayerNorm {
        LayerNorm {
            width: self.plan.outputs,
            relu: self.plan.relu,
        }
    }

    fn normalise(
        &mut self,
        isa: Isa,
        parameters: &[f32],
        spans: &Spans,
        source: &mut Source<'_>,
        seen: &mut usize,
        views: usize,
    ) {
        let width = self.plan.outputs;
        let Some(plan) = self.plan.norm else {
            if self.plan.relu {
                self.out.clear();
                self.out.extend(self.y.iter().map(|y| y.max(0.0)));
            }
            return;
        };
        let norm = self.norm();
        let affine = plan.affine.then(|| {
            (
                &parameters[spans.gamma.clone()],
                &parameters[spans.beta.clone()],
            )
        });
        self.out.resize(self.y.len(), 0.0);
        if plan.of_rows {
            let (norm, statistics) = (self.layer_norm(), &mut self.row_statistics);
            norm.forward(isa, &self.y, affine, statistics, &mut self.out);
            return;
        }
        self.statistics.clear();
        let part = self.y.len() / views;
        for (y, out) in self
            .y
            .chunks_exact(part)
            .zip(self.out.chunks_exact_mut(part))
        {
            let statistics = match source {
                Source::Batch(running) => {
                    let running = running
                        .as_deref_mut()
                        .map(|running| running[*seen..*seen + 2 * width].split_at_mut(width));
                    norm.batch_statistics(isa, y, running)
                }
                Source::Running(running) => {
                    let (mean, variance) = running[*seen..*seen + 2 * width].split_at(width);
                    DenseNorm::fixed_statistics(mean, variance)
                }
            };
            norm.forward(isa, y, &statistics, affine, out);
            self.statistics.push(statistics);
        }
        *seen += 2 * width;
    }

    /// Turns the gradient of the layer's result into that of its linear output, in place.
    fn norm_gradient(
        &self,
        isa: Isa,
        parameters: &[f32],
        spans: &Spans,
        views: usize,
        gradients: Option<&mut [f32]>,
        gradient: &mut [f32],
    ) {
        let Some(plan) = self.plan.norm else {
            if self.plan.relu {
                gradient
                    .iter_mut()
                    .zip(&self.out)
                    .for_each(|(g, out)| *g = if *out > 0.0 { *g } else { 0.0 });
            }
            return;
        };
        let gamma = plan.affine.then(|| &parameters[spans.gamma.clone()]);
        let mut affine = gradients
            .filter(|_| plan.affine)
            .map(|all| all[spans.gamma.start..spans.beta.end].split_at_mut(spans.gamma.len()));
        if plan.of_rows {
            let (norm, rows) = (self.layer_norm(), &self.row_statistics);
            norm.backward(isa, &self.y, &self.out, rows, gamma, affine, gradient);
            return;
        }
        let part = gradient.len() / views;
        let views = gradient
            .chunks_exact_mut(part)
            .zip(self.y.chunks_exact(part))
            .zip(self.out.chunks_exact(part));
        for (((gradient, y), out), statistics) in views.zip(&self.statistics) {
            let affine = affine
                .as_mut()
                .map(|(gamma, beta)| (&mut **gamma, &mut **beta));
            self.norm()
                .backward(isa, y, out, statistics, gamma, affine, gradient);
        }
    }
}
