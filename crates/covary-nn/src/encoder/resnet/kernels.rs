//! A ResNet of basic blocks on the CPU kernels: stem, four stages, mean over pixels. He et al. 2016; stem for small images.
//!
//! In training views go through one after the other, each normalised by its own statistics. What a forward pass leaves for the backward pass is
//! kept a view; all buffers stay between steps.

use covary_kernels::{
    Below, BlockGeometry, BlockScratch, BlockTape, Element, Folded, Isa, Operand, Precision,
    ReluGradient, ResidualBlock, Statistics, Stem, StemScratch, StemTape, average_pool,
};
use half::bf16;
use rayon::prelude::*;

/// Images that go through together on one thread in eval mode: few enough to stay near, enough to read the weights seldom.
const INFERENCE_IMAGES: usize = 16;

/// The network in the precision it was built for.
#[derive(Debug)]
pub(crate) enum ResNetKernels {
    /// f32 stored and multiplied.
    F32(Stages<f32, f32>),
    /// bf16 stored and multiplied.
    Bf16(Stages<bf16, bf16>),
    /// bf16 stored, widened to f32 for processors that do not multiply bf16.
    Widened(Stages<bf16, f32>),
}

macro_rules! each {
    ($network:expr, $stages:ident => $call:expr) => {
        match $network {
            ResNetKernels::F32($stages) => $call,
            ResNetKernels::Bf16($stages) => $call,
            ResNetKernels::Widened($stages) => $call,
        }
    };
}

impl ResNetKernels {
    pub(crate) fn new(
        rows: usize,
        columns: usize,
        width: usize,
        blocks: [usize; 4],
        isa: Isa,
        precision: Precision,
    ) -> Self {
        match precision {
            Precision::F32 => Self::F32(Stages::new(rows, columns, width, blocks, isa)),
            Precision::Bf16 if isa == Isa::Avx512Bf16 => {
                Self::Bf16(Stages::new(rows, columns, width, blocks, isa))
            }
            Precision::Bf16 => Self::Widened(Stages::new(rows, columns, width, blocks, isa)),
        }
    }

    /// Says that the parameters changed.
    pub(crate) fn invalidate(&mut self) {
        each!(self, stages => stages.packed = Packed::Nothing);
    }

    /// Representations in training mode.
    ///
    /// # Shapes
    /// - images: `[views * n, rows, columns, 3]`
    /// - out: `[views * n, 8 * width]`
    pub(crate) fn forward(
        &mut self,
        parameters: &[f32],
        statistics: Option<&mut [f32]>,
        images: &[f32],
        views: usize,
        keep_tape: bool,
        out: &mut [f32],
    ) {
        each!(self, stages => stages.forward(parameters, statistics, images, views, keep_tape, out));
    }

    /// Adds the gradients of the last forward pass that kept its tape.
    pub(crate) fn backward(
        &mut self,
        parameters: &[f32],
        representation_gradient: &[f32],
        gradients: &mut [f32],
    ) {
        each!(self, stages => stages.backward(parameters, representation_gradient, gradients));
    }

    /// Representations in eval mode.
    pub(crate) fn infer(
        &mut self,
        parameters: &[f32],
        statistics: &[f32],
        images: &[f32],
        out: &mut [f32],
    ) {
        each!(self, stages => stages.infer(parameters, statistics, images, out));
    }
}

/// What the packed weights are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Packed {
    Nothing,
    Forward,
    Both,
}

#[derive(Debug)]
pub(crate) struct Stages<T, O> {
    isa: Isa,
    stem: Stem<T, O>,
    blocks: Vec<ResidualBlock<T, O>>,
    image_len: usize,
    last_pixels: usize,
    features: usize,
    packed: Packed,
    tapes: Vec<Tape<T>>,
    untracked: Tape<T>,
    stem_scratch: StemScratch,
    block_scratch: BlockScratch<T>,
    gradient: ReluGradient<T>,
    next_gradient: ReluGradient<T>,
}

/// One view's way through the network.
#[derive(Debug, Default)]
struct Tape<T> {
    stem: StemTape<T>,
    blocks: Vec<BlockTape<T>>,
}

impl<T> Tape<T> {
    /// Output of the stem and `count` blocks, and the BatchNorm before its ReLU.
    fn output_of(&self, count: usize) -> (&[T], Below<'_, T>) {
        match count.checked_sub(1) {
            None => (&self.stem.output, self.stem.below()),
            Some(last) => (&self.blocks[last].output, self.blocks[last].below()),
        }
    }
}

