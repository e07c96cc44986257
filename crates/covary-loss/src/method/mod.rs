//! A method as data: how the branches meet, the predictor, the target, and the terms of the loss.
//!
//! Each is a switch of its own; combinations that make no sense are refused with a reason.

mod error;
mod presets;
mod terms;

use covary_nn::Norm;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use error::MethodError;
pub use presets::{Protection, preset, presets, protection};
pub use terms::{TermConfig, Terms, WeightSchedule};

/// A method's part of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodConfig {
    /// How the branches meet.
    pub branches: BranchConfig,
    /// Predictor.
    pub predictor: PredictorConfig,
    /// What the online branch is compared with.
    pub target: TargetConfig,
    /// What happens to embeddings before the loss.
    pub embedding: EmbeddingConfig,
    /// Terms of the loss.
    pub terms: Terms,
}

/// A pair that a term compares is (x, y): x a prediction, or an embedding where there is no predictor, y what it is compared with.
/// Which of them lets no gradient through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopGradient {
    /// Neither.
    None,
    /// x.
    X,
    /// y.
    Y,
}

/// What happens to embeddings, predictions and targets before the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// Nothing.
    None,
    /// Rows of length 1.
    L2,
    /// Columns of mean 0 and variance 1 over the batch.
    Standardise,
    /// Columns of mean 0, variance 1 and no correlation over the batch.
    Whiten,
}

/// What happens to embeddings before the loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingConfig {
    /// Normalisation. Default none.
    pub normalise: Normalise,
}

impl Default for EmbeddingConfig {
    fn default() -> Self {
        Self {
            normalise: Normalise::None,
        }
    }
}

/// How values of the two directions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directions {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

/// How the branches meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BranchConfig {
    /// Both directions, a to b and b to a, or a to b alone. Default false.
    pub symmetric: bool,
    /// How the directions add up. Default mean.
    pub directions: Directions,
    /// Side of the pairs (x, y) that lets no gradient through; a term may say otherwise for itself. Default none.
    pub stop_gradient: StopGradient,
}

impl Default for BranchConfig {
    fn default() -> Self {
        Self {
            symmetric: false,
            directions: Directions::Mean,
            stop_gradient: StopGradient::None,
        }
    }
}

/// Kinds of predictor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictorKind {
    /// No predictor.
    None,
    /// One linear layer.
    Linear,
    /// Linear, normalisation, ReLU, linear.
    Mlp,
}

/// Predictor: from one view's embedding to the other's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictorConfig {
    /// Kind. Default none.
    pub kind: PredictorKind,
    /// Width of the hidden layer of an MLP, at least 1. Default 512.
    pub hidden: usize,
    /// BatchNorm before the ReLU. Default true.
    pub batch_norm: bool,
    /// LayerNorm there instead. Default false.
    pub layer_norm: bool,
    /// γ and β of that normalisation. Default true.
    pub affine: bool,
    /// Normalisation behind the last layer. Default none.
    pub output_norm: Norm,
}

impl Default for PredictorConfig {
    fn default() -> Self {
        Self {
            kind: PredictorKind::None,
            hidden: 512,
            batch_norm: true,
            layer_norm: false,
            affine: true,
            output_norm: Norm::None,
        }
    }
}

/// Kinds of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// The online branch itself.
    Shared,
    /// A moving average of the online branch.
    Momentum,
}

/// When a momentum target moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetOrder {
    /// Before the forward pass (lightly).
    BeforeForward,
    /// After the optimizer's step (solo-learn).
    AfterStep,
}

/// What the online branch is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// Kind. Default shared.
    pub kind: TargetKind,
    /// Decay of the moving average at the start, in [0, 1]. Default 0.996.
    pub decay: f64,
    /// Decay at the end, reached along a cosine, in [0, 1]. Default 1.
    pub final_decay: f64,
    /// When it moves. Default after-step.
    pub order: TargetOrder,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            kind: TargetKind::Shared,
            decay: 0.996,
            final_decay: 1.0,
            order: TargetOrder::AfterStep,
        }
    }
}

/// The normalisation that a head's three switches ask for; none where they contradict each other.
pub fn hidden_norm(batch_norm: bool, layer_norm: bool, affine: bool) -> Option<Norm> {
    Some(match (batch_norm, layer_norm, affine) {
        (true, true, _) => return None,
        (false, false, _) => Norm::None,
        (true, false, true) => Norm::Batch,
        (true, false, false) => Norm::BatchAffineFree,
        (false, true, true) => Norm::Layer,
        (false, true, false) => Norm::LayerAffineFree,
    })
}

