//! A picture of the augmentation: one row an image, the clean image first, then its views; enlarged without smoothing.

use std::path::Path;

use crate::{AugmentConfig, Augmenter, DataError, Dataset, Sheet, rng::stream};

/// What a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewOptions {
    /// Images, the first of the data set. Default 8.
    pub images: usize,
    /// Views of each image, at least; the views of a step in their order, then those of the next epochs. Default 8.
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
    let groups = augment.groups(1.0);
    let views: Vec<_> = groups
        .iter()
        .flat_map(|group| group.views.iter().map(|view| (group.size, view)))
        .collect();
    let columns = options.views.max(views.len());
    let mut sheet = Sheet::new(rows, columns + 1, augment.size, options.tile);
    let mut augmenter = Augmenter::default();
    let mut values = vec![0.0; augment.size * augment.size * 3];
    for row in 0..rows {
        let image = dataset.image(row);
        augmenter.clean(augment, image, &mut values);
        sheet.draw(row, 0, augment, augment.size, &values);
        for column in 0..columns {
            let (view, later) = (column % views.len(), column / views.len());
            let (size, steps) = views[view];
            let epoch = options.epoch + later as u64;
            let mut random = stream(options.seed, epoch, row as u64, view as u64);
            let mut values = vec![0.0; size * size * 3];
            let normalise = &augment.normalise;
            augmenter.view_of(steps, size, normalise, image, &mut random, &mut values);
            sheet.draw(row, column + 1, augment, size, &values);
        }
    }
    sheet.save(path)
}
