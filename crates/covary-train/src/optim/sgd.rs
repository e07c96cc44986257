//! SGD with momentum in PyTorch's form, weight decay in the gradient: `b = μ b + g + wd·p`, `p -= lr·b`.

use covary_kernels::optimizer::Momentum;
use covary_nn::LayoutEntry;

use super::config::OptimizerConfig;
use super::rule::{Now, Part, Rule, Settings};

#[derive(Debug)]
pub(super) struct SgdRule {
    momentum: f64,
}

impl SgdRule {
    pub(super) fn new(config: &OptimizerConfig) -> Self {
        Self {
            momentum: config.momentum,
        }
    }
}

impl Rule for SgdRule {
    fn takes_whole(&self, _: &LayoutEntry, _: &Settings) -> bool {
        false
    }

    fn keeps_second(&self, _: &LayoutEntry, _: &Settings) -> bool {
        false
    }

    fn step(&self, now: Now, part: Part<'_>) {
        let momentum = Momentum {
            lr: now.lr * part.settings.lr,
            momentum: self.momentum,
            weight_decay: part.settings.weight_decay,
            trust: 1.0,
        };
        momentum.apply(now.isa, part.parameters, part.gradients, part.first);
    }
}
