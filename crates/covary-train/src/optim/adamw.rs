//! AdamW (Loshchilov, Hutter 2019) in PyTorch's order: `p -= lr·wd·p`, then `p -= lr m̂ / (√v̂ + ε)`.
//!
//! As in PyTorch it decays every parameter unless biases and norms are excluded.

use covary_kernels::optimizer::AdamW;
use covary_nn::LayoutEntry;

use super::config::OptimizerConfig;
use super::rule::{Now, Part, Rule, Settings};

#[derive(Debug)]
pub(super) struct AdamWRule {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl AdamWRule {
    pub(super) fn new(config: &OptimizerConfig) -> Self {
        Self {
            beta1: config.beta1,
            beta2: config.beta2,
            epsilon: config.epsilon,
        }
    }
}

impl Rule for AdamWRule {
    fn takes_whole(&self, _: &LayoutEntry, _: &Settings) -> bool {
        false
    }

    fn keeps_second(&self, _: &LayoutEntry, _: &Settings) -> bool {
        true
    }

    fn step(&self, now: Now, part: Part<'_>) {
        let adam = AdamW {
            lr: now.lr * part.settings.lr,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: part.settings.weight_decay,
            step: now.step,
        };
        adam.apply(
            now.isa,
            part.parameters,
            part.gradients,
            part.first,
            part.second,
        );
    }
}
