//! LARS (You et al. 2017): SGD with momentum whose gradient, weight decay included, is scaled by a trust ratio for each tensor.
//!
//! Without `clip` as in the official code of VICReg and Barlow Twins, `η ‖p‖ / ‖g + wd p‖` (η 0.001). With it as in solo-learn, after
//! Apex's LARC: `min(η ‖p‖ / (‖g‖ + wd ‖p‖ + 1e-8) / lr, 1)` (η 0.02 in all its recipes for CIFAR). The ratio is 1 where either norm is
//! zero. Biases and norms have neither decay nor ratio unless that is switched off.

use covary_kernels::optimizer::{Momentum, norms};
use covary_nn::LayoutEntry;

use super::config::{LarsConfig, OptimizerConfig};
use super::rule::{Now, Part, Rule, Settings};

#[derive(Debug)]
pub(super) struct LarsRule {
    momentum: f64,
    settings: LarsConfig,
}

impl LarsRule {
    pub(super) fn new(config: &OptimizerConfig) -> Self {
        Self {
            momentum: config.momentum,
            settings: config.lars.clone(),
        }
    }

    fn trust(&self, lr: f64, weight_decay: f64, parameters: &[f32], gradients: &[f32]) -> f64 {
        let LarsConfig { eta, clip } = self.settings;
        let decay = if clip { 0.0 } else { weight_decay };
        let (weights, updates) = norms(parameters, gradients, decay);
        if weights == 0.0 || updates == 0.0 {
            return 1.0;
        }
        if clip {
            (eta * weights / (updates + weight_decay * weights + 1e-8) / lr).min(1.0)
        } else {
            eta * weights / updates
        }
    }
}

impl Rule for LarsRule {
    fn takes_whole(&self, _: &LayoutEntry, settings: &Settings) -> bool {
        !settings.plain
    }

    fn keeps_second(&self, _: &LayoutEntry, _: &Settings) -> bool {
        false
    }

    fn step(&self, now: Now, part: Part<'_>) {
        let lr = now.lr * part.settings.lr;
        let weight_decay = part.settings.weight_decay;
        let trust = if part.settings.plain {
            1.0
        } else {
            self.trust(lr, weight_decay, part.parameters, part.gradients)
        };
        let momentum = Momentum {
            lr,
            momentum: self.momentum,
            weight_decay,
            trust,
        };
        momentum.apply(now.isa, part.parameters, part.gradients, part.first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipped_ratio_is_solo_learn_s_and_the_other_the_official_one() {
        let ratio = |eta, clip, lr| {
            let settings = LarsConfig { eta, clip };
            let rule = LarsRule {
                momentum: 0.9,
                settings,
            };
            rule.trust(lr, 0.5, &[3.0, 4.0], &[0.0, 2.0])
        };
        // Norms: p 5, g 2, g + wd p = (1.5, 4), so √18.25.
        assert!((ratio(0.02, true, 0.3) - 0.02 * 5.0 / 4.5 / 0.3).abs() < 1e-6);
        assert!((ratio(0.02, true, 1e-3) - 1.0).abs() < 1e-12);
        assert!((ratio(1e-3, false, 0.3) - 5e-3 / 18.25_f64.sqrt()).abs() < 1e-9);
    }
}
