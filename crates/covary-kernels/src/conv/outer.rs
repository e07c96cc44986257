//! Weight gradients: for each tap, the sum over output pixels of input channel times output-gradient channel.
//!
//! `dW[tap][ci][co] += Σ_pixels x[pixel * stride + tap][ci] · dy[pixel][co]`. With bf16 a word holds the same pixel of two images,
//! so both products of the instruction belong to the sum and no tap needs another alignment. Channels lie in blocks of 16, so that a
//! tile reads its pixels one after the other.

use super::geometry::ConvGeometry;
use super::operand::Operand;
use super::outer_tile::{Pixels, tile};
use super::tile::blocks_at_once;
use crate::Isa;
use crate::element::{LANES, padded};

/// Bytes of frames and gradients that all taps of a block of channels walk over before the next bytes come: about a core's first cache.
const NEAR: usize = 64 << 10;

impl Pixels<'_> {
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

    /// The same walk from other words on.
    fn from(&self, x: usize, dy: usize) -> Self {
        Self {
            x: &self.x[x..],
            dy: &self.dy[dy..],
            ..*self
        }
    }
}

/// Puts the weight gradient of some images into `sums`, or adds it.
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
    accumulate: bool,
) {
    let (c_in, c_out) = (padded(geometry.c_in), padded(geometry.c_out));
    let frame_width = geometry.width + 2;
    let frame = (geometry.height + 2) * frame_width * LANES;
    let pixels = Pixels {
        x,
        dy,
        images,
        rows: geometry.out_height(),
        columns: geometry.out_width(),
        x_image: frame * c_in / LANES,
        x_row: geometry.stride * frame_width * LANES,
        x_step: geometry.stride * LANES,
        dy_image: geometry.out_pixels() * c_out,
        dy_block: geometry.out_pixels() * LANES,
        across: 1,
        sums_tap: c_in * c_out,
        sums_row: c_out,
        accumulate,
    };
    // Words from a tap's pixels and numbers from its sums on.
    let walk = geometry.forward_walk();
    let taps = walk.taps.iter();
    let taps: Vec<_> = taps
        .map(|&(offset, tap)| (offset * LANES, tap * pixels.sums_tap))
        .collect();
    let mut block = 0;
    while block < c_out / LANES {
        let now = blocks_at_once(c_out / LANES - block);
        for ci in (0..geometry.c_in).step_by(LANES) {
            let pixels = Pixels {
                across: if now == 1 { walk.across } else { 1 },
                ..pixels.from(ci / LANES * frame, block * pixels.dy_block)
            };
            let channels = LANES.min(geometry.c_in - ci);
            let sums = &mut sums[ci * c_out + block * LANES..];
            channel_block::<O>(isa, &pixels, &taps, channels, now, sums);
        }
        block += now;
    }
}

/// All taps of up to sixteen input channels, part by part.
fn channel_block<O: Operand>(
    isa: Isa,
    all: &Pixels<'_>,
    taps: &[(usize, usize)],
    channels: usize,
    blocks: usize,
    sums: &mut [f32],
) {
    // Few input channels (images have three) take a short tile, not sixteen times their work.
    let p = match all.across {
        _ if channels <= 4 => 4,
        1 => 16 / blocks,
        _ => 8,
    };
    let part = all.part(blocks);
    for image in (0..all.images).step_by(part.images) {
        for row in (0..all.rows).step_by(part.rows) {
            let part = Pixels {
                images: part.images.min(all.images - image),
                rows: part.rows.min(all.rows - row),
                accumulate: all.accumulate || image > 0 || row > 0,
                ..part
            };
            let x = image * all.x_image + row * all.x_row;
            let dy = image * all.dy_image + row * all.columns * LANES;
            for &(offset, tap_sums) in taps.iter().step_by(all.across) {
                for first in (0..channels).step_by(p) {
                    let pixels = part.from(x + offset + first, dy);
                    let sums = &mut sums[tap_sums + first * all.sums_row..];
                    tile::<O>(isa, &pixels, p, blocks, sums);
                }
            }
        }
    }
}
