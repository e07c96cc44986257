//! `(1 / K) Σ_k N ∫ |φ̂_k(t) - e^(-t²/2)|² e^(-t²/2) dt`, φ̂ the characteristic function of the embeddings seen from direction k: the
//! distance of K one-dimensional shadows from a standard normal distribution, mean over the views.
//!
//! Balestriero, `LeCun` 2025 (`LeJEPA`, arXiv 2511.08544), the Epps-Pulley statistic of its code: 17 knots on [0, 3], trapezoid rule doubled
//! by symmetry, 1024 new directions each step (256 in its minimal script), the same for both views. stable-pretraining puts the views'
//! rows together instead. Weighted λ beside 1 - λ for the invariance (λ = 0.02 to 0.05), whose reference form is a quarter of ours.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::directions::directions;
use super::over_views::OverViews;
use crate::term::at_least;
use crate::term::{Collapse, Invariances, Kind, Scope, Term};

/// Last knot.
const LIMIT: f64 = 3.0;

/// The term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SigReg {
    /// Directions a step, at least 1. Default 1024.
    slices: usize,
    /// Knots of the integral from 0 to 3, at least 2. Default 17.
    knots: usize,
    /// Seed of the directions. Default 0.
    seed: u64,
    /// Mean, sum or joint. Default mean.
    views: OverViews,
    #[serde(skip)]
    steps: u64,
}

impl Default for SigReg {
    fn default() -> Self {
        Self {
            slices: 1024,
            knots: 17,
            seed: 0,
            views: OverViews::Mean,
            steps: 0,
        }
    }
}

impl SigReg {
    /// The statistic of one view, mean over directions.
    fn statistic(&self, z: Tensor<2>, directions: Tensor<2>) -> Tensor<1> {
        let n = z.dims()[0] as f32;
        let spacing = LIMIT / (self.knots - 1) as f64;
        let angle = z.matmul(directions) * spacing as f32;
        let (first_cosine, first_sine) = (angle.clone().cos(), angle.sin());
        let (mut cosine, mut sine) = (first_cosine.clone(), first_sine.clone());
        let mut statistic = Tensor::<1>::zeros([1], &cosine.device());
        // At t = 0 both characteristic functions are 1.
        for knot in 1..self.knots {
            let t = knot as f64 * spacing;
            let normal = (-t * t / 2.0).exp();
            let is_last = knot + 1 == self.knots;
            let weight = if is_last { spacing } else { 2.0 * spacing } * normal;
            let error = (cosine.clone().mean_dim(0) - normal as f32).square()
                + sine.clone().mean_dim(0).square();
            statistic = statistic + error.mean() * (weight as f32 * n);
            if !is_last {
                // One knot on: e^(i(t + h)u) = e^(itu) e^(ihu).
                (cosine, sine) = (
                    cosine.clone() * first_cosine.clone() - sine.clone() * first_sine.clone(),
                    sine * first_cosine.clone() + cosine * first_sine.clone(),
                );
            }
        }
        statistic
    }
}

impl Kind for SigReg {
    const KIND: &'static str = "sigreg";
    const SUMMARY: &'static str =
        "LeJEPA: distance of random projections from a standard normal distribution";
}

impl Term for SigReg {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn check(&self) -> Result<(), String> {
        at_least("slices", self.slices, 1)?;
        at_least("knots", self.knots, 2)
    }

    fn formula(&self) -> String {
        format!(
            "{} mean over {} random directions a of N ∫ |(1/N) Σ_n exp(it aᵀz_n) - exp(-t²/2)|² exp(-t²/2) dt, trapezoid rule with {} knots on [0, {LIMIT}], doubled",
            self.views.words(),
            self.slices,
            self.knots
        )
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: false,
            scale: false,
            translation: false,
        }
    }

    fn collapsed(&self, _: Collapse) -> Option<f64> {
        None
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let size = [z[0].dims()[1], self.slices];
        let directions = directions(self.seed, self.steps, size, &z[0].device());
        self.steps += 1;
        self.views
            .value(z, |_, z| self.statistic(z, directions.clone()))
    }

    fn state(&self) -> Option<Vec<f32>> {
        Some(vec![self.steps as f32])
    }

    fn load_state(&mut self, state: Vec<f32>) -> Result<(), String> {
        let [steps] = state[..] else {
            return Err(format!("{} numbers are no count of steps", state.len()));
        };
        self.steps = steps as u64;
        Ok(())
    }
}
