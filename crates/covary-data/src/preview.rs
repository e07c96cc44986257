//! A picture of the augmentation: one row an image, the clean image first, then its views; enlarged without smoothing.

use std::path::Path;

use crate::{AugmentConfig, Augmenter, DataError, Dataset, Sheet, rng::stream};

/// What a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewOptions {
    /// Images, the first of the data set. Default 8.
    pub images: usize,
    /// Views of each image, made as `view_a` and `view_b` in turn. Default 8.
    pub views: usize,
    /// Side of a tile in pixels; rounded up to a multiple of the image size. Default 96.
    pub tile: usize,
    /// Seed of the augmentation. Default 0.
    pub seed: u64,
    /// Epoch of the augmentation. Default 0.
    pub epoch: u64,
}

impl Default for PreviewOptions {
    fn default() -> Self {
        Self {
            images: 8,
            views: 8,
            tile: 96,
            seed: 0,
            epoch: 0,
        }
    }
}

/// Writes a PNG with the first images of `dataset` and the views that training would see.
///
/// # Errors
/// [`DataError::InvalidValue`] if `augment` is out of range, [`DataError::Io`] if the file cannot be written.
pub fn preview(
    dataset: &Dataset,
    augment: &AugmentConfig,
    options: PreviewOptions,
    path: &Path,
) -> Result<(), DataError> {
    augment.validate("augment")?;
    let rows = options.images.min(dataset.len());
    let mut sheet = Sheet::new(rows, options.views + 1, augment.size, options.tile);
    let mut augmenter = Augmenter::default();
    let mut values = vec![0.0; augment.size * augment.size * 3];
    for row in 0..rows {
        let image = dataset.image(row);
        augmenter.clean(augment, image, &mut values);
        sheet.draw(row, 0, augment, &values);
        for view in 0..options.views {
            let mut random = stream(options.seed, options.epoch, row as u64, view as u64);
            augmenter.view(augment, image, view as u64, &mut random, &mut values);
            sheet.draw(row, view + 1, augment, &values);
        }
    }
    sheet.save(path)
}
