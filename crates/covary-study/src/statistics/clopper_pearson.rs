//! Rate k/n with its exact interval (Clopper, Pearson 1934): the quantiles `Beta(k, n - k + 1)` at 2.5 % and `Beta(k + 1, n - k)` at 97.5 %.

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF};

use super::CONFIDENCE;

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Cases.
    pub k: usize,
    /// Of so many.
    pub n: usize,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Rate {
    /// k / n; NaN of nothing.
    pub fn share(&self) -> f64 {
        self.k as f64 / self.n as f64
    }
}

/// The rate of k cases of n, k ≤ n; of nothing, anything from 0 to 1.
pub fn clopper_pearson(k: usize, n: usize) -> Rate {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (cases, others) = (k as f64, (n - k) as f64);
    let quantile = |a: f64, b: f64, probability: f64| {
        Beta::new(a, b)
            .expect("both parameters are above 0")
            .inverse_cdf(probability)
    };
    Rate {
        k,
        n,
        low: if k == 0 {
            0.0
        } else {
            quantile(cases, others + 1.0, tail)
        },
        high: if k == n {
            1.0
        } else {
            quantile(cases + 1.0, others, 1.0 - tail)
        },
    }
}
