//! Colour jitter: brightness, contrast, saturation and hue changed by random factors, in random order.
//!
//! As `torchvision.transforms.ColorJitter` inside `RandomApply`: the first three factors are uniform in [max(0, 1 - a), 1 + a], the
//! hue shift is uniform in [-a, a] turns. Values are clamped to 0..=255 after each step and not rounded;
//! on 8-bit images `torchvision` and Pillow round down each time, so their views are about a grey level darker.

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
    pub probability: f64,
    /// Largest relative change of brightness, ≥ 0. Default 0.4.
    pub brightness: f64,
    /// Largest relative change of contrast, ≥ 0. Default 0.4.
    pub contrast: f64,
    /// Largest relative change of saturation, ≥ 0. Default 0.2.
    pub saturation: f64,
    /// Largest shift of hue in turns, 0 to 0.5. Default 0.1.
    pub hue: f64,
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
        let mut factor =
            |strength: f64| uniform(random, (1.0 - strength).max(0.0), 1.0 + strength) as f32;
        let mut steps = [
            JitterStep::Brightness(factor(self.brightness)),
            JitterStep::Contrast(factor(self.contrast)),
            JitterStep::Saturation(factor(self.saturation)),
            JitterStep::Hue(uniform(random, -self.hue, self.hue) as f32),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    const DRAWS: usize = 20_000;

    fn draws(config: &ColourJitter) -> Vec<[JitterStep; 4]> {
        (0..DRAWS as u64)
            .filter_map(|index| config.draw(&mut stream(2, 0, index, 1)))
            .collect()
    }

    /// Position in torchvision's list, and the factor.
    fn parts(step: JitterStep) -> (usize, f64) {
        match step {
            JitterStep::Brightness(factor) => (0, f64::from(factor)),
            JitterStep::Contrast(factor) => (1, f64::from(factor)),
            JitterStep::Saturation(factor) => (2, f64::from(factor)),
            JitterStep::Hue(shift) => (3, f64::from(shift)),
        }
    }

    #[test]
    fn factors_are_uniform_in_their_ranges() {
        let config = ColourJitter {
            saturation: 1.5,
            ..ColourJitter::default()
        };
        let draws = draws(&config);
        let ranges = [(0.6, 1.4), (0.6, 1.4), (0.0, 2.5), (-0.1, 0.1)];
        for (kind, (low, high)) in ranges.into_iter().enumerate() {
            let of_kind = |steps: &[JitterStep; 4]| {
                steps
                    .iter()
                    .map(|&step| parts(step))
                    .find(|part| part.0 == kind)
            };
            let positions: Vec<f64> = draws
                .iter()
                .filter_map(of_kind)
                .map(|(_, f)| (f - low) / (high - low))
                .collect();
            assert_eq!(positions.len(), draws.len());
            assert!(
                positions
                    .iter()
                    .all(|position| (-1e-6..=1.0 + 1e-6).contains(position))
            );
            // Kolmogorov and Smirnov: the largest distance exceeds 2.23 / sqrt(n) in 1 of 10,000 cases
            let mut sorted = positions;
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len() as f64;
            let distance = sorted
                .iter()
                .enumerate()
                .map(|(i, p)| (p - i as f64 / n).abs())
                .fold(0.0, f64::max);
            assert!(distance < 2.23 / n.sqrt(), "step {kind}: {distance}");
        }
    }

    #[test]
    fn each_of_the_24_orders_is_as_likely() {
        let draws = draws(&ColourJitter {
            probability: 1.0,
            ..ColourJitter::default()
        });
        let mut counts = std::collections::BTreeMap::new();
        for steps in &draws {
            *counts
                .entry(steps.map(|step| parts(step).0))
                .or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        // chi-square with 23 degrees of freedom: 99.99 % lie below 56.6
        let expected = DRAWS as f64 / 24.0;
        let chi_square: f64 = counts
            .values()
            .map(|&c| (f64::from(c) - expected).powi(2) / expected)
            .sum();
        assert!(chi_square < 56.6, "{chi_square}");
    }

    #[test]
    fn zero_strengths_leave_the_image_alone() {
        let config = ColourJitter {
            probability: 1.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
        };
        let mut planes = Planes::default();
        planes.resize(16);
        let levels: Vec<f32> = (0..3 * 256).map(|i| ((i * 7919) % 256) as f32).collect();
        planes.values_mut().copy_from_slice(&levels);
        ColourJitter::apply(config.draw(&mut stream(0, 0, 0, 0)).unwrap(), &mut planes);
        for (value, level) in planes.values_mut().iter().zip(levels) {
            assert!((*value - level).abs() < 1e-3, "{value} for {level}");
        }
    }
}
