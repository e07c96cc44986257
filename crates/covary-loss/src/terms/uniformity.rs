//! `ln( (1 / N(N-1)) Σ_{i≠j} exp(-t ‖ẑ_i - ẑ_j‖²) )` with rows of length 1: how evenly they lie on the sphere.
//!
//! Wang, Isola 2020, section 4.1.2, with the paper's t = 2 (lightly's default is 1); mean over the views. At collapse it is 0, its maximum.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{gram, normalised_rows, off_diagonal, total};
use super::over_views::OverViews;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Uniformity {
    /// Sharpness of the kernel, > 0. Default 2.
    t: f64,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
}

impl Default for Uniformity {
    fn default() -> Self {
        Self {
            t: 2.0,
            views: OverViews::Mean,
        }
    }
}

impl Kind for Uniformity {
    const KIND: &'static str = "uniformity";
    const SUMMARY: &'static str =
        "how evenly normalised embeddings lie on the sphere";
}

impl Term for Uniformity {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        positive("t", self.t)
    }

    fn formula(&self) -> String {
        format!(
            "{} ln( (1/N(N-1)) Σ_i≠j exp(-{} |ẑ_i - ẑ_j|²) ), ẑ = z/|z|",
            self.views.words(),
            self.t
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

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        Some(0.0)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let pairs = (z.dims()[0] * (z.dims()[0] - 1)) as f32;
            let distance = -(gram(normalised_rows(z)) * 2.0) + 2.0;
            let kernel = (distance * -self.t as f32).exp();
            (total(off_diagonal(kernel)) / pairs).log()
        })
    }
}
