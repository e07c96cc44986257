//! AdamW, SGD with momentum, LARS.
//!
//! - AdamW: Loshchilov, Hutter 2019, in PyTorch's order; decays every parameter unless biases and `BatchNorms` are excluded.
//! - SGD: PyTorch's momentum, weight decay in the gradient.
//! - LARS: You et al. 2017 as in the official VICReg and Barlow Twins code: trust ratio `η ‖p‖ / ‖g + wd p‖`; with `clip` that of
//!   solo-learn (LARC), `min(η ‖p‖ / (‖g‖ + wd ‖p‖), lr) / lr`.

use covary_kernels::Isa;
use covary_kernels::optimizer::{AdamW, Momentum, norms};
use covary_nn::{Layout, Network};
use serde::{Deserialize, Serialize};

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
}

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
    /// η of LARS, > 0. Default 1e-3.
    #[serde(default = "trust_coefficient")]
    pub trust_coefficient: f64,
    /// Clips the trust ratio of LARS at the learning rate. Default false.
    #[serde(default)]
    pub clip: bool,
    /// No weight decay, and no trust ratio, for biases and `BatchNorms`. Default: true for LARS alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_bias_and_norm: Option<bool>,
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
fn trust_coefficient() -> f64 {
    1e-3
}

/// A setting out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{value} is not {rule}")]
pub struct OptimError {
    key: &'static str,
    value: f64,
    rule: &'static str,
}

impl OptimError {
    /// Key of the setting.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

impl OptimizerConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`OptimError`] with key, value and rule.
    pub fn validate(&self) -> Result<(), OptimError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let share = |value: f64| (0.0..1.0).contains(&value);
        let rules: [(&'static str, f64, bool, &'static str); 7] = [
            ("lr", self.lr, positive(self.lr), "a number above 0"),
            (
                "weight_decay",
                self.weight_decay,
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "a number from 0 on",
            ),
            (
                "momentum",
                self.momentum,
                share(self.momentum),
                "from 0 on and below 1",
            ),
            (
                "beta1",
                self.beta1,
                share(self.beta1),
                "from 0 on and below 1",
            ),
            (
                "beta2",
                self.beta2,
                share(self.beta2),
                "from 0 on and below 1",
            ),
            (
                "epsilon",
                self.epsilon,
                positive(self.epsilon),
                "a number above 0",
            ),
            (
                "trust_coefficient",
                self.trust_coefficient,
                positive(self.trust_coefficient),
                "a number above 0",
            ),
        ];
        match rules.into_iter().find(|rule| !rule.2) {
            Some((key, value, _, rule)) => Err(OptimError { key, value, rule }),
            None => Ok(()),
        }
    }

    fn excludes(&self) -> bool {
        self.exclude_bias_and_norm
            .unwrap_or(self.name == OptimizerName::Lars)
    }
}

/// An optimizer over some networks, with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    isa: Isa,
    slots: Vec<Slot>,
}

/// State of one network.
#[derive(Debug)]
struct Slot {
    name: String,
    /// Mean of gradients, or momentum.
    first: Vec<f32>,
    /// Mean of squared gradients; empty but for AdamW.
    second: Vec<f32>,
}

impl Optimizer {
    /// An optimizer over networks of these names and layouts.
    pub fn new(config: &OptimizerConfig, isa: Isa, networks: &[(&str, &Layout)]) -> Self {
        let slot = |(name, layout): &(&str, &Layout)| Slot {
            name: (*name).into(),
            first: vec![0.0; layout.len()],
            second: vec![
                0.0;
                if config.name == OptimizerName::Adamw {
                    layout.len()
                } else {
                    0
                }
            ],
        };
        Self {
            config: config.clone(),
            isa,
            slots: networks.iter().map(slot).collect(),
        }
    }

    /// Moves the parameters of network `index` by its gradients, which are cleared; `step` counts from 1.
    pub fn step(&mut self, lr: f64, step: u64, index: usize, network: &mut Network) {
        let (config, isa, slot) = (&self.config, self.isa, &mut self.slots[index]);
        let spans = spans(config, network.layout());
        let (parameters, gradients) = network.parameters_and_gradients_mut();
        for span in spans {
            let (p, g, first) = (
                &mut parameters[span.range.clone()],
                &mut gradients[span.range.clone()],
                &mut slot.first[span.range.clone()],
            );
            let weight_decay = if span.plain { 0.0 } else { config.weight_decay };
            match config.name {
                OptimizerName::Adamw => {
                    let OptimizerConfig {
                        beta1,
                        beta2,
                        epsilon,
                        ..
                    } = *config;
                    let adam = AdamW {
                        lr,
                        beta1,
                        beta2,
                        epsilon,
                        weight_decay,
                        step,
                    };
                    adam.apply(isa, p, g, first, &mut slot.second[span.range]);
                }
                OptimizerName::Sgd | OptimizerName::Lars => {
                    let lars = config.name == OptimizerName::Lars && !span.plain;
                    let trust = if lars { trust(config, lr, p, g) } else { 1.0 };
                    Momentum {
                        lr,
                        momentum: config.momentum,
                        weight_decay,
                        trust,
                    }
                    .apply(isa, p, g, first);
                }
            }
        }
    }

    /// State by name, for checkpoints.
    pub fn state(&self) -> Vec<(String, &[f32])> {
        let vectors = self.slots.iter().flat_map(|slot| {
            [
                (format!("{}.first", slot.name), slot.first.as_slice()),
                (format!("{}.second", slot.name), slot.second.as_slice()),
            ]
        });
        vectors.filter(|(_, vector)| !vector.is_empty()).collect()
    }

    /// State by name, to be restored.
    pub fn state_mut(&mut self) -> Vec<(String, &mut [f32])> {
        let vectors = self.slots.iter_mut().flat_map(|slot| {
            [
                (format!("{}.first", slot.name), slot.first.as_mut_slice()),
                (format!("{}.second", slot.name), slot.second.as_mut_slice()),
            ]
        });
        vectors.filter(|(_, vector)| !vector.is_empty()).collect()
    }
}

/// A part of the flat vectors that moves by one rule.
struct Span {
    range: std::ops::Range<usize>,
    /// Without decay and trust ratio.
    plain: bool,
}

/// Neighbouring tensors of the same rule go together, but LARS needs each weight's own norms.
fn spans(config: &OptimizerConfig, layout: &Layout) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for entry in layout.entries() {
        let plain = config.excludes() && !entry.is_weight();
        let joins = plain || config.name != OptimizerName::Lars;
        match spans.last_mut() {
            Some(last) if joins && last.plain == plain => last.range.end = entry.range().end,
            _ => spans.push(Span {
                range: entry.range(),
                plain,
            }),
        }
    }
    spans
}

fn trust(config: &OptimizerConfig, lr: f64, parameters: &[f32], gradients: &[f32]) -> f64 {
    let decay = if config.clip {
        0.0
    } else {
        config.weight_decay
    };
    let (weights, updates) = norms(parameters, gradients, decay);
    if weights == 0.0 || updates == 0.0 {
        return 1.0;
    }
    if config.clip {
        let ratio =
            config.trust_coefficient * weights / (updates + config.weight_decay * weights + 1e-8);
        (ratio / lr).min(1.0)
    } else {
        config.trust_coefficient * weights / updates
    }
}
