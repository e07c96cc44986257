//! `-(1 / D) ln det(C + ε I)` with `C = ZᵀZ / N` of centred columns, summed over the views.
//!
//! Ozsoy et al. 2022 (`CorInfoMax`), eq. 12: rows of length 1 first, ε = 1e-8. Its C is a moving average that keeps 1 % of what was; here
//! it is the batch's. With `normalised = false` the term falls without end as the embeddings grow. At collapse a view gives `-ln ε`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{centred, normalised_rows};
use super::determinant::log_det_identity_plus;
use super::over_views::OverViews;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogDet {
    /// Added to the diagonal, > 0. Default 1e-8.
    epsilon: f64,
    /// Whether rows are brought to length 1 first. Default true.
    normalised: bool,
    /// Mean, sum or joint. Default sum.
    views: OverViews,
}

impl Default for LogDet {
    fn default() -> Self {
        Self {
            epsilon: 1e-8,
            normalised: true,
            views: OverViews::Sum,
        }
    }
}

impl Kind for LogDet {
    const KIND: &'static str = "log-det";
    const SUMMARY: &'static str =
        "CorInfoMax: minus the log-determinant of the covariance";
}

impl Term for LogDet {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        positive("epsilon", self.epsilon)
    }

    fn formula(&self) -> String {
        let rows = if self.normalised { "ẑ = z/|z|" } else { "z" };
        format!(
            "{} -(1/D) ln det(C + {} I), C = the covariance of {rows} with divisor N",
            self.views.words(),
            self.epsilon
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: true,
            scale: self.normalised,
            translation: !self.normalised,
        }
    }

    fn collapsed(&self, collapse: Collapse) -> Option<f64> {
        let view = -self.epsilon.ln();
        Some(self.views.of_equal_values(view, collapse.views))
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let [n, d] = z.dims();
            let z = if self.normalised {
                normalised_rows(z)
            } else {
                z
            };
            let relative = log_det_identity_plus(centred(z), 1.0 / (n as f64 * self.epsilon));
            -(relative / d as f32) - self.epsilon.ln() as f32
        })
    }
}
