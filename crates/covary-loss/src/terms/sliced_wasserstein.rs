//! `(1 / KN) Σ_k Σ_i (u_k(i) - Φ⁻¹(i / (N + 1)))²`, `u_k(1) ≤ ... ≤ u_k(N)` the standardised embeddings seen from direction k, in order:
//! the squared Wasserstein distance of K one-dimensional shadows from a standard normal distribution, mean over the views.
//!
//! `VISReg` (2026), shape term, as in lightly: `(z - μ) / (std + 1e-4)` with the biased std a constant of the gradient, 4096 new
//! directions each step, the same for both views. Scale and centre are terms of their own ([`super::variance_squared`],
//! [`super::centre`]). At collapse each view gives the mean squared quantile, nearly 1, and a gradient that does not vanish.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::algebra::{centred, mean};
use super::directions::directions;
use super::normal_quantile::normal_quantile;
use super::over_views::OverViews;
use crate::term::at_least;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlicedWasserstein {
    /// Directions a step, at least 1. Default 4096.
    slices: usize,
    /// Whether the gradient flows through the standard deviations. Default false.
    gradient_through_std: bool,
    /// Seed of the directions. Default 0.
    seed: u64,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
    #[serde(skip)]
    steps: u64,
}

impl Default for SlicedWasserstein {
    fn default() -> Self {
        Self {
            slices: 4096,
            gradient_through_std: false,
            seed: 0,
            views: OverViews::Mean,
            steps: 0,
        }
    }
}

impl SlicedWasserstein {
    fn distance(&self, z: Tensor<2>, directions: Tensor<2>) -> Tensor<1> {
        let centred = centred(z);
        // The smallest of f32 keeps the root's slope finite where the gradient goes through it.
        let variance = centred.clone().square().mean_dim(0).clamp_min(1e-30);
        let std = variance.sqrt() + 1e-4;
        let std = if self.gradient_through_std {
            std
        } else {
            std.detach()
        };
        let shadows = (centred / std).matmul(directions);
        let wanted = quantiles_by_rank(&shadows);
        mean((shadows - wanted).square())
    }
}

/// For each entry the normal quantile of its rank in its column, `[n, k]`.
fn quantiles_by_rank(shadows: &Tensor<2>) -> Tensor<2> {
    let [n, k] = shadows.dims();
    let values = shadows.clone().detach().transpose().into_data();
    let mut columns = values.try_to_vec::<f32>().expect("losses are f32");
    let quantiles = quantiles(n);
    columns.par_chunks_mut(n).for_each(|column| {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| column[i].total_cmp(&column[j]));
        for (rank, row) in order.into_iter().enumerate() {
            // A shadow that is no number must not turn into a good one.
            column[row] = quantiles[rank] + 0.0 * column[row];
        }
    });
    Tensor::<2>::from_data(TensorData::new(columns, [k, n]), &shadows.device()).transpose()
}

fn quantiles(n: usize) -> Vec<f32> {
    (1..=n)
        .map(|i| normal_quantile(i as f64 / (n + 1) as f64) as f32)
        .collect()
}

impl Kind for SlicedWasserstein {
    const KIND: &'static str = "sliced-wasserstein";
    const SUMMARY: &'static str =
        "VISReg's shape: distance of standardised random projections from a normal distribution";
}

impl Term for SlicedWasserstein {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        at_least("slices", self.slices, 1)
    }

    fn formula(&self) -> String {
        let constant = if self.gradient_through_std {
            ""
        } else {
            ", std a constant of the gradient"
        };
        format!(
            "{} mean over {} random directions a of (1/N) Σ_i (u_(i) - Φ⁻¹(i/(N+1)))², u = aᵀ(z - mean)/(std + 0.0001) in order, std with divisor N{constant}",
            self.views.words(),
            self.slices
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: false,
            scale: true,
            translation: true,
        }
    }

    fn collapsed(&self, collapse: Collapse) -> Option<f64> {
        let rows = match self.views {
            OverViews::Joint => collapse.n * collapse.views,
            OverViews::Mean | OverViews::Sum => collapse.n,
        };
        let squares = quantiles(rows).into_iter().map(|q| f64::from(q).powi(2));
        let view = squares.sum::<f64>() / rows as f64;
        Some(self.views.of_equal_values(view, collapse.views))
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let size = [z[0].dims()[1], self.slices];
        let directions = directions(self.seed, self.steps, size, &z[0].device());
        self.steps += 1;
        self.views
            .value(z, |_, z| self.distance(z, directions.clone()))
    }

    fn state(&self) -> Option<Vec<f32>> {
        Some(vec![self.steps as f32])
    }

    fn load_state(&mut self, state: Vec<f32>) -> Result<(), String> {
        let [steps] = state[..] else {
            return Err(format!("{} numbers are no count of steps", state.len()));
        };
        self.steps = steps as u64;
        Ok(())
    }
}
