//! Encoders: images to representations.
//!
//! An encoder is a list of layers ([`plan`]) that its own file writes down; both engines, the names of its parameters and its cost follow
//! from that list.
//!
//! | file | encoders |
//! |---|---|
//! | [`resnet`] | `resnet18`, `resnet34` |
//! | [`resnet9`] | `resnet9` |
//! | [`vgg6`] | `vgg6` |
//!
//! [`whiten`] fits the stem that any of them may have.

pub(crate) mod burn;
mod config;
pub(crate) mod kernels;
pub(crate) mod plan;
mod resnet;
mod resnet9;
mod vgg6;
pub(crate) mod whiten;

pub use config::{EncoderConfig, Initialisation, Stem};

use plan::LayerSpec;

/// An encoder that a configuration can name.
#[derive(Debug)]
pub struct Encoder {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Channels of each stage at width 1.
    pub channels: &'static [usize],
    /// Its layers, for the channels of each stage.
    layers: fn(&[usize]) -> Vec<LayerSpec>,
}

/// Every encoder.
pub const ENCODERS: &[Encoder] = &[
    resnet::RESNET18,
    resnet::RESNET34,
    resnet9::RESNET9,
    vgg6::VGG6,
];
