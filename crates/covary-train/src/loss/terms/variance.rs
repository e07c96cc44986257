//! `(1 / D) Σ_d max(0, γ - √(Var_n z_nd + ε))`: a hinge on the standard deviation of each dimension, unbiased variance.
//!
//! Bardes et al. 2022 (VICReg), eq. 1. Over the views: the mean (official code, lightly, stable-pretraining) or the sum (the paper's
//! Algorithm 1, solo-learn). At collapse each view gives `γ - √ε`.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::super::{Scope, Term};
use super::algebra::centred;

/// How a term over single views adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverViews {
    Mean,
    Sum,
}

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Variance {
    /// Standard deviation from which on nothing is asked, > 0. Default 1.
    gamma: f64,
    /// Added to the variance, > 0. Default 1e-4.
    epsilon: f64,
    /// Mean or sum over views. Default mean.
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

impl Term for Variance {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let hinge = |z: &Tensor<2>| {
            let [n, _] = z.dims();
            let variance = centred(z.clone()).square().sum_dim(0) / (n - 1) as f32;
            let std = (variance + self.epsilon as f32).sqrt();
            relu(-std + self.gamma as f32).mean()
        };
        over_views(self.views, z.iter().map(hinge))
    }
}

/// Mean or sum of one value a view.
pub(super) fn over_views(
    how: OverViews,
    values: impl ExactSizeIterator<Item = Tensor<1>>,
) -> Tensor<1> {
    let count = values.len();
    let sum = values.reduce(|a, b| a + b).expect("there is a view");
    match how {
        OverViews::Mean => sum / count as f32,
        OverViews::Sum => sum,
    }
}
