//! Weight gradients by tiles: `dg = Gᵀ [Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ)] G`, the transpose of the product: for each of the 16 points a sum
//! over tiles of input channel times output-gradient channel. The sums of all chunks are added before the last transform, which is linear.

use std::cell::RefCell;

use super::transform::{POINTS, gradient_tiles, pair_tiles};
use super::{apart, near};
use crate::Isa;
use crate::conv::geometry::ConvGeometry;
use crate::conv::layer::sized;
use crate::conv::operand::Operand;
use crate::conv::outer_tile::{Pixels, tile};
use crate::conv::tile::blocks_at_once;
use crate::element::{LANES, padded};

/// Transformed inputs and gradients of one thread, kept between calls.
#[derive(Default)]
struct Scratch {
    inputs: Vec<u32>,
    gradients: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Puts the weight gradient of some images into `sums`, or adds it, before its last transform.
///
/// # Shapes
/// - x: `[images / PER_WORD, padded c_in / 16, height + 2, width + 2, 16]` words, images paired for bf16
/// - dy: `[images / PER_WORD, padded c_out / 16, height, width, 16]` words
/// - sums: `[16, padded c_in, padded c_out]` f32
pub(in crate::conv) fn outer<O: Operand>(
    isa: Isa,
    geometry: &ConvGeometry,
    images: usize,
    x: &[u32],
    dy: &[u32],
    sums: &mut [f32],
    accumulate: bool,
) {
    let (inputs, outputs) = (padded(geometry.c_in), padded(geometry.c_out));
    let (tile_rows, columns) = (geometry.height / 2, geometry.width / 2);
    let rows = images * tile_rows;
    // Sums that no cache holds are read and written once a batch: batches take a share of their size.
    let tiles = sums.len() / (4 * POINTS * (inputs + outputs));
    let batch = near(inputs + outputs, columns).max(tiles / columns);
    SCRATCH.with_borrow_mut(|scratch| {
        for first in (0..rows).step_by(batch) {
            let batch = Batch {
                geometry,
                first,
                rows: batch.min(rows - first),
            };
            batch.transform_inputs::<O>(isa, x, &mut scratch.inputs);
            batch.transform_gradients::<O>(isa, dy, &mut scratch.gradients);
            batch.sum::<O>(isa, scratch, sums, accumulate || first > 0);
        }
    });
}

/// Some rows of tiles, which go over the images one after the other.
struct Batch<'a> {
    geometry: &'a ConvGeometry,
    first: usize,
    rows: usize,
}

impl Batch<'_> {
    fn columns(&self) -> usize {
        self.geometry.width / 2
    }

    /// The image of a row of the batch, and its row of tiles there.
    fn place(&self, row: usize) -> (usize, usize) {
        let tile_rows = self.geometry.height / 2;
        let row = self.first + row;
        (row / tile_rows, row % tile_rows)
    }

    /// Words from a block of channels to the next, within a point.
    fn block(&self) -> usize {
        apart(self.rows * self.columns() * LANES)
    }

    /// Words from a point to the next.
    fn point(&self, channels: usize) -> usize {
        apart(padded(channels) / LANES * self.block())
    }

    /// `[16, blocks, tiles, 16]`.
    fn transform_inputs<O: Operand>(&self, isa: Isa, x: &[u32], out: &mut Vec<u32>) {
        let ConvGeometry {
            height,
            width,
            c_in,
            ..
        } = *self.geometry;
        let point = self.point(c_in);
        let out = sized(out, POINTS * point);
        let row_len = (width + 2) * LANES;
        let blocks = padded(c_in) / LANES;
        for row in 0..self.rows {
            let (image, tile_row) = self.place(row);
            for block in 0..blocks {
                let start = ((image * blocks + block) * (height + 2) + 2 * tile_row) * row_len;
                let to = block * self.block() + row * self.columns() * LANES;
                let rows = &x[start..][..4 * row_len];
                pair_tiles::<O>(isa, rows, self.columns(), &mut out[to..], point);
            }
        }
    }

    /// `[16, blocks, tiles, 16]`.
    fn transform_gradients<O: Operand>(&self, isa: Isa, dy: &[u32], out: &mut Vec<u32>) {
        let ConvGeometry {
            height,
            width,
            c_out,
            ..
        } = *self.geometry;
        let point = self.point(c_out);
        let out = sized(out, POINTS * point);
        let row_len = width * LANES;
        let blocks = padded(c_out) / LANES;
        for row in 0..self.rows {
            let (image, tile_row) = self.place(row);
            for block in 0..blocks {
                let start = ((image * blocks + block) * height + 2 * tile_row) * row_len;
                let to = block * self.block() + row * self.columns() * LANES;
                let rows = &dy[start..][..2 * row_len];
                gradient_tiles::<O>(isa, rows, self.columns(), &mut out[to..], point);
            }
        }
    }

    fn sum<O: Operand>(&self, isa: Isa, scratch: &Scratch, sums: &mut [f32], accumulate: bool) {
        let ConvGeometry { c_in, c_out, .. } = *self.geometry;
        let inputs = scratch.inputs.chunks(self.point(c_in));
        let gradients = scratch.gradients.chunks(self.point(c_out));
        let sums = sums.chunks_exact_mut(padded(c_in) * padded(c_out));
        for ((x, dy), sums) in inputs.zip(gradients).zip(sums) {
            let mut block = 0;
            while block < padded(c_out) / LANES {
                let now = blocks_at_once(padded(c_out) / LANES - block);
                let p = 16 / now;
                for ci in (0..c_in).step_by(p) {
                    let pixels = Pixels {
                        x: &x[ci / LANES * self.block() + ci % LANES..],
                        dy: &dy[block * self.block()..],
                        images: 1,
                        rows: 1,
                        columns: self.rows * self.columns(),
                        x_image: 0,
                        x_row: 0,
                        x_step: LANES,
                        dy_image: 0,
                        dy_block: self.block(),
                        across: 1,
                        sums_tap: 0,
                        sums_row: padded(c_out),
                        accumulate,
                    };
                    let sums = &mut sums[ci * padded(c_out) + block * LANES..];
                    tile::<O>(isa, &pixels, p, now, sums);
                }
                block += now;
            }
        }
    }
}
