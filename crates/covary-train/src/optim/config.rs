//! Settings of optimizers, with their ranges.

use serde::{Deserialize, Serialize};

use super::average::AverageConfig;
use super::groups::GroupConfig;
use super::range::{FROM_ZERO, OptimError, POSITIVE, SHARE, keeps};

/// An optimizer's settings; those of other kinds are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Kind.
    pub name: OptimizerName,
    /// Largest learning rate, > 0.
    pub lr: f64,
    /// Weight decay, ≥ 0.
    pub weight_decay: f64,
    /// Momentum of SGD and LARS, in [0, 1). Default 0.9.
    #[serde(default = "momentum")]
    pub momentum: f64,
    /// β₁ of AdamW, in [0, 1). Default 0.9.
    #[serde(default = "momentum")]
    pub beta1: f64,
    /// β₂ of AdamW, in [0, 1). Default 0.999.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// ε of AdamW, > 0. Default 1e-8.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Largest norm of the gradients of all networks together, ≥ 0, 0 for no bound. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clip: f64,
    /// No weight decay, and no trust ratio, for biases and norms. Default: true for LARS alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_bias_and_norm: Option<bool>,
    /// LARS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lars: LarsConfig,
    /// Muon.
    #[serde(default, skip_serializing_if = "is_default")]
    pub muon: MuonConfig,
    /// Averaged weights that are scored in place of those that train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageConfig>,
    /// Tensors with settings of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
}

/// Kinds of optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// AdamW.
    Adamw,
    /// SGD with momentum.
    Sgd,
    /// LARS.
    Lars,
    /// Muon, with AdamW for what is no matrix.
    Muon,
}

/// Settings of LARS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LarsConfig {
    /// η, > 0. Default 1e-3.
    pub eta: f64,
    /// Clips the trust ratio at the learning rate. Default false.
    pub clip: bool,
}

impl Default for LarsConfig {
    fn default() -> Self {
        Self {
            eta: 1e-3,
            clip: false,
        }
    }
}

/// Settings of Muon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuonConfig {
    /// μ, in [0, 1). Default 0.95.
    pub momentum: f64,
    /// Nesterov's look ahead. Default true.
    pub nesterov: bool,
    /// Steps of Newton-Schulz, at least 1. Default 5.
    pub steps: usize,
    /// Factor on the orthogonal update. Default `jordan`.
    pub scale: MuonScale,
    /// Scales each matrix to the norm `√rows` before the update. Default false.
    pub normalize: bool,
    /// Largest learning rate of AdamW for what is no matrix, > 0. Default 1e-3.
    pub rest_lr: f64,
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            steps: 5,
            scale: MuonScale::Jordan,
            normalize: false,
            rest_lr: 1e-3,
        }
    }
}

/// Factor on Muon's orthogonal update of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MuonScale {
    /// `√max(1, rows / columns)`.
    Jordan,
    /// `0.2 √max(rows, columns)`.
    Moonlight,
    /// 1.
    None,
}

fn momentum() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.999
}
fn epsilon() -> f64 {
    1e-8
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl OptimizerConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`OptimError`] with key, value and rule.
    pub fn validate(&self) -> Result<(), OptimError> {
        let rules = [
            ("lr", self.lr, POSITIVE),
            ("weight_decay", self.weight_decay, FROM_ZERO),
            ("momentum", self.momentum, SHARE),
            ("beta1", self.beta1, SHARE),
            ("beta2", self.beta2, SHARE),
            ("epsilon", self.epsilon, POSITIVE),
            ("clip", self.clip, FROM_ZERO),
            ("lars.eta", self.lars.eta, POSITIVE),
            ("muon.momentum", self.muon.momentum, SHARE),
            ("muon.steps", self.muon.steps as f64, POSITIVE),
            ("muon.rest_lr", self.muon.rest_lr, POSITIVE),
        ];
        let rules = rules.map(|(key, value, rule)| (key.to_owned(), Some(value), rule));
        let groups = self.groups.iter().enumerate().flat_map(|(index, group)| {
            let key = |name: &str| format!("groups[{index}].{name}");
            [
                (key("lr"), group.lr, FROM_ZERO),
                (key("weight_decay"), group.weight_decay, FROM_ZERO),
            ]
        });
        for (key, value, rule) in rules.into_iter().chain(groups) {
            if let Some(value) = value.filter(|value| !keeps(*value, rule)) {
                return Err(OptimError::new(key, format!("{value} is not {rule}")));
            }
        }
        self.average
            .as_ref()
            .map_or(Ok(()), AverageConfig::validate)
    }

    pub(super) fn excludes(&self) -> bool {
        self.exclude_bias_and_norm
            .unwrap_or(self.name == OptimizerName::Lars)
    }
}
