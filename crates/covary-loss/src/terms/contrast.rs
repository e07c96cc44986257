//! `(1 / N) Σ_n x̂_nᵀ C_t x̂_n` with `C_t = β C_{t-1} + (1 - β) (1 / N) Σ_n x̂_n x̂_nᵀ`, x̂ of length 1, `C_0` = 0; the weight is TiCo's ρ.
//!
//! Zhu et al. 2022 (TiCo). C is not centred: at collapse the term is `1 - βᵗ` after t steps, so that with `1 - cos` a collapsed loss
//! tends to ρ. lightly takes C as a constant, sayannag's code lets the gradient through the batch's part of C. `centred` takes the
//! mean of x̂ out of C, as stable-pretraining does: a constant output then costs nothing, so that the term no longer holds collapse off.
//! `normalised = false` takes x as it is. `bias_correction` divides C by 1 - βᵗ: the first steps then weigh as much as later ones.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{centred, gram, normalised_rows, total};
use super::moving_average::MovingAverage;
use crate::term::decay;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(super) struct Contrast {
    /// Decay of C, in [0, 1). Default 0.9.
    beta: f64,
    /// Whether the gradient flows through the batch's part of C. Default false.
    gradient_through_c: bool,
    /// Whether C is of centred rows. Default false.
    centred: bool,
    /// Whether C is divided by 1 - βᵗ. Default false.
    bias_correction: bool,
    /// Whether rows are brought to length 1 first. Default true.
    normalised: bool,
    #[serde(skip)]
    memory: MovingAverage,
}

impl Default for Contrast {
    fn default() -> Self {
        Self {
            beta: 0.9,
            gradient_through_c: false,
            centred: false,
            bias_correction: false,
            normalised: true,
            memory: MovingAverage::default(),
        }
    }
}

impl Kind for Contrast {
    const KIND: &'static str = "contrast";
    const SUMMARY: &'static str =
        "TiCo's contrast with the running second moment of the embeddings";
}

impl Term for Contrast {
    fn scope(&self) -> Scope {
        Scope::X
    }

    fn check(&self) -> Result<(), String> {
        decay("beta", self.beta)
    }

    fn formula(&self) -> String {
        let beta = self.beta;
        let corrected = if self.bias_correction {
            format!("/(1 - {beta}ᵗ)")
        } else {
            String::new()
        };
        let (rows, of) = match (self.centred, self.normalised) {
            (true, true) => ("(x̂_n - x̄)(x̂_n - x̄)ᵀ", ", x̂ = x/|x|, x̄ the mean of x̂"),
            (true, false) => ("(x̂_n - x̄)(x̂_n - x̄)ᵀ", ", x̂ = x, x̄ its mean"),
            (false, true) => ("x̂_n x̂_nᵀ", ", x̂ = x/|x|"),
            (false, false) => ("x̂_n x̂_nᵀ", ", x̂ = x"),
        };
        let gradient = if self.gradient_through_c {
            "gradient through the batch's part of C"
        } else {
            "C a constant of the gradient"
        };
        format!(
            "(1/N) Σ_n x̂_nᵀ C_t x̂_n{corrected}, C_t = {beta} C_t-1 + (1 - {beta}) (1/N) Σ_n {rows}{of}, {gradient}"
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: false,
            rotation: true,
            scale: self.normalised,
            translation: false,
        }
    }

    fn collapsed(&self, collapse: Collapse) -> Option<f64> {
        if !self.centred && !self.normalised {
            return None;
        }
        Some(if self.centred {
            0.0
        } else if self.bias_correction {
            1.0
        } else {
            1.0 - self.beta.powf(collapse.steps as f64)
        })
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let n = z[0].dims()[0] as f32;
        let x = if self.normalised {
            normalised_rows(z[0].clone())
        } else {
            z[0].clone()
        };
        let batch = if self.gradient_through_c {
            x.clone()
        } else {
            x.clone().detach()
        };
        let batch = if self.centred { centred(batch) } else { batch };
        let moments = gram(batch.transpose()) / n;
        let c = self.memory.update(moments, self.beta, self.bias_correction);
        total(x.clone().matmul(c) * x) / n
    }

    fn state(&self) -> Option<Vec<f32>> {
        Some(self.memory.state())
    }

    fn load_state(&mut self, state: Vec<f32>) -> Result<(), String> {
        self.memory = MovingAverage::load(&state)?;
        Ok(())
    }

    fn check_state(&self, d: usize) -> Result<(), String> {
        self.memory.check(d)
    }
}
