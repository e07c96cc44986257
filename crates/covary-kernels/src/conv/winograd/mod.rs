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
mod transform;

use std::cell::RefCell;

use super::geometry::ConvGeometry;
use super::layer::sized;
use super::operand::Operand;
use super::panel::Direction;
use super::product::Extent;
use super::tile::{self, Run};
use crate::Isa;
use crate::element::{Element, LANES};
use panel::Panel;
use transform::{input_tiles, output_tiles};

pub(super) use outer::outer;
pub(super) use transform::{POINTS, weight_taps};

/// Channels from which on tiles are faster than walks, on both sides: of bf16 a register multiplies twice as many, which leaves less
/// to save.
const CHANNELS: usize = 16;
const CHANNELS_BF16: usize = 32;
/// Bytes that what a batch of tiles is transformed to may take: about half of a core's second cache.
const NEAR: usize = 512 << 10;
/// Tiles of a batch at least, so that weights and their sums are seldom read.
const TILES: usize = 16;

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

/// The product of one direction with its transformed weights.
#[derive(Debug)]
pub(super) struct Tiles {
    geometry: ConvGeometry,
    panel: Panel,
}

/// Buffers of one thread, kept between calls.
#[derive(Default)]
struct Scratch {
    inputs: Vec<u32>,
    products: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Rows of `columns` tiles that make a batch, where a tile takes `words` at each point.
fn near(words: usize, columns: usize) -> usize {
    ((NEAR / (4 * POINTS * words)).max(TILES) / columns).max(1)
}

/// `len` numbers for each point, one more register apart: powers of two would put all points into the same few lines of a cache.
fn apart(len: usize) -> usize {
    len + LANES
}

impl Tiles {
    pub(super) fn new(geometry: ConvGeometry) -> Self {
        Self {
            geometry,
            panel: Panel::default(),
        }
    }

    /// Transforms and packs a weight `[c_out, c_in, 3, 3]`, rounded to `T` first.
    pub(super) fn pack<T: Element, O: Operand>(
        &mut self,
        isa: Isa,
        direction: Direction,
        weight: &[f32],
    ) {
        self.panel
            .pack::<T, O>(isa, &self.geometry, direction, weight);
    }

    /// As [`super::product::Product::run`].
    pub(super) fn run<O: Operand>(
        &self,
        isa: Isa,
        extent: &Extent,
        frames: &[u32],
        out: &mut [f32],
        accumulate: bool,
    ) {
        let images = frames.len() / (extent.frame / O::PER_WORD);
        let columns = self.geometry.width / 2;
        let rows = images * self.geometry.height / 2;
        let pixel = extent.channels / O::PER_WORD;
        let batch = near(pixel + extent.out_channels.min(4 * LANES), columns);
        SCRATCH.with_borrow_mut(|scratch| {
            for first in (0..rows).step_by(batch) {
                let batch = Batch {
                    first,
                    rows: batch.min(rows - first),
                    columns,
                    tile_rows: self.geometry.height / 2,
                    pixel,
                    extent,
                };
                batch.transform::<O>(isa, frames, &mut scratch.inputs);
                batch.products::<O>(isa, &self.panel, scratch, out, accumulate);
            }
        });
    }
}

/// Some rows of tiles, which go over the images of a group one after the other.
struct Batch<'a> {
    first: usize,
    rows: usize,
    /// Tiles of a row.
    columns: usize,
    /// Rows of an image.
    tile_rows: usize,
    /// Words of a pixel of a frame.
    pixel: usize,
    extent: &'a Extent,
}

impl Batch<'_> {
    fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// The image of a row of the batch, and the first of the pixel rows that it writes.
    fn place(&self, row: usize) -> (usize, usize) {
        let row = self.first + row;
        (row / self.tile_rows, row % self.tile_rows * 2)
    }

    /// `[16, tiles, words]`.
    fn transform<O: Operand>(&self, isa: Isa, frames: &[u32], inputs: &mut Vec<u32>) {
        let frame_row = (2 * self.columns + 2) * self.pixel;
        let point = apart(self.tiles() * self.pixel);
        let inputs = sized(inputs, POINTS * point);
        for row in 0..self.rows {
            let (image, pixel_row) = self.place(row);
            let start = image * self.extent.frame / O::PER_WORD + pixel_row * frame_row;
            let rows = &frames[start..][..4 * frame_row];
            let inputs = &mut inputs[row * self.columns * self.pixel..];
            input_tiles::<O>(isa, rows, self.columns, self.pixel, inputs, point);
        }
    }

    fn products<O: Operand>(
        &self,
        isa: Isa,
        panel: &Panel,
        scratch: &mut Scratch,
        out: &mut [f32],
        accumulate: bool,
    ) {
        let blocks = self.extent.out_channels / LANES;
        let mut block = 0;
        while block < blocks {
            let now = tile::blocks_at_once(blocks - block);
            let (point_in, point_out) = (
                apart(self.tiles() * self.pixel),
                apart(self.tiles() * now * LANES),
            );
            let products = sized(&mut scratch.products, POINTS * point_out);
            let inputs = scratch.inputs.chunks(point_in);
            for (point, (input, products)) in inputs.zip(products.chunks_mut(point_out)).enumerate()
            {
                let run = Run {
                    input,
                    taps: &[0],
                    across: 1,
                    words: panel.words(),
                    step: self.pixel,
                    weights: panel.point(block, point),
                    block: panel.block(),
                    out_step: now * LANES,
                    accumulate: false,
                };
                tile::run::<O>(isa, run, now, self.tiles(), products);
            }
            let row_len = 2 * self.columns * self.extent.out_channels;
            for row in 0..self.rows {
                let (image, pixel_row) = self.place(row);
                let start = image * self.extent.out_pixels * self.extent.out_channels
                    + pixel_row * row_len
                    + block * LANES;
                output_tiles(
                    isa,
                    &products[row * self.columns * now * LANES..],
                    point_out,
                    self.columns,
                    now,
                    &mut out[start..],
                    self.extent.out_channels,
                    accumulate,
                );
            }
            block += now;
        }
    }
}
