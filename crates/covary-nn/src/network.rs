//! A network: flat vectors and the engine that computes with them.

use crate::encoder::plan::COLOURS;
use crate::encoder::{EncoderConfig, Initialisation, kernels, whiten};
use crate::engine::{Engine, EngineConfig, Pass, Values};
use crate::graph::{Architecture, GraphEngine};
use crate::initialise;
use crate::layout::Layout;
use crate::mlp::kernels::MlpKernels;
use crate::{MlpConfig, NnError};

/// A trainable network. Threads are those of the current rayon pool; results do not depend on their number.
///
/// A forward pass belongs to a group of views, which has a tape of its own: several groups, of images of several sizes, can go through one after
/// the other before their backward passes add up their gradients. [`Network::forward`] and [`Network::backward`] are those of group 0 and
/// of the configured size.
#[derive(Debug)]
pub struct Network {
    engine: Box<dyn Engine>,
    input: Input,
    output_width: usize,
    initialisation: Initialisation,
    layout: Layout,
    statistics_layout: Layout,
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    statistics: Vec<f32>,
}

/// What a row of the input is.
#[derive(Debug, Clone, Copy)]
enum Input {
    /// An image, by default of these rows and columns.
    Image([usize; 2]),
    /// Numbers.
    Row(usize),
}

impl Input {
    /// Rows and columns of square images of that side; of rows of numbers, nothing.
    fn square(self, side: usize) -> [usize; 2] {
        match self {
            Self::Image(_) => [side; 2],
            Self::Row(_) => [0; 2],
        }
    }

    fn default_size(self) -> [usize; 2] {
        match self {
            Self::Image(size) => size,
            Self::Row(_) => [0; 2],
        }
    }

    fn width(self, size: [usize; 2]) -> usize {
        match self {
            Self::Image(_) => size[0] * size[1] * COLOURS,
            Self::Row(width) => width,
        }
    }
}

impl Network {
    /// An encoder: normalised images `[views * n, rows, columns, 3]`, `size` their rows and columns, to representations
    /// `[views * n, features]`.
    ///
    /// # Errors
    /// Those of [`EncoderConfig::convolutions`].
    pub fn encoder(
        config: &EncoderConfig,
        size: [usize; 2],
        engine: &EngineConfig,
    ) -> Result<Self, NnError> {
        let plan = config.plan(size)?;
        let (layouts, features) = (plan.layouts(), plan.features());
        let engine = match engine {
            EngineConfig::Kernels { isa, precision } => {
                kernels::engine(config, plan, *isa, *precision)
            }
            EngineConfig::Burn(device) => {
                let architecture = Architecture::Encoder(config.clone(), size);
                Box::new(GraphEngine::new(architecture, device, layouts.clone()))
            }
        };
        let mut network = Self::new(engine, Input::Image(size), features, layouts);
        network.initialisation = config.initialisation;
        Ok(network)
    }

    /// A head: `[views * n, in]` to `[views * n, out]`.
    ///
    /// # Errors
    /// [`NnError::Size`] for fewer than two widths or a width of zero.
    pub fn mlp(config: &MlpConfig, engine: &EngineConfig) -> Result<Self, NnError> {
        config.check()?;
        let layouts = config.layouts();
        let engine: Box<dyn Engine> = match engine {
            EngineConfig::Kernels { isa, precision } => {
                Box::new(MlpKernels::new(config, *isa, *precision))
            }
            EngineConfig::Burn(device) => {
                let architecture = Architecture::Mlp(config.plan());
                Box::new(GraphEngine::new(architecture, device, layouts.clone()))
            }
        };
        let (input, output) = (config.sizes[0], config.sizes[config.sizes.len() - 1]);
        Ok(Self::new(engine, Input::Row(input), output, layouts))
    }

    fn new(
        engine: Box<dyn Engine>,
        input: Input,
        output_width: usize,
        (layout, statistics_layout): (Layout, Layout),
    ) -> Self {
        let mut statistics = vec![0.0; statistics_layout.len()];
        initialise::statistics(&statistics_layout, 0, "", &mut statistics);
        Self {
            engine,
            input,
            output_width,
            initialisation: Initialisation::default(),
            parameters: vec![0.0; layout.len()],
            gradients: vec![0.0; layout.len()],
            statistics,
            layout,
            statistics_layout,
        }
    }

