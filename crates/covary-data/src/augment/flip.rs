//! Horizontal flip: left and right change places.

use serde::{Deserialize, Serialize};

use super::{Augmentation, Check, planes::Planes};
use crate::{
    DataError,
    rng::{Stream, happens},
};

/// Mirrors the image with some probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HorizontalFlip {
    /// Probability, 0 to 1. Default 0.5.
    pub probability: f64,
}

impl Default for HorizontalFlip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl Augmentation for HorizontalFlip {
    type Drawn = Flip;

    fn draw(&self, random: &mut Stream) -> Option<Flip> {
        happens(random, self.probability).then_some(Flip)
    }

    fn apply(_: Flip, planes: &mut Planes) {
        let size = planes.size();
        planes
            .values_mut()
            .chunks_exact_mut(size)
            .for_each(<[f32]>::reverse);
    }

    fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        check.probability(self.probability)
    }
}

/// A flip has no parameters.
#[derive(Debug)]
pub(super) struct Flip;
