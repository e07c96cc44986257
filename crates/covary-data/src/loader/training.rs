//! Training batches, addressed by (epoch, batch): a resumed run asks for the next address and continues bit by bit.
//!
//! The order of an epoch is a permutation by (seed, epoch). A limited run uses the images that come first in a permutation that
//! does not depend on the seed, so that runs of different seeds see the same images.

use std::sync::Arc;

use rayon::prelude::*;

use super::with_augmenter;
use crate::{
    AugmentConfig, DataError, Dataset, Group,
    rng::{Purpose, permutation, stream},
};

/// What a [`Loader`] loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Images a batch, ≥ 1.
    pub batch_size: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Use that many images only; all if `None` or not smaller than the data set.
    pub limit: Option<usize>,
    /// Leave out a last batch that is not full.
    pub drop_last: bool,
}

/// The views of one group in a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ViewBatch {
    /// Side of the views in pixels.
    pub size: usize,
    /// Views of each image.
    pub views: usize,
    /// `[views * n, size, size, 3]`, normalised, view by view.
    pub values: Vec<f32>,
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

    /// Writes batch `batch` of `epoch` to `out`, one entry a group of views, and returns the indices of its n images in the data set.
    /// `progress` is the share of all steps that were taken, by which sizes move that have a schedule.
    ///
    /// The memory of `out` is reused. Runs on the current rayon pool.
    ///
    /// # Panics
    /// If `batch` is not below [`Loader::batches_per_epoch`].
    pub fn fill(
        &mut self,
        epoch: u64,
        batch: usize,
        progress: f64,
        out: &mut Vec<ViewBatch>,
    ) -> &[u32] {
        assert!(
            batch < self.batches_per_epoch(),
            "batch {batch} of {}",
            self.batches_per_epoch()
        );
        self.set_epoch(epoch);
        let start = batch * self.config.batch_size;
        let indices = &self.order[start..self.order.len().min(start + self.config.batch_size)];
        let groups = self.augment.groups(progress);
        out.resize_with(groups.len(), ViewBatch::default);
        let mut before = 0;
        for (group, out) in groups.iter().zip(out) {
            (out.size, out.views) = (group.size, group.views.len());
            self.fill_group(epoch, indices, group, before, &mut out.values);
            before += group.views.len();
        }
        indices
    }

    /// The views of one group, `before` of which come before it.
    fn fill_group(
        &self,
        epoch: u64,
        indices: &[u32],
        group: &Group,
        before: usize,
        out: &mut Vec<f32>,
    ) {
        let view_len = group.size * group.size * 3;
        out.resize(group.views.len() * indices.len() * view_len, 0.0);
        out.par_chunks_exact_mut(view_len)
            .enumerate()
            .for_each(|(position, out)| {
                let view = position / indices.len();
                let index = indices[position % indices.len()];
                let number = (before + view) as u64;
                let mut random = stream(self.config.seed, epoch, u64::from(index), number);
                let image = self.dataset.image(index as usize);
                let (steps, normalise) = (&group.views[view], &self.augment.normalise);
                with_augmenter(|augmenter| {
                    augmenter.view_of(steps, group.size, normalise, image, &mut random, out);
                });
            });
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
