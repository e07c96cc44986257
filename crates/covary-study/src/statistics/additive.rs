//! Additive model: score = variant + seed + noise, every variant with every seed, noise of one variance.
//!
//! `y_vs = μ + α_v + β_s + ε_vs`. The estimate of `α_v - α_base` is the mean paired difference; what differs from a paired t is that the noise
//! is estimated from the residuals of all variants, with (V - 1)(S - 1) degrees of freedom instead of S - 1. The price is the assumption
//! that the variants are equally noisy. Intervals are simultaneous over the variants (Dunnett 1955), p is given as it is and adjusted by
//! Holm (1979).

use serde::Serialize;

use super::estimate::t_quantile;
use super::{CONFIDENCE, Estimate, critical_value, holm, mean};

/// The model, fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Additive {
    /// Standard deviation of the noise of one run, after variant and seed.
    pub sigma: f64,
    /// Its degrees of freedom.
    pub degrees_of_freedom: f64,
    /// Seeds.
    pub seeds: usize,
    /// Difference to the base of each further variant.
    pub effects: Vec<AdditiveEffect>,
}

/// A variant's difference to the base.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AdditiveEffect {
    /// With its simultaneous 95 % interval; p is not adjusted.
    pub difference: Estimate,
    /// Ends of the interval of this difference alone.
    pub pointwise: [f64; 2],
    /// p adjusted by Holm over the variants.
    pub holm_p: f64,
}

impl Additive {
    /// Any contrast `Σ c_v y_v` of the variants' means, with an interval of its own.
    pub fn contrast(&self, value: f64, coefficients: &[f64]) -> Estimate {
        let squares: f64 = coefficients.iter().map(|c| c * c).sum();
        let standard_error = self.sigma * (squares / self.seeds as f64).sqrt();
        Estimate::new(value, standard_error, self.degrees_of_freedom)
    }
}

/// Fits the model to `scores[variant][seed]`, the base first; none for fewer than two variants or two seeds.
///
/// # Panics
/// When the variants have different numbers of seeds.
pub fn additive(scores: &[Vec<f64>]) -> Option<Additive> {
    let (variants, seeds) = (scores.len(), scores.first()?.len());
    assert!(scores.iter().all(|row| row.len() == seeds), "balanced");
    if variants < 2 || seeds < 2 {
        return None;
    }
    let of_variant: Vec<f64> = scores.iter().map(|row| mean(row)).collect();
    let of_seed: Vec<f64> = (0..seeds)
        .map(|seed| scores.iter().map(|row| row[seed]).sum::<f64>() / variants as f64)
        .collect();
    let centre = mean(&of_variant);
    let squares: f64 = scores
        .iter()
        .zip(&of_variant)
        .flat_map(|(row, variant)| {
            row.iter()
                .zip(&of_seed)
                .map(move |(score, seed)| (score - variant - seed + centre).powi(2))
        })
        .sum();
    let degrees_of_freedom = ((variants - 1) * (seeds - 1)) as f64;
    let sigma = (squares / degrees_of_freedom).sqrt();
    let standard_error = sigma * (2.0 / seeds as f64).sqrt();
    let estimates: Vec<_> = of_variant[1..]
        .iter()
        .map(|variant| Estimate::new(variant - of_variant[0], standard_error, degrees_of_freedom))
        .collect();
    let adjusted = holm(&estimates.iter().map(|e| e.p).collect::<Vec<_>>());
    let margin = critical_value(variants - 1, degrees_of_freedom) * standard_error;
    let alone = t_quantile(0.5 + CONFIDENCE / 2.0, degrees_of_freedom) * standard_error;
    let effects = estimates
        .into_iter()
        .zip(adjusted)
        .map(|(estimate, holm_p)| AdditiveEffect {
            pointwise: [estimate.value - alone, estimate.value + alone],
            difference: estimate.with_margin(margin),
            holm_p,
        });
    Some(Additive {
        sigma,
        degrees_of_freedom,
        seeds,
        effects: effects.collect(),
    })
}
