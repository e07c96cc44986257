//! `(1 / ND) Σ_nd h(x_nd - y_nd)` with `h(u) = u² / 2β` for |u| < β and `|u| - β/2` beyond.
//!
//! Huber 1964, scaled as in Girshick 2015 (Fast R-CNN), eq. 3, with PyTorch's β; mean over rows and dimensions.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::mean;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SmoothL1 {
    /// Difference from which on the term is linear, > 0. Default 1.
    beta: f64,
}

impl Default for SmoothL1 {
    fn default() -> Self {
        Self { beta: 1.0 }
    }
}

impl Kind for SmoothL1 {
    const KIND: &'static str = "smooth-l1";
    const SUMMARY: &'static str =
        "mean smooth absolute difference of two views";
}

impl Term for SmoothL1 {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn check(&self) -> Result<(), String> {
        positive("beta", self.beta)
    }

    fn formula(&self) -> String {
        let beta = self.beta;
        format!(
            "(1/ND) Σ_nd h(x_nd - y_nd), h(u) = u²/(2·{beta}) for |u| < {beta}, else |u| - {beta}/2"
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

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        Some(0.0)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let beta = self.beta as f32;
        let size = (z[0].clone() - z[1].clone()).abs();
        // With m = min(|u|, β) both branches are m (|u| - m/2) / β.
        let bounded = size.clone().clamp_max(beta);
        mean(bounded.clone() * (size - bounded / 2.0) / beta)
    }
}
