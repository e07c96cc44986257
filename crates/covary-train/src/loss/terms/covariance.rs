//! `(1 / D) Σ_{i≠j} C_ij²` with `C = Zᵀ Z / (N - 1)` of centred columns, summed over the views.
//!
//! Bardes et al. 2022 (VICReg), eq. 3 and 4; all references sum over the two views here (`VICRegL`'s code halves it).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::{Scope, Term};
use super::algebra::{centred, squared_diagonal, squared_self_product};
use super::variance::{OverViews, over_views};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Covariance {
    /// Mean or sum over views. Default sum.
    views: OverViews,
}

impl Default for Covariance {
    fn default() -> Self {
        Self {
            views: OverViews::Sum,
        }
    }
}

impl Term for Covariance {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let off_diagonal = |z: &Tensor<2>| {
            let [n, d] = z.dims();
            let z = centred(z.clone()) / ((n - 1) as f32).sqrt();
            (squared_self_product(z.clone()) - squared_diagonal(z.clone(), z)) / d as f32
        };
        over_views(self.views, z.iter().map(off_diagonal))
    }
}
