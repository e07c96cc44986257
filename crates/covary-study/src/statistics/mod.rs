//! Statistics of studies: paired and pooled differences, corrections for many comparisons, power, rates, factorials, ranks.
//!
//! Everything generalises over seeds (initial weights, order of the data, augmentation), not over data sets. Nothing is resampled: with
//! three to five seeds there is nothing to resample. Checked against scipy, statsmodels and scikit-learn (`golden/make_statistics.py`).

mod additive;
mod clopper_pearson;
mod dunnett;
mod estimate;
mod factorial;
mod holm;
mod integrate;
mod logistic;
mod paired;
mod power;
mod rank;
mod regression;

pub use additive::{Additive, AdditiveEffect, additive};
pub use clopper_pearson::{Rate, clopper_pearson};
pub use dunnett::critical_value;
pub use estimate::{Estimate, mean, p_value, standard_deviation, t_quantile};
pub use factorial::{TwoByTwo, two_by_two};
pub use holm::holm;
pub use logistic::{Logistic, logistic};
pub use paired::{Paired, paired};
pub use power::{detectable_difference, power};
pub use rank::{area_under_roc, brier, spearman};
pub use regression::{Line, line};

/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;
