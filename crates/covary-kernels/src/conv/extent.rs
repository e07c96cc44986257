//! The lengths by which a product of a convolution steps through frames and outputs.

use super::geometry::ConvGeometry;
use super::panel::Direction;
use crate::frame::Map;

/// Where a product reads and writes. Frames hold `channels` numbers a pixel (padded), outputs `out_channels` (padded).
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Numbers of one image's frame.
    pub(super) frame: usize,
    /// Padded channels of the frame.
    pub(super) channels: usize,
    /// Channels that are not padding.
    pub(super) real_channels: usize,
    /// Pixels of one image's output.
    pub(super) out_pixels: usize,
    /// Padded channels of the output.
    pub(super) out_channels: usize,
}

impl Extent {
    pub(super) fn new(geometry: &ConvGeometry, direction: Direction) -> Self {
        let (input, output) = (Map::of_input(geometry), Map::of_output(geometry));
        let (from, to, real_channels) = match direction {
            Direction::Forward => (input, output, geometry.c_in),
            Direction::InputGradient => (output, input, geometry.c_out),
        };
        Self {
            frame: from.frame_len(),
            channels: from.channels,
            real_channels,
            out_pixels: to.pixels(),
            out_channels: to.channels,
        }
    }
}
