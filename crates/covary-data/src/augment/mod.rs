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
mod group;
mod hue;
mod normalise;
mod planes;
mod resample;
mod solarise;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

pub use self::{
    blur::GaussianBlur, colour_jitter::ColourJitter, crop::RandomResizedCrop, flip::HorizontalFlip,
    greyscale::Greyscale, group::Group, group::Side, normalise::Normalise, resample::Filter,
    solarise::Solarise,
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
    ($(#[doc = $about:literal] $field:ident: $step:ty,)*) => {
        /// How one view is made: random resized crop, then the other fields in their order.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct ViewConfig {
            /// Random resized crop.
            pub crop: RandomResizedCrop,
            $(#[doc = $about] pub $field: $step,)*
        }

        /// A further group of views, all made the same way: random resized crop, then the other fields in their order.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct ViewGroup {
            /// Views of an image, ≥ 1. Default 1.
            pub count: usize,
            /// Side of the views in pixels, or sides in the course of training. Default the configuration's `size`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub size: Option<Side>,
            /// Random resized crop.
            pub crop: RandomResizedCrop,
            $(#[doc = $about] pub $field: $step,)*
        }

        impl Default for ViewGroup {
            fn default() -> Self {
                let ViewConfig { crop, $($field),* } = ViewConfig::default();
                Self { count: 1, size: None, crop, $($field),* }
            }
        }

        impl ViewGroup {
            /// How each of its views is made.
            fn steps(&self) -> ViewConfig {
                ViewConfig { crop: self.crop.clone(), $($field: self.$field.clone()),* }
            }
        }

        /// Keys of the steps in their order, each with one line on what it does.
        pub static AUGMENTATIONS: &[(&str, &str)] = &[
            ("crop", "Random rectangle, resampled to the size of the views."),
            $((stringify!($field), $about.trim_ascii()),)*
            ("normalise", "Mean and standard deviation of each channel."),
        ];

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
    /// Left and right change places.
    flip: HorizontalFlip,
    /// Brightness, contrast, saturation and hue change, in random order.
    colour_jitter: ColourJitter,
    /// Colour is removed.
    greyscale: Greyscale,
    /// Gaussian blur of random width.
    blur: GaussianBlur,
    /// Bright values are inverted.
    solarise: Solarise,
}

/// How images become views: a pair, `view_a` and `view_b`, and perhaps further groups.
///
/// The default is the pipeline of lightly's VICReg transform at the strengths commonly used for CIFAR-10: crop from 0.2 of the
/// area, flip 1/2, colour jitter (0.4, 0.4, 0.2, 0.1) with probability 0.8, greyscale 0.2, no blur, solarisation 0.1, the same for
/// both views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Side length in pixels of clean images, and of views that name no other, ≥ 1. Default 32.
    pub size: usize,
    /// Side of `view_a` and `view_b` in training, or sides in its course. Default `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair_size: Option<Side>,
    /// Normalisation, of clean images too.
    pub normalise: Normalise,
    /// The first view.
    pub view_a: ViewConfig,
    /// The second view.
    pub view_b: ViewConfig,
    /// Groups of views beside the pair. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<ViewGroup>,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            size: 32,
            pair_size: None,
            normalise: Normalise::default(),
            view_a: ViewConfig::default(),
            view_b: ViewConfig::default(),
            views: Vec::new(),
        }
    }
}

impl AugmentConfig {
    /// BYOL's asymmetric pair (Grill et al. 2020, appendix B; their crops begin at 0.08 of the area, these at 0.2): blur always and solarisation never in the first view, blur with
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

    /// Shorter side above which an image's pixels are of no use: of a square of this side the smallest and longest crop still has
    /// `size` pixels a side, size / sqrt(scale ratio), rounded up.
    pub fn longest_useful_side(&self) -> usize {
        let crops = [&self.view_a.crop, &self.view_b.crop];
        let least = crops.map(|crop| {
            let longest = crop.ratio.0.min(1.0 / crop.ratio.1).min(1.0);
            (crop.scale.0 * longest).max(1e-3)
        });
        (self.size as f64 / least[0].min(least[1]).sqrt()).ceil() as usize
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
        let pair = self.pair_size.clone().unwrap_or(Side::Fixed(size));
        pair.check(key, "pair_size")?;
        for side in pair.all() {
            self.view_a.check(&format!("{key}.view_a"), side)?;
            self.view_b.check(&format!("{key}.view_b"), side)?;
        }
        for (index, group) in self.views.iter().enumerate() {
            let key = format!("{key}.views[{index}]");
            let counted = (1..=MOST_VIEWS).contains(&group.count);
            Check { key: &key, size }.rule(
                "count",
                group.count,
                counted,
                "must be within 1 to 1000",
            )?;
            let side = group.size.clone().unwrap_or(Side::Fixed(size));
            side.check(&key, "size")?;
            for side in side.all() {
                group.steps().check(&key, side)?;
            }
        }
        Ok(())
    }
}