    /// Draws initial values, each from (seed, `prefix` and name, shape) alone, and resets the running statistics. A whitened stem, until it is
    /// fitted, is drawn as a convolution that trains.
    pub fn initialise(&mut self, seed: u64, prefix: &str) {
        let (dirac, parameters) = (self.initialisation, &mut self.parameters);
        initialise::parameters(&self.layout, seed, prefix, dirac, parameters);
        initialise::statistics(&self.statistics_layout, seed, prefix, &mut self.statistics);
        self.invalidate();
    }

    /// Fits a whitened stem to normalised images of the configured size; other networks stay as they are.
    ///
    /// # Shapes
    /// - images: `[n, rows, columns, 3]`
    ///
    /// # Errors
    /// [`NnError::Stem`] without images, or with numbers that are not finite.
    pub fn fit_stem(&mut self, images: &[f32]) -> Result<(), NnError> {
        if let Input::Image(size) = self.input
            && self.has_whitened_stem()
        {
            let start = self.running_len();
            let weight = whiten::weight(images, size)?;
            self.statistics[start..].copy_from_slice(&weight);
            self.invalidate();
        }
        Ok(())
    }

    /// Whether it is an encoder with a whitened stem.
    pub fn has_whitened_stem(&self) -> bool {
        self.running_len() < self.statistics.len()
    }

    /// Training mode: keeps what [`Network::backward`] needs and moves the running statistics, view after view.
    ///
    /// # Shapes
    /// - input: `[views * n, input width]` → `[views * n, output width]`
    pub fn forward(&mut self, input: &[f32], views: usize) -> Vec<f32> {
        self.train(input, views, 0, self.input.default_size(), true)
    }

    /// As [`Network::forward`], of a group of views that keeps a tape of its own, for [`Network::backward_group`].
    ///
    /// # Shapes
    /// - input: of an encoder, `[views * n, side, side, 3]`; of a head, `[views * n, input width]`, whatever `side` is
    ///   → `[views * n, output width]`
    ///
    /// # Panics
    /// A side of fewer than 8 pixels.
    pub fn forward_group(
        &mut self,
        group: usize,
        side: usize,
        input: &[f32],
        views: usize,
    ) -> Vec<f32> {
        self.train(input, views, group, self.input.square(side), true)
    }

    /// Training mode without a backward pass: for targets.
    pub fn forward_untracked(&mut self, input: &[f32], views: usize) -> Vec<f32> {
        self.train(input, views, 0, self.input.default_size(), false)
    }

    /// As [`Network::forward_untracked`], of images of another size.
    ///
    /// # Shapes
    /// As of [`Network::forward_group`].
    ///
    /// # Panics
    /// A side of fewer than 8 pixels.
    pub fn forward_untracked_sized(
        &mut self,
        side: usize,
        input: &[f32],
        views: usize,
    ) -> Vec<f32> {
        self.train(input, views, 0, self.input.square(side), false)
    }

    fn train(
        &mut self,
        input: &[f32],
        views: usize,
        group: usize,
        size: [usize; 2],
        keep_tape: bool,
    ) -> Vec<f32> {
        let mut out = self.output_for(input, size);
        let pass = Pass {
            input,
            views,
            group,
            size,
            keep_tape,
        };
        let values = Values {
            parameters: &self.parameters,
            statistics: self.statistics.as_mut_slice(),
        };
        self.engine.forward(values, pass, &mut out);
        out
    }

    fn output_for(&self, input: &[f32], size: [usize; 2]) -> Vec<f32> {
        let width = self.input.width(size);
        assert_eq!(input.len() % width, 0, "the input has whole rows");
        vec![0.0; input.len() / width * self.output_width]
    }

    /// Adds the gradients of the last [`Network::forward`]; gives the gradient of its input, empty for an encoder.
    ///
    /// # Panics
    /// Where no [`Network::forward`] came before; Burn's engine keeps a graph for one backward pass.
    pub fn backward(&mut self, output_gradient: &[f32]) -> Vec<f32> {
        self.backward_group(0, output_gradient)
    }

