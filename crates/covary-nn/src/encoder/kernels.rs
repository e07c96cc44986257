//! An encoder on the CPU kernels.
//!
//! In training views go through one after the other, each normalised by its own statistics. What a forward pass leaves for the backward pass is
//! kept a view and a group of views; all buffers stay between steps. Images of another size have layers of their own, with the same
//! parameters.

use covary_kernels::{
    ConvBlock, ConvBlockOptions, Element, Feed, Folded, Isa, Layer, LayerScratch, LayerTape,
    Operand, Precision, ReluGradient, ResidualBlock, Statistics, average_pool, store_images,
};
use half::bf16;
use rayon::prelude::*;

use super::EncoderConfig;
use super::plan::{COLOURS, LayerPlan, Plan};
use crate::engine::{Engine, Pass, Values};

/// Images that go through together on one thread in eval mode: few enough to stay near, enough to read the weights seldom.
const INFERENCE_IMAGES: usize = 16;

/// The encoder in that precision: f32 stored and multiplied; bf16 stored and multiplied; or bf16 stored and widened to f32 for
/// processors that do not multiply bf16.
pub(crate) fn engine(
    config: &EncoderConfig,
    plan: Plan,
    isa: Isa,
    precision: Precision,
) -> Box<dyn Engine> {
    match precision {
        Precision::F32 => Box::new(EncoderKernels::<f32, f32>::new(config, plan, isa)),
        Precision::Bf16 if isa == Isa::Avx512Bf16 => {
            Box::new(EncoderKernels::<bf16, bf16>::new(config, plan, isa))
        }
        Precision::Bf16 => Box::new(EncoderKernels::<bf16, f32>::new(config, plan, isa)),
    }
}

#[derive(Debug)]
struct EncoderKernels<T, O> {
    config: EncoderConfig,
    isa: Isa,
    /// The layers for each size of images that came; the first for the configured one.
    chains: Vec<Chain<T, O>>,
    groups: Vec<Group<T>>,
    untracked: ViewTape<T>,
    buffers: Buffers<T>,
}

/// What a forward pass of some views left.
#[derive(Debug, Default)]
struct Group<T> {
    /// Index of the layers that they went through.
    chain: usize,
    views: Vec<ViewTape<T>>,
}

/// One view's way through the layers.
#[derive(Debug, Default)]
struct ViewTape<T> {
    images: Vec<T>,
    layers: Vec<LayerTape<T>>,
}

/// Buffers that all passes share.
#[derive(Debug, Default)]
struct Buffers<T> {
    scratch: LayerScratch<T>,
    gradient: ReluGradient<T>,
    next_gradient: ReluGradient<T>,
}

/// What the packed weights are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Packed {
    Nothing,
    Forward,
    Both,
}

/// The layers for images of one size.
#[derive(Debug)]
struct Chain<T, O> {
    plan: Plan,
    isa: Isa,
    first: ConvBlock<T, O>,
    rest: Vec<Box<dyn Layer<T>>>,
    packed: Packed,
}

impl<T: Element, O: Operand> EncoderKernels<T, O> {
    fn new(config: &EncoderConfig, plan: Plan, isa: Isa) -> Self {
        Self {
            config: config.clone(),
            isa,
            chains: vec![Chain::new(plan, isa)],
            groups: Vec::new(),
            untracked: ViewTape::default(),
            buffers: Buffers::default(),
        }
    }

    /// Index of the layers for images of that size.
    fn chain_of(&mut self, size: [usize; 2]) -> usize {
        let known = self.chains.iter().position(|chain| chain.plan.size == size);
        known.unwrap_or_else(|| {
            let plan = self.config.plan(size);
            let plan = plan.expect("images of a group have at least 8 rows and columns");
            self.chains.push(Chain::new(plan, self.isa));
            self.chains.len() - 1
        })
    }
}

