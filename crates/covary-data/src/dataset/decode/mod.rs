//! Encoded images to RGB, on all threads of the current pool, in the order given, in bounded memory.
//!
//! A thread holds one image in full size at a time, and very large images wait for one another. What stays is shrunk. After the first
//! images it is known how much memory all of them will take.

mod bounds;
pub(super) mod format;
mod jpeg;
mod memory;
mod picture;

use std::path::Path;
use std::sync::Mutex;

use image::RgbImage;
use rayon::prelude::*;

use super::{Dataset, Image, ReadOptions, SkippedImage};
use crate::DataError;
use bounds::Bounds;

/// Images that are in memory twice at any time.
const CHUNK: usize = 256;

/// Decodes the images that `bytes` gives for the rows `0..rows` and appends them to `dataset`. Returns the rows that were
/// appended; the others are listed as skipped. `locate` names the place of a row in messages, `expected` is the number of images
/// that the whole data set will have.
pub(super) fn append<B: AsRef<[u8]>>(
    dataset: &mut Dataset,
    (rows, expected): (usize, usize),
    bytes: impl Fn(usize) -> Result<B, DataError> + Sync,
    locate: impl Fn(usize) -> String,
    options: &ReadOptions,
) -> Result<Vec<usize>, DataError> {
    let bounds = Bounds {
        max_pixels: options.max_pixels,
        store_size: options.store_size,
        large: &Mutex::new(()),
    };
    let mut appended = Vec::with_capacity(rows);
    for start in (0..rows).step_by(CHUNK) {
        let chunk = start..rows.min(start + CHUNK);
        let decoded: Vec<Result<RgbImage, String>> = chunk
            .clone()
            .into_par_iter()
            .map(|row| Ok(picture::decode(bytes(row)?.as_ref(), bounds)))
            .collect::<Result<_, DataError>>()?;
        for (row, decoded) in chunk.zip(decoded) {
            match decoded {
                Ok(image) => {
                    let (height, width) = (image.height() as usize, image.width() as usize);
                    dataset.push(Image {
                        height,
                        width,
                        pixels: image.as_raw(),
                    });
                    appended.push(row);
                }
                Err(reason) if options.skip_corrupt => {
                    dataset.skipped.push(SkippedImage {
                        location: locate(row),
                        reason,
                    });
                }
                Err(reason) => {
                    return Err(DataError::CorruptImage {
                        location: locate(row),
                        reason,
                    });
                }
            }
        }
        memory::reserve(dataset, expected)?;
    }
    Ok(appended)
}

/// An error if nothing was read from `path`.
pub(super) fn require_images(dataset: &Dataset, path: &Path) -> Result<(), DataError> {
    let path = path.to_path_buf();
    match (dataset.len(), dataset.skipped.len()) {
        (0, 0) => Err(DataError::EmptyFolder { path }),
        (0, skipped) => Err(DataError::NothingLeft { path, skipped }),
        _ => Ok(()),
    }
}
