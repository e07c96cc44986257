//! Normalisation: (v / 255 - mean) / std per channel, and the planes become channels-last.

use serde::{Deserialize, Serialize};

use super::{Check, planes::Planes};
use crate::DataError;

/// Mean and standard deviation of each channel, of values in 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Normalise {
    /// Mean of red, green, blue. Default (0.4914, 0.4822, 0.4465), CIFAR-10's.
    pub mean: [f64; 3],
    /// Standard deviation of red, green, blue, > 0. Default (0.2470, 0.2435, 0.2616), CIFAR-10's.
    pub std: [f64; 3],
}

impl Default for Normalise {
    fn default() -> Self {
        Self {
            mean: [0.4914, 0.4822, 0.4465],
            std: [0.2470, 0.2435, 0.2616],
        }
    }
}

impl Normalise {
    /// Writes the planes to `out`, `[size, size, 3]`.
    pub(super) fn write(&self, planes: &Planes, out: &mut [f32]) {
        let [red, green, blue] = planes.channels();
        let factor = self.std.map(|std| (1.0 / (255.0 * std)) as f32);
        let offset = [0, 1, 2].map(|channel| (-self.mean[channel] / self.std[channel]) as f32);
        let (pixels, _) = out.as_chunks_mut::<3>();
        for (((pixel, &red), &green), &blue) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
            *pixel = [
                red * factor[0] + offset[0],
                green * factor[1] + offset[1],
                blue * factor[2] + offset[2],
            ];
        }
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        let finite = self.mean.iter().all(|mean| mean.is_finite());
        check.rule("mean", self.mean, finite, "must be finite")?;
        let positive = self.std.iter().all(|&std| std > 0.0 && std.is_finite());
        check.rule("std", self.std, positive, "must be positive")
    }
}
