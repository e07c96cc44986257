//! `offset - scale · (1 / N) Σ_n cos(x_n, y_n)`, by form: `-cos` (SimSiam; TiCo as sayannag writes it), `1 - cos` (TiCo in lightly),
//! `2 - 2cos` (BYOL: the squared distance of normalised vectors), `-dot` (inner products of the vectors as they are, without bound).
//!
//! The mean cosine over the pairs of V views is `(|Σ_v ẑ_v|² - Σ_v |ẑ_v|²) / (V (V - 1))` of rows ẑ of length 1.
//!
//! Chen, He 2021 (SimSiam), eq. 1; Grill et al. 2020 (BYOL), eq. 2; Zhu et al. 2022 (TiCo).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{normalised_rows, squares, sum};
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

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

impl Kind for Cosine {
    const KIND: &'static str = "cosine";
    const SUMMARY: &'static str =
        "negative cosine similarity of two views";
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
        let rows = self.rows(z);
        self.of_similarity((rows[0].clone() * rows[1].clone()).sum_dim(1).mean())
    }

    fn among(&mut self, z: &[Tensor<2>]) -> Option<Tensor<1>> {
        let (rows, views) = (self.rows(z), z.len());
        let together = squares(sum(&rows), 1).mean();
        let alone = rows.into_iter().map(|z| squares(z, 1).mean());
        let alone = alone.reduce(|a, b| a + b)?;
        Some(self.of_similarity((together - alone) / (views * (views - 1)) as f32))
    }
}

impl Cosine {
    /// The rows that inner products are taken of.
    fn rows(&self, z: &[Tensor<2>]) -> Vec<Tensor<2>> {
        let row = |z: &Tensor<2>| match self.form {
            Form::Inner => z.clone(),
            Form::Negative | Form::OneMinus | Form::TwoMinusTwice => normalised_rows(z.clone()),
        };
        z.iter().map(row).collect()
    }

    fn of_similarity(&self, similarity: Tensor<1>) -> Tensor<1> {
        match self.form {
            Form::Negative | Form::Inner => -similarity,
            Form::OneMinus => -similarity + 1.0,
            Form::TwoMinusTwice => similarity * -2.0 + 2.0,
        }
    }
}
