//! Weights packed for the tiles: `[block of 16 outputs][row of taps][word of inputs][tap of the row][16 outputs]`.

use super::geometry::{ConvGeometry, Walk};
use super::operand::Operand;
use crate::element::{Element, LANES, padded};

/// The packed weights of one walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panel {
    words: Vec<u32>,
    /// Words of one block of outputs.
    block: usize,
}

/// Which way the weights are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Inputs to outputs.
    Forward,
    /// Gradients of outputs to gradients of inputs.
    InputGradient,
}

impl Panel {
    /// Packs a weight `[c_out, c_in, k, k]`, rounded to `T` first, into the buffer of the panel.
    pub(crate) fn pack<T: Element, O: Operand>(
        &mut self,
        geometry: &ConvGeometry,
        walk: &Walk,
        direction: Direction,
        weight: &[f32],
    ) {
        let (from, to) = match direction {
            Direction::Forward => (geometry.c_in, geometry.c_out),
            Direction::InputGradient => (geometry.c_out, geometry.c_in),
        };
        let taps = geometry.taps();
        let at = |source: usize, sink: usize, tap: usize| {
            if source >= from || sink >= to {
                return 0.0;
            }
            let (c_out, c_in) = match direction {
                Direction::Forward => (sink, source),
                Direction::InputGradient => (source, sink),
            };
            T::round(weight[(c_out * geometry.c_in + c_in) * taps + tap]).widen()
        };
        let per_tap = from.div_ceil(O::PER_WORD);
        self.block = walk.taps.len() * per_tap * LANES;
        self.words.resize(padded(to) / LANES * self.block, 0);
        let mut words = self.words.iter_mut();
        for block in 0..padded(to) / LANES {
            for row in walk.taps.chunks_exact(walk.across) {
                for word in 0..per_tap {
                    for &(_, tap) in row {
                        for lane in 0..LANES {
                            let (source, sink) = (word * O::PER_WORD, block * LANES + lane);
                            let value = O::word(at(source, sink, tap), at(source + 1, sink, tap));
                            *words.next().expect("the buffer has this many words") = value;
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    pub(crate) fn block(&self) -> usize {
        self.block
    }
}
