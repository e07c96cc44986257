//! Random resized crop: a rectangle of random area and aspect ratio, resampled to the output size (Szegedy et al. 2015).
//!
//! As `torchvision.transforms.RandomResizedCrop`: area fraction uniform in `scale`, aspect ratio log-uniform in `ratio`, both sides
//! rounded; a rectangle that does not fit is drawn again, ten times at most, then the largest central rectangle within the
//! ratio bounds is taken.

use serde::{Deserialize, Serialize};

use super::{
    Check,
    resample::{Filter, Region},
};
use crate::{
    DataError, ImageSize,
    rng::{Stream, below, uniform},
};

const ATTEMPTS: usize = 10;

/// Random resized crop; the first step of every view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Smallest and largest fraction of the image's area, 0 < low ≤ high ≤ 1. Default (0.2, 1).
    pub scale: (f32, f32),
    /// Smallest and largest width / height, 0 < low ≤ high. Default (3/4, 4/3).
    pub ratio: (f32, f32),
    /// Interpolation. Default bilinear, `torchvision`'s default; solo-learn takes bicubic.
    pub filter: Filter,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self {
            scale: (0.2, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            filter: Filter::Bilinear,
        }
    }
}

impl RandomResizedCrop {
    pub(super) fn draw(&self, random: &mut Stream, image: ImageSize) -> Region {
        let (height, width) = (image.height as f32, image.width as f32);
        let log_ratio = (self.ratio.0.ln(), self.ratio.1.ln());
        for _ in 0..ATTEMPTS {
            let area = height * width * uniform(random, self.scale.0, self.scale.1);
            let ratio = uniform(random, log_ratio.0, log_ratio.1).exp();
            let region = (
                ((area / ratio).sqrt().round()) as usize,
                ((area * ratio).sqrt().round()) as usize,
            );
            if let (height @ 1.., width @ 1..) = region
                && height <= image.height
                && width <= image.width
            {
                let top = below(random, (image.height - height + 1) as u32) as usize;
                let left = below(random, (image.width - width + 1) as u32) as usize;
                return Region {
                    top,
                    left,
                    height,
                    width,
                };
            }
        }
        self.central(image)
    }

    fn central(&self, image: ImageSize) -> Region {
        let (rows, columns) = (image.height as f32, image.width as f32);
        let (mut height, mut width) = (image.height, image.width);
        if columns / rows < self.ratio.0 {
            height = ((columns / self.ratio.0).round() as usize).clamp(1, height);
        } else if columns / rows > self.ratio.1 {
            width = ((rows * self.ratio.1).round() as usize).clamp(1, width);
        }
        Region {
            top: (image.height - height) / 2,
            left: (image.width - width) / 2,
            height,
            width,
        }
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), DataError> {
        let (low, high) = self.scale;
        check.rule(
            "scale",
            self.scale,
            0.0 < low && low <= high && high <= 1.0,
            "must be 0 < low <= high <= 1",
        )?;
        let (low, high) = self.ratio;
        check.rule(
            "ratio",
            self.ratio,
            0.0 < low && low <= high && high.is_finite(),
            "must be 0 < low <= high",
        )
    }
}
