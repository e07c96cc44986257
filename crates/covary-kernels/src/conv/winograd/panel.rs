//! Transformed weights packed for the tiles: `[block of 16 outputs][point][word of inputs][16 outputs]`.

use rayon::prelude::*;

use super::apart;
use super::transform::{POINTS, weight_points};
use crate::Isa;
use crate::conv::geometry::ConvGeometry;
use crate::conv::operand::Operand;
use crate::conv::panel::Direction;
use crate::dispatch::elementwise;
use crate::element::{Element, LANES, Lanes, Rounding, padded};

/// The transformed weights of one direction.
#[derive(Debug, Default)]
pub(in crate::conv) struct Panel {
    packed: Vec<u32>,
    /// Words of a point's inputs.
    words: usize,
}

/// The weights of one direction, read as `[inputs, outputs, 3, 3]`.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    weight: &'a [f32],
    geometry: &'a ConvGeometry,
    direction: Direction,
}

impl Source<'_> {
    /// Inputs and outputs of this direction.
    fn sizes(&self) -> (usize, usize) {
        let ConvGeometry { c_in, c_out, .. } = *self.geometry;
        match self.direction {
            Direction::Forward => (c_in, c_out),
            Direction::InputGradient => (c_out, c_in),
        }
    }

    /// The taps between an input and sixteen outputs, zeros beyond them.
    #[inline(always)]
    fn taps<T: Element>(&self, input: usize, block: usize) -> [[Lanes; 3]; 3] {
        let (inputs, outputs) = self.sizes();
        let mut g = [[[0.0; LANES]; 3]; 3];
        if input >= inputs {
            return g;
        }
        let c_in = self.geometry.c_in;
        for (row, g) in g.iter_mut().enumerate() {
            for (column, g) in g.iter_mut().enumerate() {
                let lanes = g.iter_mut().take(outputs - block * LANES);
                for (output, value) in (block * LANES..).zip(lanes) {
                    // What an output reads from a pixel, that pixel's gradient reads from the output on the other side.
                    let (at, tap) = match self.direction {
                        Direction::Forward => (output * c_in + input, 3 * row + column),
                        Direction::InputGradient => (input * c_in + output, 8 - 3 * row - column),
                    };
                    *value = T::round(self.weight[9 * at + tap]).widen();
                }
            }
        }
        g
    }
}

impl Panel {
    /// Transforms and packs a weight `[c_out, c_in, 3, 3]`, rounded to `T` first.
    pub(in crate::conv) fn pack<T: Element, O: Operand>(
        &mut self,
        isa: Isa,
        geometry: &ConvGeometry,
        direction: Direction,
        weight: &[f32],
    ) {
        let source = Source {
            weight,
            geometry,
            direction,
        };
        let (inputs, outputs) = source.sizes();
        self.words = inputs.div_ceil(O::PER_WORD);
        let block = self.block();
        self.packed.resize(padded(outputs) / LANES * block, 0);
        let packed = self.packed.par_chunks_mut(block);
        packed
            .enumerate()
            .for_each(|(index, packed)| pack_block::<T, O>(isa, source, index, packed));
    }

    /// Words of a point's inputs.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Words from one block of outputs to the next.
    pub(super) fn block(&self) -> usize {
        apart(POINTS * self.words * LANES)
    }

    /// A point's weights from a block on.
    pub(super) fn point(&self, block: usize, point: usize) -> &[u32] {
        &self.packed[block * self.block() + point * self.words * LANES..]
    }
}

elementwise! {
    fn pack_block<T: Element, O: Operand>(source: Source<'_>, block: usize, packed: &mut [u32]) = rounding pack_block_body::<T, O>;
}

#[inline(always)]
fn pack_block_body<T: Element, O: Operand>(
    rounding: Rounding,
    source: Source<'_>,
    block: usize,
    packed: &mut [u32],
) {
    let count = source.sizes().0.div_ceil(O::PER_WORD);
    for word in 0..count {
        let input = word * O::PER_WORD;
        let first = weight_points(&source.taps::<T>(input, block));
        let second = if O::PER_WORD == 2 {
            weight_points(&source.taps::<T>(input + 1, block))
        } else {
            first
        };
        for (point, (first, second)) in first.iter().zip(&second).enumerate() {
            let at = (point * count + word) * LANES;
            packed[at..at + LANES].copy_from_slice(&O::words(rounding, first, second));
        }
    }
}
