//! `(1 / D) Σ_d max(0, ln γ - ½ ln(Var_n z_nd + ε))`: the hinge on the logarithm of the standard deviation, unbiased variance.
//!
//! Its gradient grows as the deviation shrinks, where that of the hinge on the deviation itself stays bounded. Without the bound it is
//! `-(1 / D) Σ_d ½ ln(Var_n z_nd + ε)`, which falls without end as the embeddings grow: it needs something else that holds them.

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
pub(super) struct VarianceLog {
    /// Whether nothing is asked from γ on. Default true.
    bounded: bool,
    /// Standard deviation from which on nothing is asked, > 0; without the bound it must be 1. Default 1.
    gamma: f64,
    /// Added to the variance, > 0. Default 1e-4.
    epsilon: f64,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
}

impl Default for VarianceLog {
    fn default() -> Self {
        Self {
            bounded: true,
            gamma: 1.0,
            epsilon: 1e-4,
            views: OverViews::Mean,
        }
    }
}

impl Kind for VarianceLog {
    const KIND: &'static str = "variance-log";
    const SUMMARY: &'static str =
        "hinge on the logarithm of each dimension's standard deviation";
}

impl Term for VarianceLog {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        positive("gamma", self.gamma)?;
        positive("epsilon", self.epsilon)?;
        if !self.bounded && self.gamma.to_bits() != 1.0_f64.to_bits() {
            return Err(format!(
                "gamma: {} has no meaning with bounded = false",
                self.gamma
            ));
        }
        Ok(())
    }

    fn formula(&self) -> String {
        let Self {
            gamma,
            epsilon,
            views,
            ..
        } = self;
        let dimension = if self.bounded {
            format!("max(0, ln {gamma} - ½ ln(Var_n z_nd + {epsilon}))")
        } else {
            format!("-½ ln(Var_n z_nd + {epsilon})")
        };
        format!(
            "{} (1/D) Σ_d {dimension}, Var with divisor (N-1)",
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
        let missing = self.gamma.ln() - 0.5 * self.epsilon.ln();
        let missing = if self.bounded {
            missing.max(0.0)
        } else {
            missing
        };
        Some(self.views.of_equal_values(missing, collapse.views))
    }

    fn asked_deviation(&self) -> Option<f64> {
        Some(self.gamma)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let log_std = variances(z, Divisor::NMinusOne, self.epsilon).log() * 0.5;
            let missing = -log_std + self.gamma.ln() as f32;
            if self.bounded {
                relu(missing).mean()
            } else {
                missing.mean()
            }
        })
    }
}
