//! Muon (Jordan et al. 2024): momentum of matrices, made orthogonal.
//!
//! ```text
//! b ← μ b + (1 - μ) g,   u = μ b + (1 - μ) g,   O = NewtonSchulz(u),   p ← (1 - lr·wd) p - lr·s·O
//! ```
//! Tensors of two and more dimensions go by it, `[out, in, kh, kw]` as a matrix `[out, in·kh·kw]`; all others, and those of groups with
//! `muon = false`, by AdamW with a learning rate of its own (`rest_lr`), which follows the same schedule.
//!
//! The scale s differs among references: Jordan's `√max(1, rows / columns)` (also PyTorch's default), Moonlight's
//! `0.2 √max(rows, columns)` (Liu et al. 2025), which gives updates the root mean square of AdamW's, so that learning rates of AdamW
//! serve; none in airbench, which has momentum 0.6 and three steps of Newton-Schulz, and scales each weight to the norm `√rows` before
//! the update (`normalize`). The decay is decoupled and not scaled by s. Gradients are not scaled by `1 - μ` in Jordan's first version;
//! that changes nothing, as Newton-Schulz divides by the norm.

use covary_kernels::optimizer::{descend, momentum_update, scale, sum_of_squares};
use covary_kernels::{NewtonSchulz, orthogonalize};
use covary_nn::LayoutEntry;

use super::adamw::AdamWRule;
use super::config::{MuonConfig, MuonScale, OptimizerConfig};
use super::rule::{Now, Part, Rule, Settings};

#[derive(Debug)]
pub(super) struct MuonRule {
    settings: MuonConfig,
    /// What the learning rate of the rest is to Muon's.
    rest: f64,
    adamw: AdamWRule,
}

impl MuonRule {
    pub(super) fn new(config: &OptimizerConfig) -> Self {
        Self {
            settings: config.muon.clone(),
            rest: config.muon.rest_lr / config.lr,
            adamw: AdamWRule::new(config),
        }
    }
}

impl Rule for MuonRule {
    fn takes_whole(&self, entry: &LayoutEntry, settings: &Settings) -> bool {
        entry.is_weight() && settings.muon
    }

    fn keeps_second(&self, entry: &LayoutEntry, settings: &Settings) -> bool {
        !self.takes_whole(entry, settings)
    }

    fn step(&self, mut now: Now, part: Part<'_>) {
        let [rows, ..] = *part.shape else {
            now.lr *= self.rest;
            return self.adamw.step(now, part);
        };
        let columns = part.parameters.len() / rows;
        let MuonConfig {
            momentum, nesterov, ..
        } = self.settings;
        let mut update = vec![0.0; part.parameters.len()];
        momentum_update(
            now.isa,
            momentum,
            nesterov,
            part.gradients,
            part.first,
            &mut update,
        );
        let iteration = NewtonSchulz {
            steps: self.settings.steps,
            ..NewtonSchulz::default()
        };
        let mut orthogonal = vec![0.0; update.len()];
        orthogonalize(iteration, &mut update, rows, &mut orthogonal);
        if self.settings.normalize {
            let norm = sum_of_squares(part.parameters).sqrt();
            if norm > 0.0 {
                let factor = (rows as f64).sqrt() / norm;
                scale(now.isa, factor as f32, part.parameters);
            }
        }
        let lr = now.lr * part.settings.lr;
        let keep = 1.0 - lr * part.settings.weight_decay;
        let rate = lr * self.settings.scale.of(rows, columns);
        descend(
            now.isa,
            keep as f32,
            rate as f32,
            part.parameters,
            &orthogonal,
        );
    }
}

impl MuonScale {
    fn of(self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            Self::Jordan => (rows / columns).max(1.0).sqrt(),
            Self::Moonlight => 0.2 * rows.max(columns).sqrt(),
            Self::None => 1.0,
        }
    }
}
