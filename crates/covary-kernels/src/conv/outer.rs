//! Weight gradients: for each tap, the sum over output pixels of input channel times output-gradient channel.
//!
//! `dW[tap][ci][co] += Σ_pixels x[pixel * stride + tap][ci] · dy[pixel][co]`. With bf16 a word holds the same pixel of two images,
//! so both products of the instruction belong to the sum and no tap needs another alignment. Channels lie in blocks of 16, so that a
//! tile reads its pixels one after the other.

use super::geometry::ConvGeometry;
use super::operand::Operand;
use super::outer_tile::{Pixels, tile};
use crate::Isa;
use crate::element::{LANES, padded};

/// Bytes of frames and gradients that all taps of a block of channels walk over before the next bytes come: about a core's first cache.
const NEAR: usize = 64 << 10;

impl Pixels {
    /// Whole images, or rows of one, that stay near with their gradients of some blocks.
    fn part(&self, blocks: usize) -> Self {
        let row = 4 * (self.x_row + blocks * self.columns * LANES);
        let images = (NEAR / (row * self.rows)).clamp(1, self.images);
        let rows = (NEAR / row).clamp(1, self.rows);
        Self {
            images,
            rows,
            ..*self
        }
    }
}

/// Adds the weight gradient of some images to `sums`.
///
/// # Shapes
/// - x: `[images / PER_WORD, padded c_in / 16, height + 2, width + 2, 16]` words, images paired for bf16
/// - dy: `[images / PER_WORD, padded c_out / 16, out_pixels, 16]` words
/// - sums: `[taps, padded c_in, padded c_out]` f32
pub(crate) fn outer<O: Operand>(
    isa: Isa,
    geometry: &ConvGeometry,
    images: usize,
    x: &[u32],
    dy: &[u32],
    sums: &mut [f32],
) {
    let (c_in, c_out) = (padded(geometry.c_in), padded(geometry.c_out));
    let frame_width = geometry.width + 2;
    let frame = (geometry.height + 2) * frame_width * LANES;
    let whole = Pixels {
        images,
        rows: geometry.out_height(),
        columns: geometry.out_width(),
        x_image: frame * c_in / LANES,
        x_row: geometry.stride * frame_width * LANES,
        x_step: geometry.stride * LANES,
        dy_image: geometry.out_pixels() * c_out,
        dy_block: geometry.out_pixels() * LANES,
    };
    let taps = geometry.forward_walk().taps;
    let mut block = 0;
    while block < c_out / LANES {
        let now = match c_out / LANES - block {
            4.. => 4,
            2 | 3 => 2,
            _ => 1,
        };
        let part = whole.part(now);
        for ci in (0..geometry.c_in).step_by(LANES) {
            let x = &x[ci / LANES * frame..];
            let dy = &dy[block * whole.dy_block..];
            let sums = &mut sums[ci * c_out + block * LANES..];
            let channels = LANES.min(geometry.c_in - ci);
            for image in (0..images).step_by(part.images) {
                for row in (0..whole.rows).step_by(part.rows) {
                    let pixels = Pixels {
                        images: part.images.min(images - image),
                        rows: part.rows.min(whole.rows - row),
                        ..part
                    };
                    let x = &x[image * whole.x_image + row * whole.x_row..];
                    let dy = &dy[image * whole.dy_image + row * whole.columns * LANES..];
                    for &(offset, tap) in &taps {
                        let x = &x[offset * LANES..];
                        let sums = &mut sums[tap * c_in * c_out..];
                        block_of_channels::<O>(isa, &pixels, channels, now, x, dy, sums, c_out);
                    }
                }
            }
        }
        block += now;
    }
}

/// One tap of up to sixteen input channels.
fn block_of_channels<O: Operand>(
    isa: Isa,
    pixels: &Pixels,
    channels: usize,
    blocks: usize,
    x: &[u32],
    dy: &[u32],
    sums: &mut [f32],
    sums_row: usize,
) {
    // Few input channels (images have three) take a short tile, not sixteen times their work.
    let p = if channels <= 4 { 4 } else { 16 / blocks };
    for first in (0..channels).step_by(p) {
        let x = &x[first..];
        let sums = &mut sums[first * sums_row..];
        tile::<O>(isa, pixels, p, blocks, x, dy, sums, sums_row);
    }
}
