//! Images to learn from: where they lie and how they are read.

use std::path::Path;

use covary_data::{AugmentConfig, DataError, ReadOptions, Splits, locate};
use serde::{Deserialize, Serialize};

/// Images to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// File or folder of the images; a relative one is looked for by the rule of [`locate`].
    pub path: String,
    /// Pretrain on this many images, 0 for all.
    pub limit: usize,
    /// Leave corrupt images out instead of stopping.
    pub skip_corrupt: bool,
    /// Share of the labeled images that becomes the test set where there is none, 0 to below 1.
    pub test_share: f64,
    /// Parquet column of the images, empty to find it.
    pub image_column: String,
    /// Parquet column of the labels, empty to find it.
    pub label_column: String,
    /// Most pixels of an image.
    pub max_pixels: u64,
    /// Shorter side to which larger images are shrunk when they are read, 0 for what the crops need.
    pub store_size: usize,
}

impl DataConfig {
    /// How the data are read for views by `augment`.
    pub fn read_options(&self, augment: &AugmentConfig) -> ReadOptions {
        let store_size = match self.store_size {
            0 => augment.longest_useful_side(),
            size => size,
        };
        ReadOptions {
            skip_corrupt: self.skip_corrupt,
            image_column: self.image_column.clone(),
            label_column: self.label_column.clone(),
            max_pixels: self.max_pixels,
            store_size,
        }
    }

    /// Reads both splits.
    ///
    /// # Errors
    /// Data that cannot be read, or whose splits contradict each other.
    pub fn open(&self, augment: &AugmentConfig) -> Result<Splits, DataError> {
        let options = self.read_options(augment);
        Splits::open(&locate(Path::new(&self.path)), &options, self.test_share)
    }
}
