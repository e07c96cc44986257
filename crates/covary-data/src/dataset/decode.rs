//! Encoded images to RGB, on all threads of the current pool, in the order given.

use std::{io::Cursor, path::Path};

use image::{ImageFormat, ImageReader};
use rayon::prelude::*;

use super::{Dataset, Image, ReadOptions, SkippedImage};
use crate::DataError;

/// Names the place of image `row` in messages.
pub(super) type Locate<'a> = &'a (dyn Fn(usize) -> String + Sync);

/// One decoded image.
pub(super) struct Decoded {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

/// Decodes every image of `encoded`; `None` marks one left out as corrupt.
pub(super) fn decode_all<B: AsRef<[u8]> + Sync>(
    encoded: &[B],
    options: ReadOptions,
    locate: Locate<'_>,
) -> Result<Vec<Result<Decoded, SkippedImage>>, DataError> {
    let decoded: Vec<_> = encoded
        .par_iter()
        .map(|bytes| decode(bytes.as_ref()))
        .collect();
    decoded
        .into_iter()
        .enumerate()
        .map(|(row, result)| match result {
            Ok(image) => Ok(Ok(image)),
            Err(reason) if options.skip_corrupt => Ok(Err(SkippedImage {
                location: locate(row),
                reason,
            })),
            Err(reason) => Err(DataError::CorruptImage {
                location: locate(row),
                reason,
            }),
        })
        .collect()
}

/// Puts decoded images and the labels of those that decode into a data set.
pub(super) fn assemble(
    path: &Path,
    name: &str,
    decoded: Vec<Result<Decoded, SkippedImage>>,
    labels: Option<Vec<u32>>,
    class_names: Vec<String>,
) -> Result<Dataset, DataError> {
    let labels = labels.map(|labels| {
        labels
            .into_iter()
            .zip(&decoded)
            .filter(|(_, image)| image.is_ok())
            .map(|(label, _)| label)
            .collect()
    });
    let images = decoded.iter().flatten().map(|d| Image {
        height: d.height,
        width: d.width,
        pixels: &d.pixels,
    });
    let mut dataset = Dataset::from_images(name, images, labels, class_names);
    dataset.skipped = decoded.into_iter().filter_map(Result::err).collect();
    if dataset.is_empty() {
        let path = path.to_path_buf();
        return Err(match dataset.skipped.len() {
            0 => DataError::EmptyFolder { path },
            skipped => DataError::NothingLeft { path, skipped },
        });
    }
    Ok(dataset)
}

fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png)) {
        return Err("neither JPEG nor PNG".to_owned());
    }
    let rgb = reader
        .decode()
        .map_err(|error| error.to_string())?
        .into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    Ok(Decoded {
        height,
        width,
        pixels: rgb.into_raw(),
    })
}
