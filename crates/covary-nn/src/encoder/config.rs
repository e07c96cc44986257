//! What a configuration says of an encoder.

use covary_kernels::ConvGeometry;
use serde::{Deserialize, Serialize};

use super::plan::{LayerSpec, Plan};
use super::{ENCODERS, Encoder};
use crate::NnError;

/// Rows and columns of an image at least.
const LEAST_SIDE: usize = 8;

/// The choice of an encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// One of [`ENCODERS`].
    pub name: String,
    /// Factor of the channels of each stage, at least 1; channels of the first convolution.
    pub width: usize,
    /// Channels of each stage, instead of those that follow from `width`; empty for those.
    #[serde(default)]
    pub channels: Vec<usize>,
    /// Channels of a last 1x1 convolution with BatchNorm and ReLU before the mean over pixels, 0 for none.
    #[serde(default)]
    pub expand: usize,
    /// What comes before the encoder's first convolution.
    #[serde(default)]
    pub stem: Stem,
    /// Initial values of the convolutions.
    #[serde(default)]
    pub initialisation: Initialisation,
}

/// What comes before the encoder's first convolution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// Nothing: the first convolution reads the images.
    #[default]
    Learned,
    /// A convolution that whitens patches of the training images and does not train.
    Whitened,
}

/// Initial values of the convolutions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialisation {
    /// Normal, with the variance of He et al. 2015.
    #[default]
    Kaiming,
    /// The first output channels pass on the input channels; the others as [`Initialisation::Kaiming`].
    Dirac,
}

impl EncoderConfig {
    /// The encoder of that name and width, with nothing added.
    pub fn named(name: &str, width: usize) -> Self {
        Self {
            name: name.into(),
            width,
            channels: Vec::new(),
            expand: 0,
            stem: Stem::default(),
            initialisation: Initialisation::default(),
        }
    }

    /// Width of the representation.
    ///
    /// # Errors
    /// As [`EncoderConfig::check`].
    pub fn features(&self) -> Result<usize, NnError> {
        Ok(self.plan([LEAST_SIDE; 2])?.features())
    }

    /// Checks name, width and channels.
    ///
    /// # Errors
    /// [`NnError::UnknownEncoder`], [`NnError::Channels`] for another number of stages than the encoder has, [`NnError::Size`] for zeros.
    pub fn check(&self) -> Result<(), NnError> {
        self.stage_channels().map(drop)
    }

    /// The distinct convolutions for images of these rows and columns, from the images on.
    ///
    /// # Errors
    /// As [`EncoderConfig::check`], and [`NnError::Size`] for images smaller than 8 pixels.
    pub fn convolutions(&self, size: [usize; 2]) -> Result<Vec<ConvGeometry>, NnError> {
        let mut found = Vec::new();
        for geometry in self.plan(size)?.convolutions() {
            if !found.contains(&geometry) {
                found.push(geometry);
            }
        }
        Ok(found)
    }

    /// Multiplications, each with an addition, of one image's way through the convolutions, counted as sums over taps.
    ///
    /// # Errors
    /// As [`EncoderConfig::convolutions`].
    pub fn multiply_adds(&self, size: [usize; 2]) -> Result<u64, NnError> {
        let convolutions = self.plan(size)?.convolutions();
        let flops: usize = convolutions.iter().map(ConvGeometry::flops).sum();
        Ok(flops as u64 / 2)
    }

    pub(crate) fn plan(&self, size: [usize; 2]) -> Result<Plan, NnError> {
        let (encoder, channels) = self.stage_channels()?;
        for (what, value) in ["image height", "image width"].into_iter().zip(size) {
            let least = LEAST_SIDE;
            if value < least {
                return Err(NnError::Size { what, value, least });
            }
        }
        let mut layers = Vec::new();
        if self.stem == Stem::Whitened {
            layers.push(LayerSpec::whitening());
        }
        layers.extend((encoder.layers)(&channels));
        if self.expand > 0 {
            layers.push(LayerSpec::Conv {
                conv: "expand.0".into(),
                norm: "expand.1".into(),
                c_out: self.expand,
                kernel: 1,
                pool: false,
                frozen: false,
            });
        }
        Ok(Plan::new(layers, size))
    }

    fn stage_channels(&self) -> Result<(&'static Encoder, Vec<usize>), NnError> {
        let encoder = ENCODERS
            .iter()
            .find(|encoder| encoder.name == self.name)
            .ok_or_else(|| NnError::UnknownEncoder(self.name.clone()))?;
        let stages = encoder.channels.len();
        if !self.channels.is_empty() && self.channels.len() != stages {
            return Err(NnError::Channels {
                encoder: encoder.name,
                given: self.channels.len(),
                stages,
            });
        }
        let channels = if self.channels.is_empty() {
            encoder.channels.iter().map(|c| c * self.width).collect()
        } else {
            self.channels.clone()
        };
        let sizes = channels.iter().map(|c| ("encoder channels", *c));
        for (what, value) in [("encoder width", self.width)].into_iter().chain(sizes) {
            if value == 0 {
                return Err(NnError::Size {
                    what,
                    value,
                    least: 1,
                });
            }
        }
        Ok((encoder, channels))
    }
}
