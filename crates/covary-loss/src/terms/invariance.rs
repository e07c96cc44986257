//! `(1 / ND) Σ_nd (x_nd - y_nd)²`: mean squared difference over rows and dimensions.
//!
//! Bardes et al. 2022 (VICReg), Algorithm 1 and the official code; the paper's equation sums over dimensions instead.
//!
//! The mean over the pairs of V views is `2 V / (V - 1)` times the mean squared distance of the views from their mean `z̄`, as
//! `Σ_{u≠v} |z_u - z_v|² = 2 V Σ_v |z_v - z̄|²`. That factor is 4 for two views, and 2 where there are very many. `LeJEPA` has that
//! distance without a factor.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{squares, sum};
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term; it has no settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invariance {}

impl Kind for Invariance {
    const KIND: &'static str = "invariance";
    const SUMMARY: &'static str =
        "mean squared difference of two views";
}

impl Term for Invariance {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn formula(&self) -> String {
        "(1/ND) Σ_nd (x_nd - y_nd)²".into()
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: true,
            scale: false,
            translation: true,
        }
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        Some(0.0)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let [n, d] = z[0].dims();
        squares(z[0].clone() - z[1].clone(), 1).sum() / (n * d) as f32
    }

    fn among(&mut self, z: &[Tensor<2>]) -> Option<Tensor<1>> {
        let ([n, d], views) = (z[0].dims(), z.len());
        let mean = sum(z) / views as f32;
        let distances = z.iter().map(|z| squares(z.clone() - mean.clone(), 1).sum());
        let distances = distances.reduce(|a, b| a + b)?;
        Some(distances * (2.0 / ((views - 1) * n * d) as f32))
    }
}
