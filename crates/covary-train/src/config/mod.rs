//! The configuration of a run: typed, complete, every unknown key an error.
//!
//! Layers, each over the one before: the defaults (`defaults.toml` beside this file, where every key is described), the preset that
//! `method` names, the recipe or file, the overrides. What results is checked as a whole and written into the run's folder; it runs as
//! it stands.

mod data;
mod device;
mod identity;
mod layers;
mod older;
pub(crate) mod size;
mod validate;

use covary_data::AugmentConfig;
use covary_kernels::{Isa, Precision};
use covary_loss::tables::overlay;
use covary_loss::{TERMS, ViewCount};
pub use covary_nn::EncoderConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

pub use data::DataConfig;
pub use device::DeviceChoice;
pub use identity::identity;
pub use layers::RECIPES;

use crate::TrainError;
use crate::optim::{OptimizerConfig, PhaseConfig};
use covary_loss::method::{
    self, BranchConfig, EmbeddingConfig, MethodConfig, PredictorConfig, TargetConfig, Terms,
};
use layers::Layer;

const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything that decides a run's numbers. Ranges and meanings stand in `defaults.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Preset of the method, or `custom` for terms written out in the file.
    pub method: String,
    /// Passes over the training images, at least 1.
    pub epochs: u64,
    /// Source images a step, at least 2.
    pub batch_size: usize,
    /// Seed of initial weights, data order and augmentation.
    pub seed: u64,
    /// Operand and storage precision of the networks.
    pub precision: PrecisionChoice,
    /// What the networks run on.
    pub device: DeviceChoice,
    /// Threads, 0 for as many as there are cores.
    pub threads: usize,
    /// Whether the encoder is scored on the test set at the end.
    pub score: bool,
    /// Images.
    pub data: DataConfig,
    /// The views.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// Encoder.
    pub encoder: EncoderConfig,
    /// Projector.
    pub projector: ProjectorConfig,
    /// How the branches meet.
    #[serde(default)]
    pub branches: BranchConfig,
    /// Predictor.
    #[serde(default)]
    pub predictor: PredictorConfig,
    /// What the online branch is compared with.
    #[serde(default)]
    pub target: TargetConfig,
    /// What happens to embeddings before the loss.
    #[serde(default)]
    pub embedding: EmbeddingConfig,
    /// Terms of the loss, by name.
    pub terms: Terms,
    /// Optimizer.
    pub optimizer: OptimizerConfig,
    /// Learning rate over the run.
    pub schedule: ScheduleConfig,
    /// What is measured while training.
    pub monitor: MonitorConfig,
    /// Checkpoints.
    pub checkpoint: CheckpointConfig,
}

/// Precision asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// f32 throughout.
    F32,
    /// bf16 operands and activations.
    Bf16,
    /// bf16 where the processor multiplies bf16, else f32.
    Auto,
}

impl PrecisionChoice {
    /// What it means on this instruction set.
    pub fn resolve(self, isa: Isa) -> Precision {
        match self {
            Self::Bf16 => Precision::Bf16,
            Self::Auto if isa == Isa::Avx512Bf16 => Precision::Bf16,
            Self::F32 | Self::Auto => Precision::F32,
        }
    }
}

/// Projector: an MLP from the representation to the embedding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectorConfig {
    /// Linear layers, at least 1.
    pub layers: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Width of the embedding.
    pub dim: usize,
    /// BatchNorm after each hidden layer.
    pub batch_norm: bool,
    /// LayerNorm there instead.
    pub layer_norm: bool,
    /// γ and β of that normalisation.
    pub affine: bool,
    /// Normalisation after the last layer.
    pub output_norm: covary_nn::Norm,
}

/// Learning rate over the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Share of the steps that the learning rate rises linearly; it then falls along a cosine to zero.
    pub warmup: f64,
    /// Phases in place of warm-up and cosine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseConfig>,
}

/// What is measured while training, on the training images alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorConfig {
    /// Every so many epochs, 0 for never.
    pub every_epochs: u64,
    /// Every so many steps besides, 0 for never.
    pub every_steps: u64,
    /// Clean training images that the collapse metrics are computed on.
    pub images: usize,
    /// Gradients of the terms and alarms every so many steps, 0 for never.
    pub telemetry_every: u64,
    /// What a collapse does to the run.
    pub on_collapse: OnCollapse,
}

