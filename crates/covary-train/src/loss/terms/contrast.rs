//! `(1 / N) Σ_n x̂_nᵀ C_t x̂_n` with `C_t = β C_{t-1} + (1 - β) (1 / N) Σ_n x̂_n x̂_nᵀ`, x̂ of length 1, `C_0` = 0; the weight is TiCo's ρ.
//!
//! Zhu et al. 2022 (TiCo). C is not centred: at collapse the term is `1 - βᵗ` after t steps, so that with `1 - cos` a collapsed loss
//! tends to ρ. lightly takes C as a constant, sayannag's code lets the gradient through the batch's part of C.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::super::{Scope, Term};
use super::algebra::{normalised_rows, total};

/// The term.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Contrast {
    /// Decay of C, in [0, 1). Default 0.9.
    beta: f64,
    /// Whether the gradient flows through the batch's part of C. Default false.
    gradient_through_c: bool,
    /// C, `[d, d]` row by row; empty before the first step.
    #[serde(skip)]
    c: Vec<f32>,
}

impl Default for Contrast {
    fn default() -> Self {
        Self {
            beta: 0.9,
            gradient_through_c: false,
            c: Vec::new(),
        }
    }
}

impl Term for Contrast {
    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let [n, d] = z[0].dims();
        let x = normalised_rows(z[0].clone());
        let batch = if self.gradient_through_c {
            x.clone()
        } else {
            x.clone().detach()
        };
        let mut c = batch.clone().transpose().matmul(batch) * ((1.0 - self.beta) as f32 / n as f32);
        if self.c.len() == d * d {
            let before = Tensor::<2>::from_data(
                TensorData::new(std::mem::take(&mut self.c), [d, d]),
                &x.device(),
            );
            c = c + before * self.beta as f32;
        }
        self.c = c
            .clone()
            .detach()
            .into_data()
            .try_to_vec::<f32>()
            .expect("losses are f32");
        total(x.clone().matmul(c) * x) / n as f32
    }

    fn state(&self) -> Option<Vec<f32>> {
        Some(self.c.clone())
    }

    fn load_state(&mut self, state: Vec<f32>) -> Result<(), String> {
        let side = (state.len() as f64).sqrt().round() as usize;
        if side * side != state.len() {
            return Err(format!("{} numbers are no square matrix", state.len()));
        }
        self.c = state;
        Ok(())
    }
}
