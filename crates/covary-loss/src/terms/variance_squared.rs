//! `(1 / D) Σ_d (γ - √(Var_n z_nd + ε))²`: squared distance of each dimension's standard deviation from γ, too large as bad as too small.
//!
//! `VISReg` (2026), scale term: γ = 1, biased variance, beside [`super::sliced_wasserstein`] (shape) and [`super::centre`]. ε keeps the
//! root's slope finite; at collapse each view gives `(γ - √ε)²`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{Divisor, variances};
use super::over_views::OverViews;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VarianceSquared {
    /// Standard deviation asked for, > 0. Default 1.
    gamma: f64,
    /// Added to the variance, > 0. Default 1e-8.
    epsilon: f64,
    /// N or N - 1. Default n.
    divisor: Divisor,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
}

impl Default for VarianceSquared {
    fn default() -> Self {
        Self {
            gamma: 1.0,
            epsilon: 1e-8,
            divisor: Divisor::N,
            views: OverViews::Mean,
        }
    }
}

impl Kind for VarianceSquared {
    const KIND: &'static str = "variance-squared";
    const SUMMARY: &'static str =
        "squared distance of each dimension's standard deviation from gamma (VISReg's scale)";
}

impl Term for VarianceSquared {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        positive("gamma", self.gamma)?;
        positive("epsilon", self.epsilon)
    }

    fn formula(&self) -> String {
        let Self {
            gamma,
            epsilon,
            divisor,
            views,
        } = self;
        format!(
            "{} (1/D) Σ_d ({gamma} - √(Var_n z_nd + {epsilon}))², Var with divisor {}",
            views.words(),
            divisor.words()
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: false,
            scale: false,
            translation: true,
        }
    }

    fn collapsed(&self, collapse: Collapse) -> Option<f64> {
        let distance = (self.gamma - self.epsilon.sqrt()).powi(2);
        Some(self.views.of_equal_values(distance, collapse.views))
    }

    fn asked_deviation(&self) -> Option<f64> {
        Some(self.gamma)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let std = variances(z, self.divisor, self.epsilon).sqrt();
            (-std + self.gamma as f32).square().mean()
        })
    }
}
