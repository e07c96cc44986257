//! Colour jitter: brightness, contrast, saturation and hue changed by random factors, in random order.
//!
//! As `torchvision.transforms.ColorJitter` inside `RandomApply`: the first three factors are uniform in [max(0, 1 - a), 1 + a], the
//! hue shift is uniform in [-a, a] turns. Values are clamped to 0..=255 after each step and not rounded.

use serde::{Deserialize, Serialize};

use super::{Augmentation, Check, greyscale::grey, hue, planes::Planes};
use crate::{
    DataError,
    rng::{Stream, below, happens, uniform},
};

/// Changes colours with some probability. A strength of 0 leaves its property alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColourJitter {
    /// Probability that anything changes, 0 to 1. Default 0.8.
    pub probability: f32,
    /// Largest relative change of brightness, ≥ 0. Default 0.4.
    pub brightness: f32,
    /// Largest relative change of contrast, ≥ 0. Default 0.4.
    pub contrast: f32,
    /// Largest relative change of saturation, ≥ 0. Default 0.2.
    pub saturation: f32,
    /// Largest shift of hue in turns, 0 to 0.5. Default 0.1.
    pub hue: f32,
}

impl Default for ColourJitter {
    fn default() -> Self {
        Self {
            probability: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.2,
            hue: 0.1,
        }
    }
}

/// One of the four steps, with its factor or shift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum JitterStep {
    /// v becomes f v.
    Brightness(f32),
    /// v becomes f v + (1 - f) m, m the mean grey level of the image.
    Contrast(f32),
    /// v becomes f v + (1 - f) g, g the grey level of the pixel.
    Saturation(f32),
    /// The hue turns by this fraction of a full turn.
    Hue(f32),
}

impl Augmentation for ColourJitter {
    type Drawn = [JitterStep; 4];

    fn draw(&self, random: &mut Stream) -> Option<[JitterStep; 4]> {
        let happens = happens(random, self.probability);
        let mut factor = |strength: f32| uniform(random, (1.0 - strength).max(0.0), 1.0 + strength);
        let mut steps = [
            JitterStep::Brightness(factor(self.brightness)),
            JitterStep::Contrast(factor(self.contrast)),
            JitterStep::Saturation(factor(self.saturation)),
            JitterStep::Hue(uniform(random, -self.hue, self.hue)),
        ];
        for last in (1..steps.len()).rev() {
            steps.swap(last, below(random, last as u32 + 1) as usize);
        }
        happens.then_some(steps)
    }

    fn apply(steps: [JitterStep; 4], planes: &mut Planes) {
        for step in steps {
            step.apply(planes);
        }
    }

    fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        check.probability(self.probability)?;
        for (key, strength) in [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ] {
            check.rule(
                key,
                strength,
                strength >= 0.0 && strength.is_finite(),
                "must be at least 0",
            )?;
        }
        check.rule(
            "hue",
            self.hue,
            (0.0..=0.5).contains(&self.hue),
            "must be within 0 to 0.5",
        )
    }
}

impl JitterStep {
    pub(super) fn apply(self, planes: &mut Planes) {
        match self {
            Self::Brightness(factor) => blend(planes, factor, 0.0),
            Self::Contrast(factor) => {
                let [red, green, blue] = planes.channels();
                let mean = mean(red) * 0.2989 + mean(green) * 0.587 + mean(blue) * 0.114;
                blend(planes, factor, mean);
            }
            Self::Saturation(factor) => {
                let [red, green, blue] = planes.channels_mut();
                for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
                    let grey = (1.0 - factor) * grey(*red, *green, *blue);
                    for value in [red, green, blue] {
                        *value = (factor * *value + grey).clamp(0.0, 255.0);
                    }
                }
            }
            Self::Hue(shift) => hue::turn(planes, shift),
        }
    }
}

/// v becomes factor v + (1 - factor) other.
fn blend(planes: &mut Planes, factor: f32, other: f32) {
    let offset = (1.0 - factor) * other;
    for value in planes.values_mut() {
        *value = (factor * *value + offset).clamp(0.0, 255.0);
    }
}

/// Mean in eight partial sums, an order that does not depend on the machine.
fn mean(plane: &[f32]) -> f32 {
    let (chunks, rest) = plane.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    (sums.iter().sum::<f32>() + rest.iter().sum::<f32>()) / plane.len() as f32
}
