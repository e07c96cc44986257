//! Barlow Twins (Zbontar et al. 2021, eq. 1) as two terms: `Σ_i (1 - C_ii)²` and `Σ_{i≠j} C_ij²`, `C = X̄ᵀ Ȳ / N` of standardised columns.
//!
//! Standardised as the official code's BatchNorm without affine: biased variance, ε = 1e-5. The second term's weight is λ: 0.0051 in the
//! official code, 5e-3 in lightly. At collapse the first is D and the second 0.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{squared_product, standardised};
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

const MATRIX: &str = "C = XᵀY/N of columns (z - mean)/√(Var + 0.00001), Var with divisor N";

const OF_CORRELATIONS: Invariances = Invariances {
    exchange: true,
    rotation: false,
    scale: true,
    translation: true,
};

/// The first term; it has no settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Diagonal {}

impl Kind for Diagonal {
    const KIND: &'static str = "diagonal";
    const SUMMARY: &'static str =
        "Barlow Twins: correlation of each dimension with itself across views, to 1";
}

impl Term for Diagonal {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn formula(&self) -> String {
        format!("Σ_i (1 - C_ii)², {MATRIX}")
    }

    fn invariances(&self) -> Invariances {
        OF_CORRELATIONS
    }

    fn collapsed(&self, collapse: Collapse) -> Option<f64> {
        Some(collapse.d as f64)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let diagonal = (standardised(z[0].clone()) * standardised(z[1].clone())).mean_dim(0);
        (-diagonal + 1.0).square().sum()
    }
}

/// The second term; it has no settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OffDiagonal {}

impl Kind for OffDiagonal {
    const KIND: &'static str = "off-diagonal";
    const SUMMARY: &'static str =
        "Barlow Twins: correlations between dimensions across views, to 0";
}

impl Term for OffDiagonal {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn formula(&self) -> String {
        format!("Σ_i≠j C_ij², {MATRIX}")
    }

    fn invariances(&self) -> Invariances {
        OF_CORRELATIONS
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        Some(0.0)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let scale = 1.0 / (z[0].dims()[0] as f32).sqrt();
        let (x, y) = (
            standardised(z[0].clone()) * scale,
            standardised(z[1].clone()) * scale,
        );
        squared_product(x.clone(), y.clone()) - (x * y).sum_dim(0).square().sum()
    }
}
