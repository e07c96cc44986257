//! `(1 / D) Σ_{i≠j} C_ij²` with `C = Zᵀ Z / (N - 1)` of centred columns, summed over the views.
//!
//! Bardes et al. 2022 (VICReg), eq. 3 and 4; all references sum over the two views here (`VICRegL`'s code halves it). As switches:
//! `|C_ij|` instead of the square; correlations instead of covariances (`VIbCReg`, Lee, Aune 2021, which divides by D² instead of D); the
//! divisor N; the rows of both views together.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{
    Divisor, centred, gram, off_diagonal, squared_self_product, squares, standardised, total,
};
use super::over_views::OverViews;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// What an entry of the matrix costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Penalty {
    Square,
    Absolute,
}

/// Whose entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Matrix {
    Covariance,
    /// Of columns standardised with ε = 1e-5.
    Correlation,
}

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Covariance {
    /// Covariance or correlation. Default covariance.
    matrix: Matrix,
    /// Square or absolute. Default square.
    penalty: Penalty,
    /// N or N - 1; a correlation has none. Default n-1.
    divisor: Divisor,
    /// Mean, sum or joint. Default sum.
    views: OverViews,
}

impl Default for Covariance {
    fn default() -> Self {
        Self {
            matrix: Matrix::Covariance,
            penalty: Penalty::Square,
            divisor: Divisor::NMinusOne,
            views: OverViews::Sum,
        }
    }
}

impl Kind for Covariance {
    const KIND: &'static str = "covariance";
    const SUMMARY: &'static str =
        "squared covariances between dimensions; also absolute, or of correlations";
}

impl Term for Covariance {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        if self.matrix == Matrix::Correlation && self.divisor == Divisor::N {
            return Err("divisor: it cancels in a correlation; leave it out".into());
        }
        Ok(())
    }

    fn formula(&self) -> String {
        let entry = match self.penalty {
            Penalty::Square => "C_ij²",
            Penalty::Absolute => "|C_ij|",
        };
        let matrix = match self.matrix {
            Matrix::Covariance => format!("C = ZᵀZ/{} of centred columns", self.divisor.words()),
            Matrix::Correlation => "C = ZᵀZ/N of columns (z - mean)/√(Var + 0.00001)".into(),
        };
        format!("{} (1/D) Σ_i≠j {entry}, {matrix}", self.views.words())
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: false,
            scale: self.matrix == Matrix::Correlation,
            translation: true,
        }
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        Some(0.0)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        self.views.value(z, |_, z| {
            let [n, d] = z.dims();
            let (z, divisor) = match self.matrix {
                Matrix::Covariance => (centred(z), self.divisor.of(n)),
                Matrix::Correlation => (standardised(z), n as f32),
            };
            let sum = match self.penalty {
                Penalty::Square => {
                    let diagonal = squares(z.clone(), 0) / divisor;
                    squared_self_product(z) / (divisor * divisor) - diagonal.square().sum()
                }
                Penalty::Absolute => total(off_diagonal(gram(z.transpose())).abs()) / divisor,
            };
            sum / d as f32
        })
    }
}
