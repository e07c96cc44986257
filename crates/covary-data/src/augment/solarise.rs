//! Solarise: v becomes 255 - v where v ≥ threshold.

use serde::{Deserialize, Serialize};

use super::{Augmentation, Check, planes::Planes};
use crate::{
    DataError,
    rng::{Stream, happens},
};

/// Inverts bright values with some probability, each channel on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Solarise {
    /// Probability, 0 to 1. Default 0.1.
    pub probability: f64,
    /// Lowest grey level that is inverted, 0 to 255. Default 128.
    pub threshold: f64,
}

impl Default for Solarise {
    fn default() -> Self {
        Self {
            probability: 0.1,
            threshold: 128.0,
        }
    }
}

impl Augmentation for Solarise {
    type Drawn = Threshold;

    fn draw(&self, random: &mut Stream) -> Option<Threshold> {
        happens(random, self.probability).then_some(Threshold(self.threshold as f32))
    }

    fn apply(Threshold(threshold): Threshold, planes: &mut Planes) {
        for value in planes.values_mut() {
            *value = if *value >= threshold {
                255.0 - *value
            } else {
                *value
            };
        }
    }

    fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        check.probability(self.probability)?;
        check.rule(
            "threshold",
            self.threshold,
            (0.0..=255.0).contains(&self.threshold),
            "must be within 0 to 255",
        )
    }
}

/// Lowest grey level that is inverted.
#[derive(Debug)]
pub(super) struct Threshold(pub(super) f32);
