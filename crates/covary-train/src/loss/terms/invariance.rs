//! `(1 / ND) Σ_nd (x_nd - y_nd)²`: mean squared difference over rows and dimensions.
//!
//! Bardes et al. 2022 (VICReg), Algorithm 1 and the official code; the paper's equation sums over dimensions instead.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::{Scope, Term};
use super::algebra::mean;

/// The term; it has no settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invariance {}

impl Term for Invariance {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        mean((z[0].clone() - z[1].clone()).square())
    }
}