impl<T: Element, O: Operand> Engine for EncoderKernels<T, O> {
    fn forward(&mut self, values: Values<'_, &mut [f32]>, pass: Pass<'_>, out: &mut [f32]) {
        let Values {
            parameters,
            statistics,
        } = values;
        let index = self.chain_of(pass.size);
        let chain = &mut self.chains[index];
        let needed = if pass.keep_tape {
            Packed::Both
        } else {
            Packed::Forward
        };
        chain.pack(parameters, statistics, needed);
        let parts = pass
            .input
            .chunks_exact(pass.input.len() / pass.views)
            .zip(out.chunks_exact_mut(out.len() / pass.views));
        let mut tapes = if pass.keep_tape {
            if self.groups.len() <= pass.group {
                self.groups.resize_with(pass.group + 1, Group::default);
            }
            let group = &mut self.groups[pass.group];
            group.chain = index;
            group.views.resize_with(pass.views, ViewTape::default);
            group.views.iter_mut()
        } else {
            [].iter_mut()
        };
        for (images, out) in parts {
            let tape = tapes.next().unwrap_or(&mut self.untracked);
            chain.forward(
                parameters,
                statistics,
                images,
                tape,
                &mut self.buffers.scratch,
                out,
            );
        }
    }

    fn backward(
        &mut self,
        values: Values<'_, &[f32]>,
        group: usize,
        output_gradient: &[f32],
        gradients: &mut [f32],
    ) -> Vec<f32> {
        let group = &self.groups[group];
        let chain = &self.chains[group.chain];
        let parts = output_gradient.chunks_exact(output_gradient.len() / group.views.len());
        for (tape, dh) in group.views.iter().zip(parts) {
            chain.backward(values.parameters, dh, gradients, tape, &mut self.buffers);
        }
        Vec::new()
    }

    fn infer(&mut self, values: Values<'_, &[f32]>, input: &[f32], out: &mut [f32]) {
        let Values {
            parameters,
            statistics,
        } = values;
        let chain = &mut self.chains[0];
        chain.pack(parameters, statistics, Packed::Forward);
        chain.infer(parameters, statistics, input, out);
    }

    fn invalidate(&mut self) {
        let chains = self.chains.iter_mut();
        chains.for_each(|chain| chain.packed = Packed::Nothing);
    }
}

impl<T: Element, O: Operand> Chain<T, O> {
    fn new(plan: Plan, isa: Isa) -> Self {
        let layers = &plan.layers;
        let block = |index: usize| {
            let LayerPlan::Conv(conv) = &layers[index] else {
                return None;
            };
            let options = ConvBlockOptions {
                pool: conv.pool,
                frozen: conv.frozen,
                stores_output: !matches!(layers.get(index + 1), Some(LayerPlan::Conv(_))),
            };
            Some(ConvBlock::new(conv.geometry, options, isa))
        };
        let layer = |index: usize| -> Box<dyn Layer<T>> {
            match &layers[index] {
                LayerPlan::Conv(_) => Box::new(block(index).expect("the layer is a convolution")),
                LayerPlan::Residual { geometry, .. } => {
                    Box::new(ResidualBlock::<T, O>::new(*geometry, isa))
                }
            }
        };
        Self {
            first: block(0).expect("an encoder starts with a convolution"),
            rest: (1..layers.len()).map(layer).collect(),
            packed: Packed::Nothing,
            isa,
            plan,
        }
    }

    fn layers(&self) -> impl DoubleEndedIterator<Item = &dyn Layer<T>> {
        let first: &dyn Layer<T> = &self.first;
        std::iter::once(first).chain(self.rest.iter().map(|layer| &**layer))
    }

