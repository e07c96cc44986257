//! Encoders: images to representations.

pub(crate) mod resnet;

pub use resnet::ResNetConfig;