impl MonitorConfig {
    /// Whether anything is measured while training.
    pub fn is_on(&self) -> bool {
        self.every_epochs != 0 || self.every_steps != 0
    }
}

/// What a collapse of the embedding or of the representation does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCollapse {
    /// It is told.
    Warn,
    /// Training ends there, and what there is is scored.
    Stop,
}

/// Checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Every so many steps; the end of training always makes one.
    pub every_steps: u64,
}

impl TrainConfig {
    /// Resolves a recipe's name, a file's path or a preset's name (the `narrow` recipe with that method), with overrides `key=value` laid over it.
    ///
    /// # Errors
    /// Configuration errors of [`TrainError`], each naming the layer and the key.
    pub fn resolve(recipe: &str, overrides: &[String]) -> Result<Self, TrainError> {
        let mut layers = match Layer::recipe(recipe) {
            Err(TrainError::UnknownRecipe { .. }) if method::preset(recipe).is_ok() => vec![
                Layer::recipe("narrow")?,
                Layer::parse(recipe, &format!("method = \"{recipe}\""))?,
            ],
            layer => vec![layer?],
        };
        for assignment in overrides {
            layers.push(Layer::assignment(assignment)?);
        }
        Self::from_layers(&layers)
    }

    /// Resolves the name of a loss: as [`TrainConfig::resolve`], or a kind of term, which is then the only term.
    ///
    /// # Errors
    /// As [`TrainConfig::resolve`].
    pub fn resolve_loss(name: &str, overrides: &[String]) -> Result<Self, TrainError> {
        let is_term = TERMS.iter().any(|term| term.kind == name);
        if !is_term || method::preset(name).is_ok() {
            return Self::resolve(name, overrides);
        }
        let text = format!("method = \"custom\"\n[terms.{name}]");
        let mut layers = vec![Layer::parse(name, &text)?];
        for assignment in overrides {
            layers.push(Layer::assignment(assignment)?);
        }
        Self::from_layers(&layers)
    }

    /// Reads a configuration written by [`TrainConfig::to_toml`] or by hand.
    ///
    /// # Errors
    /// As [`TrainConfig::resolve`].
    pub fn parse(name: &str, text: &str) -> Result<Self, TrainError> {
        Self::from_layers(&[Layer::parse(name, text)?])
    }

    fn from_layers(layers: &[Layer]) -> Result<Self, TrainError> {
        let mut table = Layer::parse("defaults", DEFAULTS)?.table;
        if let Some(preset) = preset_of(layers, &table)? {
            overlay(&mut table, &preset);
        }
        for layer in layers {
            overlay(&mut table, &layer.table);
        }
        let config = validate::typed(table, layers)?;
        validate::check(&config, layers)?;
        Ok(config)
    }

    /// How many views a step has; the pair is the first group.
    pub fn view_count(&self) -> ViewCount {
        ViewCount {
            first: 2,
            all: self.augment.view_count(),
        }
    }

    /// The method's part.
    pub fn method_config(&self) -> MethodConfig {
        MethodConfig {
            branches: self.branches.clone(),
            predictor: self.predictor.clone(),
            target: self.target.clone(),
            embedding: self.embedding.clone(),
            terms: self.terms.clone(),
        }
    }

    /// The whole configuration as TOML, which [`TrainConfig::parse`] reads back to the same value.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is tables of plain values")
    }

    /// The whole configuration as a table.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).expect("a configuration is tables of plain values")
    }
}

/// The preset's table for the topmost `method`; none for `custom`.
fn preset_of(layers: &[Layer], defaults: &Table) -> Result<Option<Table>, TrainError> {
    let tables = layers
        .iter()
        .rev()
        .map(|layer| &layer.table)
        .chain([defaults]);
    let method = tables
        .filter_map(|table| table.get("method"))
        .find_map(toml::Value::as_str);
    match method {
        None | Some("custom") => Ok(None),
        Some(name) => Ok(Some(method::preset(name)?)),
    }
}
