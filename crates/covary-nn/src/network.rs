//! A network: flat vectors and the engine that computes with them.

use burn::tensor::Device;
use covary_kernels::{Isa, Precision};

use crate::encoder::resnet::kernels::ResNetKernels;
use crate::graph::{Architecture, GraphEngine};
use crate::initialise;
use crate::layout::Layout;
use crate::mlp::kernels::MlpKernels;
use crate::{MlpConfig, NnError, ResNetConfig};

/// What computes.
#[derive(Debug, Clone)]
pub enum EngineConfig {
    /// The CPU kernels.
    Kernels {
        /// Instruction set.
        isa: Isa,
        /// Operand precision of convolutions and linear layers, storage precision of an encoder's activations.
        precision: Precision,
    },
    /// Burn's operations on this device, stored in f32; on tensor cores operands of products may be rounded to TF32.
    Burn(Device),
}

/// A trainable network. Threads are those of the current rayon pool; results do not depend on their number.
#[derive(Debug)]
pub struct Network {
    engine: Engine,
    /// What encoders for images of other sides are made from.
    encoder: Option<(ResNetConfig, EngineConfig)>,
    /// Engines of groups of images whose side is not the network's own, with that side.
    groups: Vec<Option<(usize, Engine)>>,
    input_width: usize,
    output_width: usize,
    layout: Layout,
    statistics_layout: Layout,
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    statistics: Vec<f32>,
}

#[derive(Debug)]
enum Engine {
    ResNet(Box<ResNetKernels>),
    Mlp(Box<MlpKernels>),
    Graph(Box<GraphEngine>),
}

impl Engine {
    fn resnet(config: &ResNetConfig, engine: &EngineConfig) -> Self {
        match engine {
            EngineConfig::Kernels { isa, precision } => Self::ResNet(Box::new(ResNetKernels::new(
                config.rows,
                config.columns,
                config.width,
                config.blocks,
                *isa,
                *precision,
            ))),
            EngineConfig::Burn(device) => Self::graph(
                Architecture::ResNet(config.clone()),
                device,
                config.layouts(),
            ),
        }
    }

    fn graph(architecture: Architecture, device: &Device, layouts: (Layout, Layout)) -> Self {
        Self::Graph(Box::new(GraphEngine::new(architecture, device, layouts)))
    }

    fn forward(
        &mut self,
        parameters: &[f32],
        statistics: &mut [f32],
        input: &[f32],
        views: usize,
        keep_tape: bool,
        out: &mut [f32],
    ) {
        match self {
            Self::ResNet(kernels) => {
                kernels.forward(parameters, Some(statistics), input, views, keep_tape, out);
            }
            Self::Mlp(kernels) => kernels.forward(parameters, Some(statistics), input, views, out),
            Self::Graph(graph) => {
                graph.forward(parameters, statistics, input, views, keep_tape, out);
            }
        }
    }

    fn invalidate(&mut self) {
        match self {
            Self::ResNet(kernels) => kernels.invalidate(),
            Self::Mlp(kernels) => kernels.invalidate(),
            Self::Graph(graph) => graph.invalidate(),
        }
    }
}

impl Network {
    /// An encoder: normalised images `[views * n, rows, columns, 3]` to representations `[views * n, 8 * width]`.
    ///
    /// # Errors
    /// [`NnError::Size`] for sizes that make no network.
    pub fn resnet(config: &ResNetConfig, engine: &EngineConfig) -> Result<Self, NnError> {
        let input_width = config.rows * config.columns * 3;
        let kernels = Engine::resnet(config, engine);
        let mut network = Self::new(kernels, input_width, config.features(), config.layouts());
        network.encoder = Some((config.clone(), engine.clone()));
        Ok(network)
    }

    /// A head: `[views * n, in]` to `[views * n, out]`.
    ///
    /// # Errors
    /// [`NnError::Size`] for fewer than two widths or a width of zero.
    pub fn mlp(config: &MlpConfig, engine: &EngineConfig) -> Result<Self, NnError> {
        config.check()?;
        let layouts = config.layouts();
        let engine = match engine {
            EngineConfig::Kernels { isa, precision } => {
                Engine::Mlp(Box::new(MlpKernels::new(config, *isa, *precision)))
            }
            EngineConfig::Burn(device) => {
                Engine::graph(Architecture::Mlp(config.plan()), device, layouts.clone())
            }
        };
        let (input, output) = (config.sizes[0], config.sizes[config.sizes.len() - 1]);
        Ok(Self::new(engine, input, output, layouts))
    }

