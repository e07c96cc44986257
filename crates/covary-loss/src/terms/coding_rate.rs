//! `-½ ln det(I + D / (N ε) ẐᵀẐ)` with rows of length 1: minus the coding rate of a view, mean over the views.
//!
//! Ma et al. 2007; as a loss Tong et al. 2023 (EMP-SSL), eq. 2, with its code's ε = 0.2, which is not squared. The sign matters: a rate
//! that is made small collapses. At collapse it is `-½ ln(1 + D / ε)`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::normalised_rows;
use super::determinant::log_det_identity_plus;
use super::over_views::OverViews;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CodingRate {
    /// Distortion, > 0. Default 0.2.
    epsilon: f64,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
}

impl Default for CodingRate {
    fn default() -> Self {
        Self {
            epsilon: 0.2,
            views: OverViews::Mean,
        }
    }
}

impl Kind for CodingRate {
    const KIND: &'static str = "coding-rate";
    const SUMMARY: &'static str =
        "EMP-SSL: minus the coding rate of a view";
}

impl Term for CodingRate {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        positive("epsilon", self.epsilon)
    }

    fn formula(&self) -> String {
        format!(
            "{} -½ ln det(I + D/({} N) ẐᵀẐ), ẑ = z/|z|",
            self.views.words(),
            self.epsilon
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: true,
            scale: true,
            translation: false,
        }
    }

    fn collapsed(&self, collapse: Collapse) -> Option<f64> {
        let rate = 0.5 * (1.0 + collapse.d as f64 / self.epsilon).ln();
        Some(self.views.of_equal_values(-rate, collapse.views))
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let [n, d] = z.dims();
            let a = d as f64 / (n as f64 * self.epsilon);
            log_det_identity_plus(normalised_rows(z), a) * -0.5
        })
    }
}
