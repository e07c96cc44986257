//! Products with the weights over the frames of some images: the forward product and the input gradient, by walks over the taps or by
//! tiles.

use std::marker::PhantomData;

use super::extent::Extent;
use super::geometry::{ConvGeometry, Walk};
use super::operand::Operand;
use super::panel::{Direction, Panel};
use super::tile::{self, Run};
use super::winograd;
use crate::Isa;
use crate::element::{Element, LANES};

/// The product of one direction, with its packed weights.
#[derive(Debug)]
pub(super) struct Product<O> {
    geometry: ConvGeometry,
    direction: Direction,
    extent: Extent,
    way: Way,
    operand: PhantomData<O>,
}

#[derive(Debug)]
enum Way {
    Walks(Vec<(Walk, Panel)>),
    Tiles(winograd::Panel),
}

impl<O: Operand> Product<O> {
    pub(super) fn new(geometry: ConvGeometry, direction: Direction) -> Self {
        let way = if winograd::fits_products::<O>(&geometry) {
            Way::Tiles(winograd::Panel::default())
        } else {
            let walks = match direction {
                Direction::Forward => vec![geometry.forward_walk()],
                Direction::InputGradient => geometry.input_gradient_walks(),
            };
            let walks = walks.into_iter();
            Way::Walks(walks.map(|walk| (walk, Panel::default())).collect())
        };
        Self {
            geometry,
            direction,
            extent: Extent::new(&geometry, direction),
            way,
            operand: PhantomData,
        }
    }

    /// Packs a weight `[c_out, c_in, k, k]`, rounded to `T` first.
    pub(super) fn pack<T: Element>(&mut self, isa: Isa, weight: &[f32]) {
        match &mut self.way {
            Way::Walks(walks) => {
                for (walk, panel) in walks {
                    panel.pack::<T, O>(&self.geometry, walk, self.direction, weight);
                }
            }
            Way::Tiles(panel) => {
                panel.pack::<T, O>(isa, &self.geometry, self.direction, weight);
            }
        }
    }

    /// `out = product(frames)`, or `out += ...`.
    ///
    /// # Shapes
    /// - frames: `[images, frame]` numbers of operand O, as words
    /// - out: `[images, out_pixels, out_channels]` f32
    pub(super) fn run(&self, isa: Isa, frames: &[u32], out: &mut [f32], accumulate: bool) {
        let Self {
            geometry, extent, ..
        } = self;
        match &self.way {
            Way::Walks(walks) => walk::<O>(isa, walks, extent, frames, out, accumulate),
            Way::Tiles(panel) => {
                winograd::product::<O>(isa, geometry, panel, extent, frames, out, accumulate);
            }
        }
    }
}

/// A product by walks over the taps, each with its panel.
fn walk<O: Operand>(
    isa: Isa,
    walks: &[(Walk, Panel)],
    extent: &Extent,
    frames: &[u32],
    out: &mut [f32],
    accumulate: bool,
) {
    if !accumulate && walks.iter().any(|(walk, _)| walk.taps.is_empty()) {
        out.fill(0.0);
    }
    let pixel = extent.channels / O::PER_WORD;
    let words = extent.real_channels.div_ceil(O::PER_WORD);
    let image_out = extent.out_pixels * extent.out_channels;
    for (walk, panel) in walks.iter().filter(|(walk, _)| !walk.taps.is_empty()) {
        let across = walk.across;
        let rows = walk.taps.chunks_exact(across);
        let taps: Vec<usize> = rows.map(|row| row[0].0 * pixel).collect();
        let mut block = 0;
        let blocks = extent.out_channels / LANES;
        while block < blocks {
            let now = tile::blocks_at_once(blocks - block);
            let weights = &panel.words()[block * panel.block()..];
            let images = frames
                .chunks_exact(extent.frame / O::PER_WORD)
                .zip(out.chunks_exact_mut(image_out));
            for (frame, out) in images {
                for row in 0..walk.rows {
                    let start =
                        (walk.out_start + row * walk.out_row) * extent.out_channels + block * LANES;
                    let run = Run {
                        input: &frame[row * walk.frame_row * pixel..],
                        taps: &taps,
                        across,
                        words,
                        step: walk.step * pixel,
                        weights,
                        block: panel.block(),
                        out_step: walk.out_column * extent.out_channels,
                        accumulate,
                    };
                    tile::run::<O>(isa, run, now, walk.columns, &mut out[start..]);
                }
            }
            block += now;
        }
    }
}