fn wrong(key: &str, reason: impl Into<String>) -> Result<(), MethodError> {
    Err(MethodError::Setting {
        key: key.into(),
        reason: reason.into(),
    })
}

impl MethodConfig {
    /// The method of a preset, with its defaults; what the preset says of networks and training is left out.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use covary_loss::Objective;
    /// use covary_loss::method::MethodConfig;
    ///
    /// let objective = Objective::new(&MethodConfig::preset("vicreg")?)?;
    /// assert_eq!(objective.hinge(), Some(1.0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MethodError::UnknownPreset`] with the nearest name.
    pub fn preset(name: &str) -> Result<Self, MethodError> {
        let mut table = preset(name)?;
        let mut part = |key: &str| {
            let part = table.remove(key);
            part.unwrap_or_else(|| Value::Table(Table::new()))
        };
        Ok(Self {
            branches: part("branches").try_into().expect(PLAIN),
            predictor: part("predictor").try_into().expect(PLAIN),
            target: part("target").try_into().expect(PLAIN),
            embedding: part("embedding").try_into().expect(PLAIN),
            terms: part("terms").try_into().expect(PLAIN),
        })
    }

    /// The switches of the branches as a table, the terms left out.
    pub fn switches(&self) -> Table {
        let table = |value: Result<Value, _>| value.expect("switches are plain values");
        Table::from_iter([
            ("branches".into(), table(Value::try_from(&self.branches))),
            ("embedding".into(), table(Value::try_from(&self.embedding))),
            ("predictor".into(), table(Value::try_from(&self.predictor))),
            ("target".into(), table(Value::try_from(&self.target))),
        ])
    }

    /// Refuses what makes no sense, for embeddings of width `dim`.
    ///
    /// # Errors
    /// [`MethodError::Setting`] with key and reason.
    pub fn validate(&self, dim: usize) -> Result<(), MethodError> {
        self.validate_branches()?;
        for (name, term) in self.terms.iter() {
            if !term.weight.is_finite() {
                let reason = format!("{} is not a number", term.weight);
                return wrong(&format!("terms.{name}.weight"), reason);
            }
            self.validate_gamma(name, term, dim)?;
        }
        if self.terms.iter().all(|(_, term)| term.weight == 0.0) {
            return wrong("terms", "every weight is 0: there is nothing to learn from");
        }
        Ok(())
    }

    fn validate_branches(&self) -> Result<(), MethodError> {
        for (key, decay) in [
            ("target.decay", self.target.decay),
            ("target.final_decay", self.target.final_decay),
        ] {
            if !(0.0..=1.0).contains(&decay) {
                return wrong(key, format!("{decay} is not between 0 and 1"));
            }
        }
        let PredictorConfig {
            hidden,
            batch_norm,
            layer_norm,
            affine,
            ..
        } = self.predictor;
        if hidden == 0 {
            return wrong("predictor.hidden", "0 is less than 1");
        }
        if hidden_norm(batch_norm, layer_norm, affine).is_none() {
            return wrong("predictor.layer_norm", BOTH_NORMS);
        }
        let momentum = self.target.kind == TargetKind::Momentum;
        match self.branches.stop_gradient {
            StopGradient::Y if momentum => wrong(
                "branches.stop_gradient",
                "y is the momentum target's embedding, which has no gradient anyway; leave it out",
            ),
            StopGradient::X if momentum => wrong(
                "branches.stop_gradient",
                "with a momentum target only x has a gradient; stopping it leaves nothing to learn from",
            ),
            _ => Ok(()),
        }
    }

    /// On the unit sphere a dimension's standard deviation is at most about 1/√D: a hinge on a larger one is never satisfied.
    fn validate_gamma(&self, name: &str, term: &TermConfig, dim: usize) -> Result<(), MethodError> {
        if self.embedding.normalise != Normalise::L2 || term.weight == 0.0 {
            return Ok(());
        }
        let isotropic = 1.0 / (dim as f64).sqrt();
        let gamma = term.build().ok().and_then(|term| term.asked_deviation());
        match gamma {
            Some(gamma) if (gamma / isotropic - 1.0).abs() > 0.01 => wrong(
                &format!("terms.{name}.gamma"),
                format!(
                    "{gamma} cannot be reached by embeddings of length 1 in {dim} dimensions; with \
                     embedding.normalise = \"l2\" it must be 1/√{dim}: set terms.{name}.gamma={isotropic:.6}"
                ),
            ),
            _ => Ok(()),
        }
    }
}

/// Why a preset can always be read.
const PLAIN: &str = "a preset holds valid settings";

/// Why two normalisations at once are refused.
pub const BOTH_NORMS: &str =
    "LayerNorm stands in BatchNorm's place: set batch_norm = false beside layer_norm = true";
