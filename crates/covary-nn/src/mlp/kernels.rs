//! An MLP head on the CPU kernels. Products see the rows of all views at once; BatchNorm is per view, LayerNorm per row.

use covary_kernels::{
    DenseNorm, DenseStatistics, Isa, LayerNorm, Linear, LinearScratch, Precision, RowStatistics,
    add_bias, add_column_sums,
};

use super::{LayerPlan, MlpConfig};
use crate::engine::{Engine, Pass, Values};

/// A head, with what the last forward pass of each group left for the backward pass.
#[derive(Debug)]
pub(crate) struct MlpKernels {
    isa: Isa,
    layers: Vec<Layer>,
    groups: Vec<Tape>,
    untracked: Tape,
    gradient: Vec<f32>,
    next_gradient: Vec<f32>,
    scratch: LinearScratch,
}

#[derive(Debug)]
struct Layer {
    plan: LayerPlan,
    linear: Linear,
}

/// What a forward pass of some views left.
#[derive(Debug, Default)]
struct Tape {
    input: Vec<f32>,
    views: usize,
    layers: Vec<LayerTape>,
}

#[derive(Debug, Default)]
struct LayerTape {
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
    Batch(&'a mut [f32]),
    Running(&'a [f32]),
}

impl MlpKernels {
    /// Products multiply numbers of `precision`; everything else is f32.
    pub(crate) fn new(config: &MlpConfig, isa: Isa, precision: Precision) -> Self {
        let layer = |plan: LayerPlan| Layer {
            linear: Linear::new(plan.inputs, plan.outputs, isa, precision),
            plan,
        };
        Self {
            isa,
            layers: config.plan().into_iter().map(layer).collect(),
            groups: Vec::new(),
            untracked: Tape::default(),
            gradient: Vec::new(),
            next_gradient: Vec::new(),
            scratch: LinearScratch::default(),
        }
    }

    fn pass(
        &mut self,
        parameters: &[f32],
        mut source: Source<'_>,
        input: &[f32],
        views: usize,
        tape: &mut Tape,
        out: &mut [f32],
    ) {
        tape.input.clear();
        tape.input.extend_from_slice(input);
        tape.views = views;
        tape.layers
            .resize_with(self.layers.len(), LayerTape::default);
        let (mut start, mut seen) = (0, 0);
        let mut x = &tape.input;
        for (layer, tape) in self.layers.iter_mut().zip(&mut tape.layers) {
            let spans = layer.plan.spans(start);
            start = spans.beta.end;
            let len = x.len() / layer.plan.inputs * layer.plan.outputs;
            tape.y.resize(len, 0.0);
            layer.linear.forward(
                x,
                &parameters[spans.weight.clone()],
                &mut tape.y,
                &mut self.scratch,
            );
            if layer.plan.bias {
                add_bias(&parameters[spans.bias.clone()], &mut tape.y);
            }
            let plan = &layer.plan;
            plan.normalise(
                self.isa,
                parameters,
                &spans,
                &mut source,
                &mut seen,
                views,
                tape,
            );
            x = plan.result(tape);
        }
        out.copy_from_slice(x);
    }

    /// Gradient of a group's input; those of the parameters are added to `gradients`, where given.
    fn gradients(
        &mut self,
        parameters: &[f32],
        group: usize,
        output_gradient: &[f32],
        mut gradients: Option<&mut [f32]>,
    ) -> Vec<f32> {
        let tape = &self.groups[group];
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
            let x = match before.last() {
                Some(layer) => layer.plan.result(&tape.layers[index - 1]),
                None => &tape.input,
            };
            let layer = &mut rest[0];
            let spans = layer.plan.spans(starts[index]);
            layer.plan.norm_gradient(
                self.isa,
                parameters,
                &spans,
                tape.views,
                &tape.layers[index],
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
        self.gradient.clone()
    }
}

impl Engine for MlpKernels {
    fn forward(&mut self, values: Values<'_, &mut [f32]>, pass: Pass<'_>, out: &mut [f32]) {
        if self.groups.len() <= pass.group {
            self.groups.resize_with(pass.group + 1, Tape::default);
        }
        let Values {
            parameters,
            statistics,
        } = values;
        let source = Source::Batch(statistics);
        // The tape is taken out so that the pass may borrow the rest.
        if pass.keep_tape {
            let mut tape = std::mem::take(&mut self.groups[pass.group]);
            self.pass(parameters, source, pass.input, pass.views, &mut tape, out);
            self.groups[pass.group] = tape;
        } else {
            let mut tape = std::mem::take(&mut self.untracked);
            self.pass(parameters, source, pass.input, pass.views, &mut tape, out);
            self.untracked = tape;
        }
    }

    fn backward(
        &mut self,
        values: Values<'_, &[f32]>,
        group: usize,
        output_gradient: &[f32],
        gradients: &mut [f32],
    ) -> Vec<f32> {
        self.gradients(values.parameters, group, output_gradient, Some(gradients))
    }

    fn infer(&mut self, values: Values<'_, &[f32]>, input: &[f32], out: &mut [f32]) {
        let mut tape = std::mem::take(&mut self.untracked);
        let source = Source::Running(values.statistics);
        self.pass(values.parameters, source, input, 1, &mut tape, out);
        self.untracked = tape;
    }

    fn invalidate(&mut self) {
        let layers = self.layers.iter_mut();
        layers.for_each(|layer| layer.linear.invalidate());
    }

    fn input_gradient(
        &mut self,
        parameters: &[f32],
        group: usize,
        output_gradient: &[f32],
    ) -> Option<Vec<f32>> {
        Some(self.gradients(parameters, group, output_gradient, None))
    }

    fn before_output_norm(&self, group: usize) -> Option<&[f32]> {
        let last = self.groups.get(group)?.layers.last()?;
        Some(&last.y)
    }
}

impl LayerPlan {
    /// The layer's output among what it left.
    fn result<'a>(&self, tape: &'a LayerTape) -> &'a Vec<f32> {
        if self.norm.is_some() || self.relu {
            &tape.out
        } else {
            &tape.y
        }
    }

    fn batch_norm(&self) -> DenseNorm {
        DenseNorm {
            width: self.outputs,
            relu: self.relu,
        }
    }

    fn layer_norm(&self) -> LayerNorm {
        LayerNorm {
            width: self.outputs,
            relu: self.relu,
        }
    }

    fn normalise(
        &self,
        isa: Isa,
        parameters: &[f32],
        spans: &Spans,
        source: &mut Source<'_>,
        seen: &mut usize,
        views: usize,
        tape: &mut LayerTape,
    ) {
        let width = self.outputs;
        let Some(plan) = self.norm else {
            if self.relu {
                tape.out.clear();
                tape.out.extend(tape.y.iter().map(|y| y.max(0.0)));
            }
            return;
        };
        let norm = self.batch_norm();
        let affine = plan.affine.then(|| {
            (
                &parameters[spans.gamma.clone()],
                &parameters[spans.beta.clone()],
            )
        });
        tape.out.resize(tape.y.len(), 0.0);
        if plan.of_rows {
            let (norm, statistics) = (self.layer_norm(), &mut tape.row_statistics);
            norm.forward(isa, &tape.y, affine, statistics, &mut tape.out);
            return;
        }
        tape.statistics.clear();
        let part = tape.y.len() / views;
        for (y, out) in tape
            .y
            .chunks_exact(part)
            .zip(tape.out.chunks_exact_mut(part))
        {
            let statistics = match source {
                Source::Batch(running) => {
                    let running = running[*seen..*seen + 2 * width].split_at_mut(width);
                    norm.batch_statistics(isa, y, Some(running))
                }
                Source::Running(running) => {
                    let (mean, variance) = running[*seen..*seen + 2 * width].split_at(width);
                    DenseNorm::fixed_statistics(mean, variance)
                }
            };
            norm.forward(isa, y, &statistics, affine, out);
            tape.statistics.push(statistics);
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
        tape: &LayerTape,
        gradients: Option<&mut [f32]>,
        gradient: &mut [f32],
    ) {
        let Some(plan) = self.norm else {
            if self.relu {
                gradient
                    .iter_mut()
                    .zip(&tape.out)
                    .for_each(|(g, out)| *g = if *out > 0.0 { *g } else { 0.0 });
            }
            return;
        };
        let gamma = plan.affine.then(|| &parameters[spans.gamma.clone()]);
        let mut affine = gradients
            .filter(|_| plan.affine)
            .map(|all| all[spans.gamma.start..spans.beta.end].split_at_mut(spans.gamma.len()));
        if plan.of_rows {
            let (norm, rows) = (self.layer_norm(), &tape.row_statistics);
            norm.backward(isa, &tape.y, &tape.out, rows, gamma, affine, gradient);
            return;
        }
        let part = gradient.len() / views;
        let views = gradient
            .chunks_exact_mut(part)
            .zip(tape.y.chunks_exact(part))
            .zip(tape.out.chunks_exact(part));
        for (((gradient, y), out), statistics) in views.zip(&tape.statistics) {
            let affine = affine
                .as_mut()
                .map(|(gamma, beta)| (&mut **gamma, &mut **beta));
            self.batch_norm()
                .backward(isa, y, out, statistics, gamma, affine, gradient);
        }
    }
}
