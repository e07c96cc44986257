//! Weight gradients by tiles: `dg = Gᵀ [Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ)] G`, the transpose of the product: for each of the 16 points a sum
//! over tiles of input channel times output-gradient channel. The sums of all chunks are added before the last transform, which is linear.

use std::cell::RefCell;

use super::apart;
use super::rows::Rows;
use super::transform::{POINTS, gradient_tiles, pair_tiles};
use crate::Isa;
use crate::buffer::sized;
use crate::conv::geometry::ConvGeometry;
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
    let ConvGeometry {
        height,
        width,
        c_in,
        c_out,
        ..
    } = *geometry;
    let words = padded(c_in) + padded(c_out);
    // Sums that no cache holds are read and written once a batch: batches take a share of their size.
    let tiles = sums.len() / (4 * POINTS * words);
    let inputs = Maps {
        words: x,
        blocks: padded(c_in) / LANES,
        rows: height + 2,
        row: (width + 2) * LANES,
        read: 4,
    };
    let gradients = Maps {
        words: dy,
        blocks: padded(c_out) / LANES,
        rows: height,
        row: width * LANES,
        read: 2,
    };
    SCRATCH.with_borrow_mut(|scratch| {
        for rows in Rows::batches(geometry, images, words, tiles) {
            let batch = Batch { geometry, rows };
            batch.transform(isa, &inputs, pair_tiles::<O>, &mut scratch.inputs);
            batch.transform(isa, &gradients, gradient_tiles::<O>, &mut scratch.gradients);
            batch.sum::<O>(isa, scratch, sums, accumulate || !rows.is_first());
        }
    });
}

/// Images by blocks of channels: `[images, blocks, rows, row]` words.
struct Maps<'a> {
    words: &'a [u32],
    blocks: usize,
    rows: usize,
    row: usize,
    /// Rows that a tile reads.
    read: usize,
}

struct Batch<'a> {
    geometry: &'a ConvGeometry,
    rows: Rows,
}

impl Batch<'_> {
    /// Words from a block of channels to the next, within a point.
    fn block(&self) -> usize {
        apart(self.rows.tiles() * LANES)
    }

    /// Words from a point to the next.
    fn point(&self, channels: usize) -> usize {
        apart(padded(channels) / LANES * self.block())
    }

    /// `[16, blocks, tiles, 16]` by a transform of a row of tiles.
    fn transform(
        &self,
        isa: Isa,
        maps: &Maps<'_>,
        tiles: fn(Isa, &[u32], usize, &mut [u32], usize),
        out: &mut Vec<u32>,
    ) {
        let columns = self.rows.columns;
        let point = self.point(maps.blocks * LANES);
        let out = sized(out, POINTS * point);
        for place in self.rows.places() {
            for block in 0..maps.blocks {
                let row = (place.image * maps.blocks + block) * maps.rows + place.pixel_row;
                let rows = &maps.words[row * maps.row..][..maps.read * maps.row];
                let to = block * self.block() + place.row * columns * LANES;
                tiles(isa, rows, columns, &mut out[to..], point);
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
                        columns: self.rows.tiles(),
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
