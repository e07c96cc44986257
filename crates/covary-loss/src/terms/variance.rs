//! `(1 / D) Σ_d max(0, γ - √(Var_n z_nd + ε))`: a hinge on the standard deviation of each dimension, unbiased variance.
//!
//! Bardes et al. 2022 (VICReg), eq. 1. Over the views: the mean (official code, lightly, stable-pretraining) or the sum (the paper's
//! Algorithm 1, solo-learn). At collapse each view gives `γ - √ε`.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::algebra::{Divisor, variances};
use super::over_views::OverViews;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Variance {
    /// Standard deviation from which on nothing is asked, > 0. Default 1.
    gamma: f64,
    /// Added to the variance, > 0. Default 1e-4.
    epsilon: f64,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
}

impl Default for Variance {
    fn default() -> Self {
        Self {
            gamma: 1.0,
            epsilon: 1e-4,
            views: OverViews::Mean,
        }
    }
}

impl Kind for Variance {
    const KIND: &'static str = "variance";
    const SUMMARY: &'static str =
        "hinge that keeps the standard deviation of each dimension above gamma";
}

impl Term for Variance {
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
            views,
        } = self;
        format!(
            "{} (1/D) Σ_d max(0, {gamma} - √(Var_n z_nd + {epsilon})), Var with divisor (N-1)",
            views.words()
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
        let hinge = (self.gamma - self.epsilon.sqrt()).max(0.0);
        Some(self.views.of_equal_values(hinge, collapse.views))
    }

    fn hinge(&self) -> Option<f64> {
        Some(self.gamma)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let std = variances(z, Divisor::NMinusOne, self.epsilon).sqrt();
            relu(-std + self.gamma as f32).mean()
        })
    }
}
