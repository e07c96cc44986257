//! `(1 / D) Σ_{i≠j} (C_t)_ij²` with `C_t = β C_{t-1} + (1 - β) ZᵀZ / (N - 1)` of centred columns, `C_0` = 0, one C a view.
//!
//! VICReg's covariance (Bardes et al. 2022, eq. 3) on TiCo's moving average (Zhu et al. 2022): pairs are seen over many batches. The
//! gradient flows through the batch's part, and is therefore 1 - β times as steep as that of a covariance of the same size; with
//! `bias_correction` C is divided by 1 - βᵗ.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::algebra::{Divisor, centred, gram, off_diagonal, total};
use super::moving_average::MovingAverage;
use super::over_views::OverViews;
use crate::term::decay;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// The term.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunningCovariance {
    /// Decay of C, in [0, 1). Default 0.9.
    beta: f64,
    /// Whether C is divided by 1 - βᵗ. Default true.
    bias_correction: bool,
    /// N or N - 1. Default n-1.
    divisor: Divisor,
    /// Mean, sum or joint. Default sum.
    views: OverViews,
    /// One a view, none before the first step.
    #[serde(skip)]
    memory: Vec<MovingAverage>,
}

impl Default for RunningCovariance {
    fn default() -> Self {
        Self {
            beta: 0.9,
            bias_correction: true,
            divisor: Divisor::NMinusOne,
            views: OverViews::Sum,
            memory: Vec::new(),
        }
    }
}

impl Kind for RunningCovariance {
    const KIND: &'static str = "running-covariance";
    const SUMMARY: &'static str =
        "squared covariances of a moving average over batches";
}

impl Term for RunningCovariance {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        decay("beta", self.beta)
    }

    fn formula(&self) -> String {
        let Self { beta, divisor, .. } = self;
        let corrected = if self.bias_correction {
            format!("/(1 - {beta}ᵗ)")
        } else {
            String::new()
        };
        format!(
            "{} (1/D) Σ_i≠j (C_t{corrected})_ij², C_t = {beta} C_t-1 + (1 - {beta}) ZᵀZ/{} of centred columns, gradient through the batch's part",
            self.views.words(),
            divisor.words()
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: false,
            scale: false,
            translation: true,
        }
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        Some(0.0)
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let Self {
            beta,
            bias_correction,
            divisor,
            views,
            memory,
        } = self;
        views.value(z, |view, z| {
            let [n, d] = z.dims();
            if memory.len() == view {
                memory.push(MovingAverage::default());
            }
            let covariance = gram((centred(z) / divisor.of(n).sqrt()).transpose());
            let c = memory[view].update(covariance, *beta, *bias_correction);
            total(off_diagonal(c).square()) / d as f32
        })
    }

    fn state(&self) -> Option<Vec<f32>> {
        let views = self.memory.len() as f32;
        let memory = self.memory.iter().flat_map(MovingAverage::state);
        Some([views].into_iter().chain(memory).collect())
    }

    fn load_state(&mut self, state: Vec<f32>) -> Result<(), String> {
        let (views, memory) = state.split_first().ok_or("the state is empty")?;
        let views = *views as usize;
        if views == 0 && memory.is_empty() {
            self.memory.clear();
            return Ok(());
        }
        if views == 0 || !memory.len().is_multiple_of(views) {
            return Err(format!(
                "{} numbers are no matrices of {views} views",
                memory.len()
            ));
        }
        let memory = memory.chunks(memory.len() / views).map(MovingAverage::load);
        self.memory = memory.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn check_state(&self, d: usize) -> Result<(), String> {
        self.memory.iter().try_for_each(|view| view.check(d))
    }
}
