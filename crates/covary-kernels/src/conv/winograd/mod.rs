//! Convolutions of 3x3 taps and stride 1 by tiles of 2x2 outputs: `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, g the taps and d the 4x4 pixels that a
//! tile reads. Lavin and Gray 2016, equation 8, with the matrices of F(2x2, 3x3); the input gradient is the same with the taps turned.
//!
//! A tile takes 16 multiplications a pair of channels, where the sum over taps takes 36. The transforms are additions, two deep, in
//! f32; what they give is rounded to the operand of the tiles, which is the only difference to a sum over taps that is not of f32's
//! rounding. Layers of few channels gain less than the transforms take, and maps of odd sizes would need cut tiles: those are walked.

#[cfg(test)]
pub(super) mod battery;
mod outer;
mod panel;
mod planes;
mod product;
mod rows;
mod transform;

use super::geometry::ConvGeometry;
use super::operand::Operand;
use crate::element::LANES;

pub(super) use outer::outer;
pub(super) use panel::Panel;
pub(super) use product::product;
pub(super) use transform::{POINTS, weight_taps};

/// Channels from which on tiles are faster than walks, on both sides: of bf16 a register multiplies twice as many, which leaves less
/// to save.
const CHANNELS: usize = 16;
const CHANNELS_BF16: usize = 32;

/// Whether a convolution's products with its weights go by tiles.
pub(super) fn fits_products<O: Operand>(geometry: &ConvGeometry) -> bool {
    let channels = if O::BF16 { CHANNELS_BF16 } else { CHANNELS };
    fits(geometry, channels)
}

/// Whether its weight gradients do.
pub(super) fn fits_weights(geometry: &ConvGeometry) -> bool {
    fits(geometry, CHANNELS)
}

fn fits(geometry: &ConvGeometry, channels: usize) -> bool {
    geometry.kernel == 3
        && geometry.stride == 1
        && geometry.height.is_multiple_of(2)
        && geometry.width.is_multiple_of(2)
        && geometry.c_in.min(geometry.c_out) >= channels
}

/// `len` numbers for each point, one more register apart: powers of two would put all points into the same few lines of a cache.
fn apart(len: usize) -> usize {
    len + LANES
}