    fn new(
        engine: Engine,
        input_width: usize,
        output_width: usize,
        (layout, statistics_layout): (Layout, Layout),
    ) -> Self {
        let mut statistics = vec![0.0; statistics_layout.len()];
        initialise::statistics(&statistics_layout, &mut statistics);
        Self {
            engine,
            encoder: None,
            groups: Vec::new(),
            input_width,
            output_width,
            parameters: vec![0.0; layout.len()],
            gradients: vec![0.0; layout.len()],
            statistics,
            layout,
            statistics_layout,
        }
    }

    /// Draws initial values, each from (seed, `prefix` and name, shape) alone, and resets the running statistics.
    pub fn initialise(&mut self, seed: u64, prefix: &str) {
        initialise::parameters(&self.layout, seed, prefix, &mut self.parameters);
        initialise::statistics(&self.statistics_layout, &mut self.statistics);
        self.invalidate();
    }

    /// Training mode: keeps what [`Network::backward`] needs and moves the running statistics, view after view.
    ///
    /// # Shapes
    /// - input: `[views * n, input width]` → `[views * n, output width]`
    pub fn forward(&mut self, input: &[f32], views: usize) -> Vec<f32> {
        self.train(input, views, true)
    }

    /// Training mode without a backward pass: for targets.
    pub fn forward_untracked(&mut self, input: &[f32], views: usize) -> Vec<f32> {
        self.train(input, views, false)
    }

    /// [`Network::forward`] of an encoder on one of several groups of images, each of a side of its own, with a tape of its own for
    /// [`Network::backward_group`]. Groups share parameters, gradients and running statistics. A group may come with another side at the
    /// next call.
    ///
    /// # Shapes
    /// - input: `[views * n, side, side, 3]` → `[views * n, output width]`
    ///
    /// # Panics
    /// If the network is a head and `side` is not its own.
    pub fn forward_group(
        &mut self,
        group: usize,
        side: usize,
        input: &[f32],
        views: usize,
    ) -> Vec<f32> {
        self.train_group(group, side, input, views, true)
    }

    /// [`Network::forward_group`] without a backward pass: for targets.
    pub fn forward_group_untracked(
        &mut self,
        group: usize,
        side: usize,
        input: &[f32],
        views: usize,
    ) -> Vec<f32> {
        self.train_group(group, side, input, views, false)
    }

    fn train(&mut self, input: &[f32], views: usize, keep_tape: bool) -> Vec<f32> {
        let mut out = self.output_for(input);
        let (parameters, statistics) = (&self.parameters, &mut self.statistics);
        self.engine
            .forward(parameters, statistics, input, views, keep_tape, &mut out);
        out
    }

