//! Batches: augmented views in a random order for training, clean images in their own order for evaluation.

mod evaluation;
mod hold_out;
mod sample;
mod training;

pub use evaluation::EvaluationImages;
pub use hold_out::{HoldOut, hold_out};
pub use sample::random_sample;
pub use training::{Loader, LoaderConfig, ViewBatch};

use std::cell::RefCell;

use crate::Augmenter;

/// Runs `work` with this thread's augmenter, whose buffers live as long as the thread.
fn with_augmenter<R>(work: impl FnOnce(&mut Augmenter) -> R) -> R {
    thread_local! {
        static AUGMENTER: RefCell<Augmenter> = RefCell::default();
    }
    AUGMENTER.with_borrow_mut(work)
}
