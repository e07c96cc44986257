//! `(1 / ND) Σ_nd (x_nd - y_nd)²`: mean squared difference over rows and dimensions.
//!
//! Bardes et al. 2022 (VICReg), Algorithm 1 and the official code; the paper's equation sums over dimensions instead. `LeJEPA` writes
//! the mean squared distance of the views from their centre, a quarter of this for two views.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::squares;
use crate::term::{Collapse, Invariances, Scope, Term};

/// The term; it has no settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invariance {}

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
}
