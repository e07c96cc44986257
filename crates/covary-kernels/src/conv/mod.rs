//! Convolutions over NHWC images: forward, input gradient, weight gradient; 3x3 and 1x1, stride 1 and 2.
//!
//! | file | what |
//! |---|---|
//! | [`geometry`] | sizes, and the walks of each product over padded frames |
//! | [`operand`] | f32 or pairs of bf16 as 32-bit words |
//! | [`panel`] | packed weights |
//! | [`tile`], [`outer`] | register tiles: products with weights, weight gradients |
//! | [`product`] | products with weights over the frames of some images |
//! | [`winograd`] | those of 3x3 taps and stride 1 with fewer multiplications |
//! | [`pool`] | max-pool of 2x2 pixels, and back |
//! | [`layer`], [`backward`] | a batch through one convolution, and back |
//! | [`reference`] | plain loops in f64: the specification |

pub(crate) mod backward;
#[cfg(test)]
pub(crate) mod battery;
mod extent;
mod geometry;
pub(crate) mod gradient;
pub(crate) mod layer;
pub(crate) mod operand;
mod outer;
mod outer_tile;
mod panel;
pub(crate) mod pool;
mod product;
pub mod reference;
mod tile;
mod winograd;

pub use geometry::ConvGeometry;
pub use operand::Operand;
