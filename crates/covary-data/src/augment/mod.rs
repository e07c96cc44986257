//! From an image to a view: crop, then the steps of [`ViewConfig`] in the order of its fields, then normalisation.
//!
//! The steps and their random parameters are those of `torchvision` and of the self-supervised recipes built on it (`SimCLR`, Chen et
//! al. 2020; solarisation from BYOL, Grill et al. 2020). Where orders differ: lightly's VICReg transform solarises before it
//! blurs, its BYOL transform after; here solarisation is last. A new step is one file that implements [`Augmentation`] and one
//! line in the list below.

mod blur;
mod colour_jitter;
mod crop;
mod flip;
#[cfg(test)]
mod golden;
mod greyscale;
mod hue;
mod normalise;
mod planes;
mod resample;
mod solarise;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

pub use self::{
    blur::GaussianBlur, colour_jitter::ColourJitter, crop::RandomResizedCrop, flip::HorizontalFlip,
    greyscale::Greyscale, normalise::Normalise, resample::Filter, solarise::Solarise,
};
use self::{planes::Planes, resample::Resampler};
use crate::{DataError, Image, ImageSize, rng::Stream};

/// A step between crop and normalisation.
trait Augmentation {
    /// Parameters of one application.
    type Drawn;
    /// Random parameters, `None` if the image is left alone this time. Uses the same count of random numbers either way.
    fn draw(&self, random: &mut Stream) -> Option<Self::Drawn>;
    /// Changes the image.
    fn apply(drawn: Self::Drawn, planes: &mut Planes);
    /// Ranges of the configuration.
    fn check(&self, check: &Check<'_>) -> Result<(), DataError>;
}

/// Defines [`ViewConfig`] from the steps in their order.
macro_rules! steps {
    ($($(#[$doc:meta])* $field:ident: $step:ty,)*) => {
        /// How one view is made: random resized crop, then the other fields in their order.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct ViewConfig {
            /// Random resized crop.
            pub crop: RandomResizedCrop,
            $($(#[$doc])* pub $field: $step,)*
        }

        /// Names of the steps in their order.
        pub static AUGMENTATIONS: &[&str] = &["crop", $(stringify!($field),)* "normalise"];

        impl ViewConfig {
            fn change(&self, random: &mut Stream, planes: &mut Planes) {
                $(if let Some(drawn) = self.$field.draw(random) {
                    <$step>::apply(drawn, planes);
                })*
            }

            fn check(&self, key: &str, size: usize) -> Result<(), DataError> {
                self.crop.check(&Check { key: &format!("{key}.crop"), size })?;
                $(self.$field.check(&Check { key: &format!("{key}.{}", stringify!($field)), size })?;)*
                Ok(())
            }
        }
    };
}

steps! {
    /// Horizontal flip.
    flip: HorizontalFlip,
    /// Brightness, contrast, saturation and hue.
    colour_jitter: ColourJitter,
    /// Greyscale.
    greyscale: Greyscale,
    /// Gaussian blur.
    blur: GaussianBlur,
    /// Solarisation.
    solarise: Solarise,
}

/// How images become pairs of views.
///
/// The default is the pipeline of lightly's VICReg transform at the strengths commonly used for CIFAR-10: crop from 0.2 of the
/// area, flip 1/2, colour jitter (0.4, 0.4, 0.2, 0.1) with probability 0.8, greyscale 0.2, no blur, solarisation 0.1, the same for
/// both views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Side length of the views in pixels, ≥ 1. Default 32.
    pub size: usize,
    /// Normalisation, of clean images too.
    pub normalise: Normalise,
    /// The first view.
    pub view_a: ViewConfig,
    /// The second view.
    pub view_b: ViewConfig,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            size: 32,
            normalise: Normalise::default(),
            view_a: ViewConfig::default(),
            view_b: ViewConfig::default(),
        }
    }
}

impl AugmentConfig {
    /// BYOL's asymmetric pair (Grill et al. 2020, table 6): blur always and solarisation never in the first view, blur with
    /// probability 0.1 and solarisation with 0.2 in the second.
    pub fn byol() -> Self {
        let view = |blur, solarise| ViewConfig {
            blur: GaussianBlur {
                probability: blur,
                ..GaussianBlur::default()
            },
            solarise: Solarise {
                probability: solarise,
                ..Solarise::default()
            },
            ..ViewConfig::default()
        };
        Self {
            view_a: view(1.0, 0.0),
            view_b: view(0.1, 0.2),
            ..Self::default()
        }
    }

    /// Checks every range; `key` is where the configuration lies, for messages.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] with the full key.
    pub fn validate(&self, key: &str) -> Result<(), DataError> {
        let size = self.size;
        Check { key, size }.rule(
            "size",
            size,
            (1..=4096).contains(&size),
            "must be within 1 to 4096",
        )?;
        self.normalise.check(&Check {
            key: &format!("{key}.normalise"),
            size,
        })?;
        self.view_a.check(&format!("{key}.view_a"), size)?;
        self.view_b.check(&format!("{key}.view_b"), size)
    }
}

/// Where a value lies and what it must obey.
struct Check<'a> {
    key: &'a str,
    size: usize,
}

impl Check<'_> {
    fn rule(
        &self,
        field: &str,
        value: impl Debug,
        holds: bool,
        rule: &'static str,
    ) -> Result<(), DataError> {
        if holds {
            return Ok(());
        }
        Err(DataError::InvalidValue {
            key: format!("{}.{field}", self.key),
            value: format!("{value:?}"),
            rule,
        })
    }

    fn probability(&self, value: f32) -> Result<(), DataError> {
        self.rule(
            "probability",
            value,
            (0.0..=1.0).contains(&value),
            "must be within 0 to 1",
        )
    }
}

/// Makes views with buffers that it keeps; one a thread.
#[derive(Debug, Default)]
pub struct Augmenter {
    planes: Planes,
    resampler: Resampler,
}

impl Augmenter {
    /// One view of `image`, normalised, to `out`: `[size, size, 3]`. Even views are made as `view_a`, odd ones as `view_b`.
    ///
    /// # Panics
    /// If `out` has another length, or `config` was not validated.
    pub fn view(
        &mut self,
        config: &AugmentConfig,
        image: Image<'_>,
        view: u64,
        random: &mut Stream,
        out: &mut [f32],
    ) {
        assert_eq!(
            out.len(),
            config.size * config.size * 3,
            "out is [size, size, 3]"
        );
        let steps = if view.is_multiple_of(2) {
            &config.view_a
        } else {
            &config.view_b
        };
        let size = ImageSize {
            height: image.height,
            width: image.width,
        };
        let region = steps.crop.draw(random, size);
        self.planes.resize(config.size);
        self.resampler
            .region(image, region, steps.crop.filter, &mut self.planes);
        steps.change(random, &mut self.planes);
        config.normalise.write(&self.planes, out);
    }

    /// The image itself, normalised, to `out`: `[size, size, 3]`. Of an image of another size, the shorter side is resampled to
    /// `size` (triangle filter, antialiased) and the centre kept.
    ///
    /// # Panics
    /// If `out` has another length, or `config` was not validated.
    pub fn clean(&mut self, config: &AugmentConfig, image: Image<'_>, out: &mut [f32]) {
        assert_eq!(
            out.len(),
            config.size * config.size * 3,
            "out is [size, size, 3]"
        );
        self.planes.resize(config.size);
        self.resampler
            .centre(image, Filter::Bilinear, &mut self.planes);
        config.normalise.write(&self.planes, out);
    }
}
