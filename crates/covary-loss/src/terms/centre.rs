//! `(1 / D) Σ_d ((1 / N) Σ_n z_nd)²`: the mean embedding drawn to the origin.
//!
//! `VISReg` (2026), centre term. It says nothing about collapse: a constant costs as much as its distance from the origin.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::over_views::OverViews;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Centre {
    /// Mean, sum or joint. Default mean.
    views: OverViews,
}

impl Default for Centre {
    fn default() -> Self {
        Self {
            views: OverViews::Mean,
        }
    }
}

impl Kind for Centre {
    const KIND: &'static str = "centre";
    const SUMMARY: &'static str =
        "VISReg's centre: squared mean embedding";
}

impl Term for Centre {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn formula(&self) -> String {
        format!("{} (1/D) Σ_d ((1/N) Σ_n z_nd)²", self.views.words())
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: true,
            scale: false,
            translation: false,
        }
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        None
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| z.mean_dim(0).square().mean())
    }
}
