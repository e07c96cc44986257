//! Clean images, normalised, in the order of the data set.

use rayon::prelude::*;

use super::with_augmenter;
use crate::{AugmentConfig, Dataset};

/// Batches of clean images.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationImages<'a> {
    dataset: &'a Dataset,
    augment: &'a AugmentConfig,
    batch_size: usize,
}

impl<'a> EvaluationImages<'a> {
    /// Clean images of `dataset` in batches of `batch_size`; size and normalisation are those of a validated `augment`.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub fn new(dataset: &'a Dataset, augment: &'a AugmentConfig, batch_size: usize) -> Self {
        assert!(batch_size > 0, "a batch has at least one image");
        Self {
            dataset,
            augment,
            batch_size,
        }
    }

    /// Number of batches; the last may be smaller.
    pub fn batches(&self) -> usize {
        self.dataset.len().div_ceil(self.batch_size)
    }

    /// Writes batch `batch` to `out`, which becomes `[n, size, size, 3]`, and returns n. Runs on the current rayon pool.
    ///
    /// # Panics
    /// If `batch` is not below [`EvaluationImages::batches`].
    pub fn fill(&self, batch: usize, out: &mut Vec<f32>) -> usize {
        assert!(
            batch < self.batches(),
            "batch {batch} of {}",
            self.batches()
        );
        let start = batch * self.batch_size;
        let n = self.batch_size.min(self.dataset.len() - start);
        let image_len = self.augment.size * self.augment.size * 3;
        out.resize(n * image_len, 0.0);
        out.par_chunks_exact_mut(image_len)
            .enumerate()
            .for_each(|(position, out)| {
                let image = self.dataset.image(start + position);
                with_augmenter(|augmenter| augmenter.clean(self.augment, image, out));
            });
        n
    }
}