    /// What a frozen first layer reads, behind the running statistics.
    fn frozen<'a>(&self, statistics: &'a [f32]) -> &'a [f32] {
        let running: usize = self.layers().map(Layer::statistics_len).sum();
        &statistics[running..]
    }

    fn pack(&mut self, parameters: &[f32], statistics: &[f32], needed: Packed) {
        if self.packed >= needed {
            return;
        }
        let frozen = self.frozen(statistics);
        if !frozen.is_empty() {
            self.first.pack_frozen(frozen);
        }
        let first: &mut dyn Layer<T> = &mut self.first;
        let rest = self.rest.iter_mut().map(|layer| &mut **layer);
        let mut behind = parameters;
        let layers: Vec<_> = std::iter::once(first)
            .chain(rest)
            .map(|layer| {
                let (own, rest) = behind.split_at(layer.parameters_len());
                behind = rest;
                (layer, own)
            })
            .collect();
        layers
            .into_par_iter()
            .enumerate()
            // Nothing asks for the gradient of the images.
            .for_each(|(index, (layer, own))| layer.pack(own, index > 0 && needed == Packed::Both));
        self.packed = needed;
    }

    /// One view in training mode.
    fn forward(
        &self,
        parameters: &[f32],
        statistics: &mut [f32],
        images: &[f32],
        tape: &mut ViewTape<T>,
        scratch: &mut LayerScratch<T>,
        out: &mut [f32],
    ) {
        let pixels = self.plan.size[0] * self.plan.size[1];
        store_images(images, pixels, COLOURS, &mut tape.images);
        tape.layers
            .resize_with(self.rest.len() + 1, LayerTape::default);
        let (mut behind, mut statistics) = (parameters, Statistics::Update(statistics));
        let mut before: Option<&dyn Layer<T>> = None;
        for (index, layer) in self.layers().enumerate() {
            let (done, ahead) = tape.layers.split_at_mut(index);
            let x = match (before, done.last()) {
                (Some(layer), Some(tape)) => layer.feed(tape),
                _ => Feed::stored(&tape.images),
            };
            let (own, rest) = behind.split_at(layer.parameters_len());
            let running = statistics.part(layer.statistics_len());
            layer.forward(x, own, running, &mut ahead[0], scratch);
            (before, behind) = (Some(layer), rest);
        }
        let last = tape.layers.last().expect("an encoder has a layer").output();
        average_pool(last, self.plan.last_pixels(), self.plan.features(), out);
    }

    /// One view back, from the gradient of its representations.
    fn backward(
        &self,
        parameters: &[f32],
        dh: &[f32],
        gradients: &mut [f32],
        tape: &ViewTape<T>,
        buffers: &mut Buffers<T>,
    ) {
        let Buffers {
            scratch,
            gradient,
            next_gradient,
        } = buffers;
        let layers: Vec<_> = self.layers().zip(&tape.layers).collect();
        let (last, last_tape) = layers.last().expect("an encoder has a layer");
        let (output, below) = (last_tape.output(), last.below(last_tape));
        gradient.set_from_pool(self.isa, dh, self.plan.features(), output, below);
        let mut end = parameters.len();
        for (index, (layer, own)) in layers.iter().enumerate().rev() {
            let span = end - layer.parameters_len()..end;
            end = span.start;
            let before = index.checked_sub(1).map(|before| layers[before]);
            let x = before.map_or(Feed::stored(&tape.images), |(layer, tape)| layer.feed(tape));
            layer.backward(
                x,
                before.map(|(layer, tape)| layer.below(tape)),
                &parameters[span.clone()],
                &mut gradients[span],
                gradient,
                next_gradient,
                own,
                scratch,
            );
            std::mem::swap(gradient, next_gradient);
        }
    }

    fn infer(&self, parameters: &[f32], statistics: &[f32], images: &[f32], out: &mut [f32]) {
        let folded = self.folded(parameters, statistics);
        let (first, rest) = folded.split_first().expect("an encoder has a layer");
        let features = self.plan.features();
        let parts = images
            .par_chunks(INFERENCE_IMAGES * self.plan.image_len())
            .zip(out.par_chunks_mut(INFERENCE_IMAGES * features));
        parts.for_each(|(images, out)| {
            let (mut x, mut next) = (Vec::new(), Vec::new());
            self.first.infer_images(images, first, &mut x);
            for (layer, folded) in self.rest.iter().zip(rest) {
                layer.infer(&x, folded, &mut next);
                std::mem::swap(&mut x, &mut next);
            }
            average_pool(&x, self.plan.last_pixels(), features, out);
        });
    }

    /// BatchNorms in eval mode, of each layer.
    fn folded(&self, mut parameters: &[f32], mut statistics: &[f32]) -> Vec<Folded> {
        let layers = self.layers().map(|layer| {
            let folded = layer.fold(parameters, statistics);
            parameters = &parameters[layer.parameters_len()..];
            statistics = &statistics[layer.statistics_len()..];
            folded
        });
        layers.collect()
    }
}
