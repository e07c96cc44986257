//! An estimate with Student's t: `estimate ± t · standard error`, p two-sided.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::CONFIDENCE;

/// A number with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Degrees of freedom of the standard error.
    pub degrees_of_freedom: f64,
    /// Two-sided p of the value being 0.
    pub p: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// From a value, its standard error and degrees of freedom. Where nothing varies the interval is a point.
    pub fn new(value: f64, standard_error: f64, degrees_of_freedom: f64) -> Self {
        let margin = t_quantile(0.5 + CONFIDENCE / 2.0, degrees_of_freedom) * standard_error;
        let p = if standard_error > 0.0 {
            2.0 * student(degrees_of_freedom).sf((value / standard_error).abs())
        } else {
            f64::from(u8::from(value == 0.0))
        };
        Self {
            value,
            standard_error,
            degrees_of_freedom,
            p,
            low: value - margin,
            high: value + margin,
        }
    }

    /// The same value with an interval of another half-width.
    pub(super) fn with_margin(self, margin: f64) -> Self {
        Self {
            low: self.value - margin,
            high: self.value + margin,
            ..self
        }
    }
}

/// Quantile of Student's t; degrees of freedom above 0.
pub fn t_quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    student(degrees_of_freedom).inverse_cdf(probability)
}

fn student(degrees_of_freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).expect("degrees of freedom are above 0")
}

/// A p value to three digits, as it is printed.
pub fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".into()
    } else {
        format!("{p:.3}")
    }
}

/// Mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample variance, divisor n - 1; NaN of fewer than two.
pub(super) fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    squares / (values.len() as f64 - 1.0)
}

/// Sample standard deviation, divisor n - 1; none of fewer than two.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    (values.len() >= 2).then(|| variance(values).sqrt())
}
