//! The honest score of a frozen encoder: representations of clean images computed once in eval mode, a linear classifier fitted on the
//! training ones, its L2 chosen on a held-out part of them, the test set scored once; kNN beside it, collapse metrics of representation
//! and embedding, and two reference lines measured in the same way: the encoder before training, and raw pixels.

mod features;
pub(crate) mod kept;
mod left_out;
mod neighbours;
pub(crate) mod possible;
mod reference;
mod scores;
mod statistics;

pub(crate) use features::clean;
pub(crate) use left_out::left_out;

pub use features::{Spaces, represent, spaces};
pub use neighbours::draw_neighbours;
pub use reference::{pixel_side, pixels, untrained};
pub use scores::{Data, Line, SgdLine, score, sgd_score};
pub(crate) use statistics::reestimate;
