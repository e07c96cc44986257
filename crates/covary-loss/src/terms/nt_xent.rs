//! `-(1 / 2N) Σ_i log( exp(s_{i,i+} / τ) / Σ_{k≠i} exp(s_ik / τ) )`, s the cosine similarities of the 2N rows of both views, i+ the other
//! view of row i.
//!
//! Chen et al. 2020 (SimCLR), eq. 1. τ: lightly and stable-pretraining 0.5, solo-learn's CIFAR recipe 0.2.
//! At collapse it is ln(2N - 1).

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use super::algebra::normalised_rows;
use crate::term::positive;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// What takes a similarity out of a softmax in f32.
const NEVER: f32 = 1e9;

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NtXent {
    /// τ, > 0. Default 0.5.
    temperature: f64,
}

impl Default for NtXent {
    fn default() -> Self {
        Self { temperature: 0.5 }
    }
}

impl Kind for NtXent {
    const KIND: &'static str = "nt-xent";
    const SUMMARY: &'static str =
        "SimCLR's contrastive cross-entropy";
}

impl Term for NtXent {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn check(&self) -> Result<(), String> {
        positive("temperature", self.temperature)
    }

    fn formula(&self) -> String {
        let temperature = self.temperature;
        format!(
            "-(1/2N) Σ_i ln(exp(s_ii+/{temperature}) / Σ_k≠i exp(s_ik/{temperature})), s the cosines of the 2N rows of x and y, i+ the other view of i"
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
        Some(((2 * collapse.n - 1) as f64).ln())
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let [n, _] = z[0].dims();
        let rows = Tensor::cat(
            vec![normalised_rows(z[0].clone()), normalised_rows(z[1].clone())],
            0,
        );
        let itself = Tensor::<2>::eye(2 * n, &rows.device());
        let similarity = rows.clone().matmul(rows.transpose()) / self.temperature as f32;
        let log_probability = log_softmax(similarity - itself.clone() * NEVER, 1);
        let other = Tensor::cat(
            vec![
                itself.clone().slice([n..2 * n, 0..2 * n]),
                itself.slice([0..n, 0..2 * n]),
            ],
            0,
        );
        -(log_probability * other).sum_dim(1).mean()
    }
}
