//! Averages of the weights, kept beside those that train and scored in their place.
//!
//! - `ema`, every step t: `a ← d_t a + (1 - d_t) p` with `d_t = min(decay, (1 + t) / (10 + t))`, so that the initial weights are soon
//!   forgotten (Polyak's average; the warm-up is TensorFlow's). Training does not see it.
//! - `lookahead`, every so many steps: `a ← d a + (1 - d) p`, then `p ← a`, with `d = decay (t / T)^power`: airbench's (every 5 steps,
//!   0.95⁵, power 3). Zhang et al. 2019 have a constant d of 0.5: power 0. The optimizer's state stays as it is. airbench averages the
//!   running statistics of BatchNorms as well.
//!
//! Averages start as the initial weights. They were never trained with, so running statistics are not theirs: whatever is measured on
//! them is measured with statistics re-estimated on clean training images.

use covary_kernels::{Isa, optimizer};
use covary_nn::Network;
use serde::{Deserialize, Serialize};

use super::range::{FROM_ZERO, OptimError, POSITIVE, SHARE, keeps};

/// Averaged weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AverageConfig {
    /// Kind.
    pub kind: AverageKind,
    /// What stays of the average, in [0, 1). Default 0.999 for `ema`, 0.95⁵ for `lookahead`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// Steps from one update of `lookahead` to the next, at least 1. Default 5.
    #[serde(default = "every")]
    pub every: u64,
    /// Exponent of the progress that the decay of `lookahead` grows with, ≥ 0. Default 3.
    #[serde(default = "power")]
    pub power: f64,
}

/// Kinds of average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AverageKind {
    /// A moving average that training does not see.
    Ema,
    /// A moving average that training goes on from.
    Lookahead,
}

fn every() -> u64 {
    5
}
fn power() -> f64 {
    3.0
}

impl AverageConfig {
    pub(super) fn validate(&self) -> Result<(), OptimError> {
        for (key, value, rule) in [
            ("average.decay", self.decay(), SHARE),
            ("average.every", self.every as f64, POSITIVE),
            ("average.power", self.power, FROM_ZERO),
        ] {
            if !keeps(value, rule) {
                return Err(OptimError::new(key, format!("{value} is not {rule}")));
            }
        }
        Ok(())
    }

    fn decay(&self) -> f64 {
        self.decay.unwrap_or(match self.kind {
            AverageKind::Ema => 0.999,
            AverageKind::Lookahead => 0.95_f64.powi(5),
        })
    }

    /// Share of the average that stays after this step, counted from 1; none where it does not move.
    fn decay_at(&self, step: u64, total_steps: u64) -> Option<f64> {
        match self.kind {
            AverageKind::Ema => {
                let step = step as f64;
                Some(self.decay().min((1.0 + step) / (10.0 + step)))
            }
            AverageKind::Lookahead => step.is_multiple_of(self.every).then(|| {
                let progress = step as f64 / total_steps.max(1) as f64;
                self.decay() * progress.powf(self.power)
            }),
        }
    }
}

/// The averages of some networks' weights.
#[derive(Debug)]
pub struct Average {
    config: AverageConfig,
    isa: Isa,
    weights: Vec<(String, Vec<f32>)>,
}

impl Average {
    /// Averages that start as these networks' weights.
    pub fn new(
        config: &AverageConfig,
        isa: Isa,
        networks: &[(&'static str, &mut Network)],
    ) -> Self {
        let weights = networks
            .iter()
            .map(|(name, network)| ((*name).to_owned(), network.parameters().to_vec()))
            .collect();
        Self {
            config: config.clone(),
            isa,
            weights,
        }
    }

    /// Takes the weights in after `step` of `total_steps` steps.
    pub fn update(
        &mut self,
        step: u64,
        total_steps: u64,
        networks: &mut [(&'static str, &mut Network)],
    ) {
        let Some(decay) = self.config.decay_at(step, total_steps) else {
            return;
        };
        for ((_, average), (_, network)) in self.weights.iter_mut().zip(networks) {
            optimizer::ema(self.isa, average, network.parameters(), decay as f32);
            if self.config.kind == AverageKind::Lookahead {
                network.parameters_mut().copy_from_slice(average);
            }
        }
    }

    /// Exchanges the networks' weights and the averages.
    pub fn exchange(&mut self, networks: &mut [(&'static str, &mut Network)]) {
        for ((_, average), (_, network)) in self.weights.iter_mut().zip(networks) {
            network.parameters_mut().swap_with_slice(average);
        }
    }

    /// Averages by the networks' names, for checkpoints.
    pub fn state_mut(&mut self) -> impl Iterator<Item = (&str, &mut [f32])> {
        let weights = self.weights.iter_mut();
        weights.map(|(name, average)| (name.as_str(), average.as_mut_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decay(text: &str, step: u64) -> Option<f64> {
        let config: AverageConfig = toml::from_str(text).unwrap();
        config.validate().unwrap();
        config.decay_at(step, 100)
    }

    #[test]
    fn decays_are_the_published_ones() {
        assert_eq!(decay("kind = \"ema\"", 1), Some(2.0 / 11.0));
        assert_eq!(decay("kind = \"ema\"\ndecay = 0.5", 90), Some(0.5));
        assert_eq!(decay("kind = \"lookahead\"", 49), None);
        let airbench = 0.95_f64.powi(5) / 8.0;
        assert!((decay("kind = \"lookahead\"", 50).unwrap() - airbench).abs() < 1e-12);
        let zhang = "kind = \"lookahead\"\ndecay = 0.5\npower = 0.0\nevery = 6";
        assert_eq!((decay(zhang, 5), decay(zhang, 6)), (None, Some(0.5)));
    }
}
