//! `offset - scale · (1 / N) Σ_n cos(x_n, y_n)`, by form: `-cos` (SimSiam; TiCo as sayannag writes it), `1 - cos` (TiCo in lightly),
//! `2 - 2cos` (BYOL: the squared distance of normalised vectors), `-dot` (inner products of the vectors as they are, without bound).
//!
//! Chen, He 2021 (SimSiam), eq. 1; Grill et al. 2020 (BYOL), eq. 2; Zhu et al. 2022 (TiCo).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::normalised_rows;
use crate::term::{Collapse, Invariances, Scope, Term};

/// Constant and factor of the cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    #[serde(rename = "-cos")]
    Negative,
    #[serde(rename = "1-cos")]
    OneMinus,
    #[serde(rename = "2-2cos")]
    TwoMinusTwice,
    #[serde(rename = "-dot")]
    Inner,
}

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cosine {
    /// `-cos`, `1-cos`, `2-2cos` or `-dot`. Default `-cos`.
    form: Form,
}

impl Default for Cosine {
    fn default() -> Self {
        Self {
            form: Form::Negative,
        }
    }
}

impl Term for Cosine {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn formula(&self) -> String {
        let cosine = "(1/N) Σ_n cos(x_n, y_n)";
        match self.form {
            Form::Negative => format!("-{cosine}"),
            Form::OneMinus => format!("1 - {cosine}"),
            Form::TwoMinusTwice => format!("2 - 2 {cosine}"),
            Form::Inner => "-(1/N) Σ_n x_nᵀ y_n".into(),
        }
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: true,
            scale: self.form != Form::Inner,
            translation: false,
        }
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        match self.form {
            Form::Negative => Some(-1.0),
            Form::OneMinus | Form::TwoMinusTwice => Some(0.0),
            Form::Inner => None,
        }
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let similarity = |x: Tensor<2>, y: Tensor<2>| (x * y).sum_dim(1).mean();
        let cosine = || similarity(normalised_rows(z[0].clone()), normalised_rows(z[1].clone()));
        match self.form {
            Form::Negative => -cosine(),
            Form::OneMinus => -cosine() + 1.0,
            Form::TwoMinusTwice => cosine() * -2.0 + 2.0,
            Form::Inner => -similarity(z[0].clone(), z[1].clone()),
        }
    }
}
