//! Training batches, addressed by (epoch, batch): a resumed run asks for the next address and continues bit by bit.
//!
//! The order of an epoch is a permutation by (seed, epoch). A limited run uses the images that come first in a permutation that
//! does not depend on the seed, so that runs of different seeds see the same images.

use std::sync::Arc;

use rayon::prelude::*;

use super::with_augmenter;
use crate::{
    AugmentConfig, DataError, Dataset,
    rng::{Purpose, permutation, stream},
};

/// What a [`Loader`] loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Images a batch, ≥ 1.
    pub batch_size: usize,
    /// Views of each image, ≥ 1; two for all methods here.
    pub views: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Use that many images only; all if `None` or not smaller than the data set.
    pub limit: Option<usize>,
    /// Leave out a last batch that is not full.
    pub drop_last: bool,
}

/// Batches of augmented views.
#[derive(Debug)]
pub struct Loader {
    dataset: Arc<Dataset>,
    augment: AugmentConfig,
    config: LoaderConfig,
    /// Images in use, ascending.
    images: Vec<u32>,
    /// Epoch of `order`.
    epoch: Option<u64>,
    /// Images of the epoch in their order.
    order: Vec<u32>,
}

impl Loader {
    /// Prepares batches of `dataset`.
    ///
    /// # Errors
    /// [`DataError::InvalidValue`] if a value of either configuration is out of range, or if no batch is full and
    /// `drop_last` is set.
    pub fn new(
        dataset: Arc<Dataset>,
        augment: AugmentConfig,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate("augment")?;
        let invalid = |key: &str, value: usize, rule| {
            Err(DataError::InvalidValue {
                key: key.to_owned(),
                value: value.to_string(),
                rule,
            })
        };
        let used = config.limit.unwrap_or(usize::MAX).min(dataset.len());
        if config.views == 0 {
            return invalid("views", config.views, "must be at least 1");
        }
        if used == 0 {
            return invalid("data.limit", used, "must be at least 1");
        }
        if config.batch_size == 0 {
            return invalid("batch_size", config.batch_size, "must be at least 1");
        }
        if config.drop_last && config.batch_size > used {
            return invalid(
                "batch_size",
                config.batch_size,
                "must not exceed the number of images",
            );
        }
        let mut images = permutation(dataset.len(), 0, 0, Purpose::Limit);
        images.truncate(used);
        images.sort_unstable();
        Ok(Self {
            dataset,
            augment,
            config,
            images,
            epoch: None,
            order: Vec::new(),
        })
    }

    /// Images that an epoch draws from.
    pub fn images_per_epoch(&self) -> usize {
        self.images.len()
    }

    /// Batches an epoch, ≥ 1.
    pub fn batches_per_epoch(&self) -> usize {
        if self.config.drop_last {
            self.images.len() / self.config.batch_size
        } else {
            self.images.len().div_ceil(self.config.batch_size)
        }
    }

    /// Writes batch `batch` of `epoch` to `out` and returns the indices of its n images in the data set.
    ///
    /// `out` becomes `[views * n, size, size, 3]`, view by view, its memory reused. Runs on the current rayon pool.
    ///
    /// # Panics
    /// If `batch` is not below [`Loader::batches_per_epoch`].
    pub fn fill(&mut self, epoch: u64, batch: usize, out: &mut Vec<f32>) -> &[u32] {
        assert!(
            batch < self.batches_per_epoch(),
            "batch {batch} of {}",
            self.batches_per_epoch()
        );
        self.set_epoch(epoch);
        let start = batch * self.config.batch_size;
        let indices = &self.order[start..self.order.len().min(start + self.config.batch_size)];
        let view_len = self.augment.size * self.augment.size * 3;
        out.resize(self.config.views * indices.len() * view_len, 0.0);
        out.par_chunks_exact_mut(view_len)
            .enumerate()
            .for_each(|(position, out)| {
                let view = (position / indices.len()) as u64;
                let index = indices[position % indices.len()];
                let mut random = stream(self.config.seed, epoch, u64::from(index), view);
                let image = self.dataset.image(index as usize);
                with_augmenter(|augmenter| {
                    augmenter.view(&self.augment, image, view, &mut random, out);
                });
            });
        indices
    }

    fn set_epoch(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            return;
        }
        let order = permutation(
            self.images.len(),
            self.config.seed,
            epoch,
            Purpose::EpochOrder,
        );
        self.order = order
            .into_iter()
            .map(|position| self.images[position as usize])
            .collect();
        self.epoch = Some(epoch);
    }
}