impl<T: Element, O: Operand> Stages<T, O> {
    fn new(rows: usize, columns: usize, width: usize, counts: [usize; 4], isa: Isa) -> Self {
        let (mut height, mut columns_now, mut channels) = (rows, columns, width);
        let mut blocks = Vec::new();
        for (stage, &count) in counts.iter().enumerate() {
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let c_out = width << stage;
                blocks.push(ResidualBlock::new(
                    BlockGeometry {
                        height,
                        width: columns_now,
                        c_in: channels,
                        c_out,
                        stride,
                    },
                    isa,
                ));
                (height, columns_now, channels) =
                    (height.div_ceil(stride), columns_now.div_ceil(stride), c_out);
            }
        }
        Self {
            isa,
            stem: Stem::new(rows, columns, 3, width, isa),
            blocks,
            image_len: rows * columns * 3,
            last_pixels: height * columns_now,
            features: channels,
            packed: Packed::Nothing,
            tapes: Vec::new(),
            untracked: Tape::default(),
            stem_scratch: StemScratch::default(),
            block_scratch: BlockScratch::default(),
            gradient: ReluGradient::default(),
            next_gradient: ReluGradient::default(),
        }
    }

    fn pack(&mut self, parameters: &[f32], needed: Packed) {
        if self.packed >= needed {
            return;
        }
        let (stem, mut rest) = parameters.split_at(self.stem.parameters_len());
        self.stem.pack(stem);
        let blocks = self.blocks.iter_mut().map(|block| {
            let (own, behind) = rest.split_at(block.parameters_len());
            rest = behind;
            (block, own)
        });
        let blocks: Vec<_> = blocks.collect();
        blocks
            .into_par_iter()
            .for_each(|(block, parameters)| block.pack(parameters, needed == Packed::Both));
        self.packed = needed;
    }

    fn forward(
        &mut self,
        parameters: &[f32],
        mut statistics: Option<&mut [f32]>,
        images: &[f32],
        views: usize,
        keep_tape: bool,
        out: &mut [f32],
    ) {
        self.pack(
            parameters,
            if keep_tape {
                Packed::Both
            } else {
                Packed::Forward
            },
        );
        let mut tapes = std::mem::take(&mut self.tapes);
        if keep_tape {
            tapes.resize_with(views, Tape::default);
        }
        let parts = images
            .chunks_exact(images.len() / views)
            .zip(out.chunks_exact_mut(out.len() / views));
        for (view, (images, out)) in parts.enumerate() {
            let running = statistics
                .as_deref_mut()
                .map_or(Statistics::Batch, Statistics::Update);
            if keep_tape {
                self.one_view(parameters, running, images, &mut tapes[view], out);
            } else {
                let mut tape = std::mem::take(&mut self.untracked);
                self.one_view(parameters, running, images, &mut tape, out);
                self.untracked = tape;
            }
        }
        self.tapes = tapes;
    }

    fn infer(&mut self, parameters: &[f32], statistics: &[f32], images: &[f32], out: &mut [f32]) {
        self.pack(parameters, Packed::Forward);
        let folded = self.folded(parameters, statistics);
        let parts = images
            .par_chunks(INFERENCE_IMAGES * self.image_len)
            .zip(out.par_chunks_mut(INFERENCE_IMAGES * self.features));
        parts.for_each(|(images, out)| {
            let (mut x, mut next) = (Vec::new(), Vec::new());
            let (stem, blocks) = folded.split_first().expect("a stem comes first");
            self.stem.infer(images, stem, &mut x);
            for (block, folded) in self.blocks.iter().zip(blocks) {
                block.infer(&x, folded, &mut next);
                std::mem::swap(&mut x, &mut next);
            }
            average_pool(&x, self.last_pixels, self.features, out);
        });
    }

    /// BatchNorms in eval mode, of the stem and of each block.
    fn folded(&self, parameters: &[f32], statistics: &[f32]) -> Vec<Folded> {
        let mut parameters_at = self.stem.parameters_len();
        let mut statistics_at = self.stem.statistics_len();
        let mut folded = vec![self.stem.fold(parameters, statistics)];
        for block in &self.blocks {
            folded.push(block.fold(&parameters[parameters_at..], &statistics[statistics_at..]));
            parameters_at += block.parameters_len();
            statistics_at += block.statistics_len();
        }
        folded
    }

    fn one_view(
        &mut self,
        parameters: &[f32],
        mut statistics: Statistics<'_>,
        images: &[f32],
        tape: &mut Tape<T>,
        out: &mut [f32],
    ) {
        let (stem, mut rest) = parameters.split_at(self.stem.parameters_len());
        let running = statistics.part(self.stem.statistics_len());
        self.stem.forward(
            images,
            stem,
            running,
            &mut tape.stem,
            &mut self.stem_scratch,
        );
        tape.blocks
            .resize_with(self.blocks.len(), BlockTape::default);
        for index in 0..self.blocks.len() {
            let block = &self.blocks[index];
            let (done, ahead) = tape.blocks.split_at_mut(index);
            let x = done.last().map_or(&tape.stem.output, |tape| &tape.output);
            let running = statistics.part(block.statistics_len());
            block.forward(
                x,
                &rest[..block.parameters_len()],
                running,
                &mut ahead[0],
                &mut self.block_scratch,
            );
            rest = &rest[block.parameters_len()..];
        }
        let last = tape
            .blocks
            .last()
            .map_or(&tape.stem.output, |tape| &tape.output);
        average_pool(last, self.last_pixels, self.features, out);
    }

    fn backward(
        &mut self,
        parameters: &[f32],
        representation_gradient: &[f32],
        gradients: &mut [f32],
    ) {
        let views = self.tapes.len();
        let mut starts = vec![self.stem.parameters_len()];
        starts.extend(self.blocks.iter().scan(starts[0], |start, block| {
            *start += block.parameters_len();
            Some(*start)
        }));
        for (tape, dh) in self
            .tapes
            .iter()
            .zip(representation_gradient.chunks_exact(representation_gradient.len() / views))
        {
            let (output, below) = tape.output_of(self.blocks.len());
            self.gradient
                .set_from_pool(self.isa, dh, self.features, output, below);
            for (index, block) in self.blocks.iter().enumerate().rev() {
                let span = starts[index]..starts[index + 1];
                let (x, below) = tape.output_of(index);
                block.backward(
                    x,
                    below,
                    &parameters[span.clone()],
                    &mut gradients[span],
                    &self.gradient,
                    &mut self.next_gradient,
                    &tape.blocks[index],
                    &mut self.block_scratch,
                );
                std::mem::swap(&mut self.gradient, &mut self.next_gradient);
            }
            let span = ..self.stem.parameters_len();
            self.stem.backward(
                &parameters[span],
                &mut gradients[span],
                &self.gradient,
                &tape.stem,
                &mut self.stem_scratch,
            );
        }
    }
}