    /// Adds the gradients of a group's last [`Network::forward_group`]; gives the gradient of its input, empty for an encoder.
    ///
    /// # Panics
    /// As [`Network::backward`].
    pub fn backward_group(&mut self, group: usize, output_gradient: &[f32]) -> Vec<f32> {
        let values = Values {
            parameters: &self.parameters,
            statistics: self.statistics.as_slice(),
        };
        let gradients = &mut self.gradients;
        self.engine
            .backward(values, group, output_gradient, gradients)
    }

    /// The gradient of the input of a head's last [`Network::forward`], with those of the parameters left alone; none for encoders and
    /// on Burn's engine, whose graph is good for one backward pass.
    pub fn input_gradient(&mut self, output_gradient: &[f32]) -> Option<Vec<f32>> {
        self.input_gradient_group(0, output_gradient)
    }

    /// As [`Network::input_gradient`], of a group.
    pub fn input_gradient_group(
        &mut self,
        group: usize,
        output_gradient: &[f32],
    ) -> Option<Vec<f32>> {
        self.engine
            .input_gradient(&self.parameters, group, output_gradient)
    }

    /// Output of a head's last [`Network::forward`] before the normalisation of its output; none for encoders and on Burn's engine.
    ///
    /// # Shapes
    /// - `[views * n, output width]`
    pub fn before_output_norm(&self) -> Option<&[f32]> {
        self.before_output_norm_group(0)
    }

    /// As [`Network::before_output_norm`], of a group.
    pub fn before_output_norm_group(&self, group: usize) -> Option<&[f32]> {
        self.engine.before_output_norm(group)
    }

    /// Eval mode: normalised by the running statistics.
    ///
    /// # Shapes
    /// - input: `[n, input width]`, of an encoder images of the configured size → `[n, output width]`
    pub fn infer(&mut self, input: &[f32]) -> Vec<f32> {
        let mut out = self.output_for(input, self.input.default_size());
        let values = Values {
            parameters: &self.parameters,
            statistics: self.statistics.as_slice(),
        };
        self.engine.infer(values, input, &mut out);
        out
    }

    /// Sets the running statistics to the mean of the statistics of these batches, for a network that never trained.
    pub fn reestimate_statistics<'a>(&mut self, batches: impl Iterator<Item = &'a [f32]>) {
        const MOMENTUM: f64 = 0.1;
        let count = self.running_len();
        let mut mean = vec![0.0_f64; count];
        let mut seen = 0.0;
        for batch in batches {
            self.statistics[..count].fill(0.0);
            self.forward_untracked(batch, 1);
            seen += 1.0;
            // One update from zero leaves momentum times the batch's statistics.
            for (mean, moved) in mean.iter_mut().zip(&self.statistics) {
                *mean += (f64::from(*moved) / MOMENTUM - *mean) / seen;
            }
        }
        self.statistics
            .iter_mut()
            .zip(&mean)
            .for_each(|(statistic, mean)| *statistic = *mean as f32);
    }

    /// Numbers of the running statistics, in front of what else does not train.
    fn running_len(&self) -> usize {
        let running = self.statistics_layout.running();
        running.last().map_or(0, |last| last.range().end)
    }

    fn invalidate(&mut self) {
        self.engine.invalidate();
    }

    /// Width of a row of the output.
    pub fn output_width(&self) -> usize {
        self.output_width
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where each running statistic and frozen weight lies.
    pub fn statistics_layout(&self) -> &Layout {
        &self.statistics_layout
    }

    /// Parameters.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Parameters, to be changed: packed weights are made anew at the next pass.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        self.invalidate();
        &mut self.parameters
    }

    /// Gradients that backward passes added up.
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// Parameters and gradients, for an optimizer.
    pub fn parameters_and_gradients_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        self.invalidate();
        (&mut self.parameters, &mut self.gradients)
    }

    /// What does not train: running statistics, then the weight of a whitened stem.
    pub fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    /// What does not train, to be changed: packed weights are made anew at the next pass.
    pub fn statistics_mut(&mut self) -> &mut [f32] {
        self.invalidate();
        &mut self.statistics
    }
}