/// Views of a group, at most.
const MOST_VIEWS: usize = 1000;

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

    fn probability(&self, value: f64) -> Result<(), DataError> {
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
        let steps = if view.is_multiple_of(2) {
            &config.view_a
        } else {
            &config.view_b
        };
        self.view_of(steps, config.size, &config.normalise, image, random, out);
    }

    /// One view of `image` by these steps, normalised, to `out`: `[size, size, 3]`.
    ///
    /// # Panics
    /// If `out` has another length, or the steps were not validated.
    pub fn view_of(
        &mut self,
        steps: &ViewConfig,
        size: usize,
        normalise: &Normalise,
        image: Image<'_>,
        random: &mut Stream,
        out: &mut [f32],
    ) {
        assert_eq!(out.len(), size * size * 3, "out is [size, size, 3]");
        let whole = ImageSize {
            height: image.height,
            width: image.width,
        };
        let region = steps.crop.draw(random, whole);
        self.planes.resize(size);
        self.resampler
            .region(image, region, steps.crop.filter, &mut self.planes);
        steps.change(random, &mut self.planes);
        normalise.write(&self.planes, out);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn steps_happen_with_their_probabilities() {
        const DRAWS: u64 = 20_000;
        let config = AugmentConfig::byol().view_b;
        let mut counts = [0_u32; 5];
        for index in 0..DRAWS {
            let random = &mut stream(0, 0, index, 1);
            counts[0] += u32::from(config.flip.draw(random).is_some());
            counts[1] += u32::from(config.colour_jitter.draw(random).is_some());
            counts[2] += u32::from(config.greyscale.draw(random).is_some());
            counts[3] += u32::from(config.blur.draw(random).is_some());
            counts[4] += u32::from(config.solarise.draw(random).is_some());
        }
        for (count, p) in counts.into_iter().zip([0.5, 0.8, 0.2, 0.1, 0.2_f64]) {
            let frequency = f64::from(count) / DRAWS as f64;
            let tolerance = 5.0 * (p * (1.0 - p) / DRAWS as f64).sqrt();
            assert!(
                (frequency - p).abs() < tolerance,
                "{frequency}, expected {p} +- {tolerance}"
            );
        }
    }

    #[test]
    fn certain_and_impossible_steps_are_so() {
        let mut random = stream(0, 0, 0, 0);
        let flip = |probability| HorizontalFlip { probability };
        assert!((0..1000).all(|_| flip(1.0).draw(&mut random).is_some()));
        assert!((0..1000).all(|_| flip(0.0).draw(&mut random).is_none()));
    }

    #[test]
    fn a_configuration_survives_toml() {
        let config = AugmentConfig::byol();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<AugmentConfig>(&text).unwrap(), config);
        assert_eq!(
            toml::from_str::<AugmentConfig>("").unwrap(),
            AugmentConfig::default()
        );
    }

    #[test]
    fn old_configurations_are_written_as_they_were_and_groups_survive_toml() {
        let text = toml::to_string(&AugmentConfig::default()).unwrap();
        assert!(
            !text.contains("views") && !text.contains("pair_size"),
            "{text}"
        );
        let text = "pair_size = [[0.0, 16], [0.5, 32]]\n[[views]]\ncount = 4\nsize = 16\ncrop.scale = [0.1, 0.4]";
        let config: AugmentConfig = toml::from_str(text).unwrap();
        let again = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<AugmentConfig>(&again).unwrap(), config);
        assert_eq!(config.view_count(), 6);
        let sizes = |progress| -> Vec<(usize, usize)> {
            let groups = config.groups(progress).into_iter();
            groups
                .map(|group| (group.views.len(), group.size))
                .collect()
        };
        assert_eq!(sizes(0.49), [(2, 16), (4, 16)]);
        assert_eq!(sizes(0.5), [(2, 32), (4, 16)]);
        assert_eq!(config.groups(0.0)[1].views[3].crop.scale, (0.1, 0.4));
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        for text in [
            "[[views]]\ncuont = 2",
            "[[views]]\ncrop.scales = [0.1, 1]",
            "pair_size = \"large\"",
            "sise = 32",
            "view_a.blurr = {}",
            "view_a.crop.scales = [0.1, 1]",
            "normalise.means = [0, 0, 0]",
        ] {
            assert!(toml::from_str::<AugmentConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_by_key() {
        for (text, key) in [
            ("size = 0", "augment.size"),
            ("normalise.std = [1, 0, 1]", "augment.normalise.std"),
            (
                "view_a.crop.scale = [0.0, 1.0]",
                "augment.view_a.crop.scale",
            ),
            (
                "view_a.crop.scale = [0.9, 0.5]",
                "augment.view_a.crop.scale",
            ),
            (
                "view_a.crop.ratio = [0.5, inf]",
                "augment.view_a.crop.ratio",
            ),
            ("pair_size = [[0.1, 16]]", "augment.pair_size"),
            ("pair_size = [[0.0, 16], [0.0, 32]]", "augment.pair_size"),
            ("pair_size = []", "augment.pair_size"),
            ("pair_size = 0", "augment.pair_size"),
            ("[[views]]\ncount = 0", "augment.views[0].count"),
            (
                "[[views]]\nsize = [[0.0, 16], [1.0, 32]]",
                "augment.views[0].size",
            ),
            (
                "[[views]]\n[[views]]\ncrop.scale = [0.9, 0.5]",
                "augment.views[1].crop.scale",
            ),
            ("[[views]]\nsize = 4", "augment.views[0].blur.kernel_size"),
            (
                "view_b.flip.probability = 1.5",
                "augment.view_b.flip.probability",
            ),
            (
                "view_b.flip.probability = nan",
                "augment.view_b.flip.probability",
            ),
            (
                "view_b.colour_jitter.brightness = -0.1",
                "augment.view_b.colour_jitter.brightness",
            ),
            (
                "view_a.blur.kernel_size = 4",
                "augment.view_a.blur.kernel_size",
            ),
            ("size = 4", "augment.view_a.blur.kernel_size"),
            (
                "view_a.blur.sigma = [0.0, 2.0]",
                "augment.view_a.blur.sigma",
            ),
            (
                "view_a.solarise.threshold = 300",
                "augment.view_a.solarise.threshold",
            ),
        ] {
            let config: AugmentConfig = toml::from_str(text).unwrap();
            let error = config.validate("augment").unwrap_err();
            assert!(
                matches!(&error, DataError::InvalidValue { key: found, .. } if found == key),
                "{text}: {error}"
            );
        }
    }
}