    fn train_group(
        &mut self,
        group: usize,
        side: usize,
        input: &[f32],
        views: usize,
        keep_tape: bool,
    ) -> Vec<f32> {
        let own = group == 0 && self.input_width == side * side * 3;
        if own {
            self.groups.first_mut().map(Option::take);
            return self.train(input, views, keep_tape);
        }
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, || None);
        }
        let stands = self.groups[group]
            .as_ref()
            .is_some_and(|(of, _)| *of == side);
        if !stands {
            let (config, engine) = self.encoder.as_ref().expect("groups are of encoders");
            let config = ResNetConfig {
                rows: side,
                columns: side,
                ..config.clone()
            };
            self.groups[group] = Some((side, Engine::resnet(&config, engine)));
        }
        let (_, engine) = self.groups[group].as_mut().expect("made above");
        let mut out = vec![0.0; input.len() / (side * side * 3) * self.output_width];
        let (parameters, statistics) = (&self.parameters, &mut self.statistics);
        engine.forward(parameters, statistics, input, views, keep_tape, &mut out);
        out
    }

    /// Adds the gradients of the last [`Network::forward_group`] of a group.
    pub fn backward_group(&mut self, group: usize, output_gradient: &[f32]) {
        match self.groups.get_mut(group) {
            Some(Some((_, Engine::ResNet(kernels)))) => {
                kernels.backward(&self.parameters, output_gradient, &mut self.gradients);
            }
            Some(Some((_, Engine::Graph(graph)))) => {
                graph.backward(output_gradient, &mut self.gradients);
            }
            _ => {
                self.backward(output_gradient);
            }
        }
    }

    fn output_for(&self, input: &[f32]) -> Vec<f32> {
        assert_eq!(
            input.len() % self.input_width,
            0,
            "the input has whole rows"
        );
        vec![0.0; input.len() / self.input_width * self.output_width]
    }

    /// Adds the gradients of the last [`Network::forward`]; gives the gradient of its input, empty for an encoder.
    ///
    /// # Panics
    /// Burn's engine keeps a graph for one backward pass: it panics where no [`Network::forward`] came since the last one.
    pub fn backward(&mut self, output_gradient: &[f32]) -> Vec<f32> {
        match &mut self.engine {
            Engine::ResNet(kernels) => {
                kernels.backward(&self.parameters, output_gradient, &mut self.gradients);
                Vec::new()
            }
            Engine::Mlp(kernels) => {
                let mut input_gradient =
                    vec![0.0; output_gradient.len() / self.output_width * self.input_width];
                kernels.backward(
                    &self.parameters,
                    output_gradient,
                    &mut input_gradient,
                    Some(&mut self.gradients),
                );
                input_gradient
            }
            Engine::Graph(graph) => graph.backward(output_gradient, &mut self.gradients),
        }
    }

    /// The gradient of the input of a head's last [`Network::forward`], with those of the parameters left alone; none for encoders and
    /// on Burn's engine, whose graph is good for one backward pass.
    pub fn input_gradient(&mut self, output_gradient: &[f32]) -> Option<Vec<f32>> {
        let Engine::Mlp(kernels) = &mut self.engine else {
            return None;
        };
        let rows = output_gradient.len() / self.output_width;
        let mut input_gradient = vec![0.0; rows * self.input_width];
        kernels.backward(&self.parameters, output_gradient, &mut input_gradient, None);
        Some(input_gradient)
    }

    /// Output of a head's last [`Network::forward`] before the normalisation of its output; none for encoders and on Burn's engine.
    ///
    /// # Shapes
    /// - `[views * n, output width]`
    pub fn before_output_norm(&self) -> Option<&[f32]> {
        match &self.engine {
            Engine::Mlp(kernels) => Some(kernels.before_output_norm()),
            Engine::ResNet(_) | Engine::Graph(_) => None,
        }
    }

    /// Eval mode: normalised by the running statistics.
    ///
    /// # Shapes
    /// - input: `[n, input width]` → `[n, output width]`
    pub fn infer(&mut self, input: &[f32]) -> Vec<f32> {
        let mut out = self.output_for(input);
        match &mut self.engine {
            Engine::ResNet(kernels) => {
                kernels.infer(&self.parameters, &self.statistics, input, &mut out);
            }
            Engine::Mlp(kernels) => {
                kernels.infer(&self.parameters, &self.statistics, input, &mut out);
            }
            Engine::Graph(graph) => {
                graph.infer(&self.parameters, &self.statistics, input, &mut out);
            }
        }
        out
    }

    /// Sets the running statistics to the mean of the statistics of these batches, for a network that never trained.
    pub fn reestimate_statistics<'a>(&mut self, batches: impl Iterator<Item = &'a [f32]>) {
        const MOMENTUM: f64 = 0.1;
        let mut mean = vec![0.0_f64; self.statistics.len()];
        let mut count = 0.0;
        for batch in batches {
            self.statistics.fill(0.0);
            self.forward_untracked(batch, 1);
            count += 1.0;
            // One update from zero leaves momentum times the batch's statistics.
            for (mean, moved) in mean.iter_mut().zip(&self.statistics) {
                *mean += (f64::from(*moved) / MOMENTUM - *mean) / count;
            }
        }
        self.statistics
            .iter_mut()
            .zip(&mean)
            .for_each(|(statistic, mean)| *statistic = *mean as f32);
    }

    fn invalidate(&mut self) {
        self.engine.invalidate();
        let groups = self.groups.iter_mut().flatten();
        groups.for_each(|(_, engine)| engine.invalidate());
    }

    /// Width of a row of the output.
    pub fn output_width(&self) -> usize {
        self.output_width
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where each running statistic lies.
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

    /// Running statistics.
    pub fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    /// Running statistics, to be changed.
    pub fn statistics_mut(&mut self) -> &mut [f32] {
        &mut self.statistics
    }
}
