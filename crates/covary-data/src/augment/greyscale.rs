//! Greyscale: every channel becomes 0.2989 R + 0.587 G + 0.114 B (ITU-R BT.601, digits as in `torchvision`).

use serde::{Deserialize, Serialize};

use super::{Augmentation, Check, planes::Planes};
use crate::{
    DataError,
    rng::{Stream, happens},
};

/// Grey level of a colour.
pub(super) fn grey(red: f32, green: f32, blue: f32) -> f32 {
    0.2989 * red + 0.587 * green + 0.114 * blue
}

/// Removes colour with some probability; the image keeps three channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Greyscale {
    /// Probability, 0 to 1. Default 0.2.
    pub probability: f64,
}

impl Default for Greyscale {
    fn default() -> Self {
        Self { probability: 0.2 }
    }
}

impl Augmentation for Greyscale {
    type Drawn = Grey;

    fn draw(&self, random: &mut Stream) -> Option<Grey> {
        happens(random, self.probability).then_some(Grey)
    }

    fn apply(_: Grey, planes: &mut Planes) {
        let [red, green, blue] = planes.channels_mut();
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let grey = grey(*red, *green, *blue);
            (*red, *green, *blue) = (grey, grey, grey);
        }
    }

    fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        check.probability(self.probability)
    }
}

/// Greyscale has no parameters.
#[derive(Debug)]
pub(super) struct Grey;
