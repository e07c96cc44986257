//! Encoded images to RGB, on all threads of the current pool, in the order given.

use std::{io::Cursor, path::Path};

use image::{ImageFormat, ImageReader, RgbImage};
use rayon::prelude::*;

use super::{Dataset, Image, ReadOptions, SkippedImage};
use crate::DataError;

/// Images in memory twice, encoded or decoded, at any time.
const CHUNK: usize = 1024;

/// Decodes the images that `bytes` gives for the rows `0..rows` and appends them to `dataset`. Returns the rows that were
/// appended; the others are listed as skipped. `locate` names the place of a row in messages.
pub(super) fn append<B: AsRef<[u8]>>(
    dataset: &mut Dataset,
    rows: usize,
    bytes: impl Fn(usize) -> Result<B, DataError> + Sync,
    locate: impl Fn(usize) -> String,
    options: ReadOptions,
) -> Result<Vec<usize>, DataError> {
    let mut appended = Vec::with_capacity(rows);
    for start in (0..rows).step_by(CHUNK) {
        let chunk = start..rows.min(start + CHUNK);
        let decoded: Vec<Result<RgbImage, String>> = chunk
            .clone()
            .into_par_iter()
            .map(|row| Ok(decode(bytes(row)?.as_ref())))
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

fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png)) {
        return Err("neither JPEG nor PNG".to_owned());
    }
    Ok(reader
        .decode()
        .map_err(|error| error.to_string())?
        .into_rgb8())
}
