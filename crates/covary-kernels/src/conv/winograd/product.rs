//! Products with transformed weights: a batch of tiles is transformed, multiplied at each of the 16 points, and transformed back.

use std::cell::RefCell;

use super::apart;
use super::panel::Panel;
use super::rows::Rows;
use super::transform::{POINTS, input_tiles, output_tiles};
use crate::Isa;
use crate::buffer::sized;
use crate::conv::extent::Extent;
use crate::conv::geometry::ConvGeometry;
use crate::conv::operand::Operand;
use crate::conv::tile::{self, Run};
use crate::element::LANES;

/// Buffers of one thread, kept between calls.
#[derive(Default)]
struct Scratch {
    inputs: Vec<u32>,
    products: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `out = product(frames)`, or `out += ...`; shapes as [`crate::conv::product::Product::run`] has them.
pub(in crate::conv) fn product<O: Operand>(
    isa: Isa,
    geometry: &ConvGeometry,
    panel: &Panel,
    extent: &Extent,
    frames: &[u32],
    out: &mut [f32],
    accumulate: bool,
) {
    let images = frames.len() / (extent.frame / O::PER_WORD);
    let pixel = extent.channels / O::PER_WORD;
    let words = pixel + extent.out_channels.min(4 * LANES);
    SCRATCH.with_borrow_mut(|scratch| {
        for rows in Rows::batches(geometry, images, words, 0) {
            let batch = Batch {
                rows,
                pixel,
                extent,
            };
            batch.transform::<O>(isa, frames, &mut scratch.inputs);
            batch.products::<O>(isa, panel, scratch, out, accumulate);
        }
    });
}

struct Batch<'a> {
    rows: Rows,
    /// Words of a pixel of a frame.
    pixel: usize,
    extent: &'a Extent,
}

impl Batch<'_> {
    /// Words from a point of the transformed inputs to the next.
    fn point(&self) -> usize {
        apart(self.rows.tiles() * self.pixel)
    }

    /// `[16, tiles, words]`.
    fn transform<O: Operand>(&self, isa: Isa, frames: &[u32], inputs: &mut Vec<u32>) {
        let columns = self.rows.columns;
        let frame_row = (2 * columns + 2) * self.pixel;
        let inputs = sized(inputs, POINTS * self.point());
        for place in self.rows.places() {
            let start = place.image * self.extent.frame / O::PER_WORD + place.pixel_row * frame_row;
            let rows = &frames[start..][..4 * frame_row];
            let inputs = &mut inputs[place.row * columns * self.pixel..];
            input_tiles::<O>(isa, rows, columns, self.pixel, inputs, self.point());
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
        let (tiles, blocks) = (self.rows.tiles(), self.extent.out_channels / LANES);
        let mut block = 0;
        while block < blocks {
            let now = tile::blocks_at_once(blocks - block);
            let point_out = apart(tiles * now * LANES);
            let products = sized(&mut scratch.products, POINTS * point_out);
            let inputs = scratch.inputs.chunks(self.point());
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
                tile::run::<O>(isa, run, now, tiles, products);
            }
            self.transform_back(isa, products, point_out, block, now, out, accumulate);
            block += now;
        }
    }

    /// Writes `now` blocks of the output from their products at each point.
    fn transform_back(
        &self,
        isa: Isa,
        products: &[f32],
        point: usize,
        block: usize,
        now: usize,
        out: &mut [f32],
        accumulate: bool,
    ) {
        let Extent {
            out_pixels,
            out_channels,
            ..
        } = *self.extent;
        let columns = self.rows.columns;
        for place in self.rows.places() {
            let pixel = place.image * out_pixels + place.pixel_row * 2 * columns;
            output_tiles(
                isa,
                &products[place.row * columns * now * LANES..],
                point,
                columns,
                now,
                &mut out[pixel * out_channels + block * LANES..],
                out_channels,
                accumulate,
            );
        }
    }
}
