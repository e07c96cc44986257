//! A picture of the augmentation: one row an image, the clean image first, then its views; enlarged without smoothing.

use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use crate::{AugmentConfig, Augmenter, DataError, Dataset, rng::stream};

/// Pixels between tiles; twice as many after the clean image.
const GAP: usize = 4;
const GROUND: Rgb<u8> = Rgb([255, 255, 255]);

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
    let size = augment.size;
    let scale = options.tile.div_ceil(size).max(1);
    let rows = options.images.min(dataset.len());
    let step = size * scale + GAP;
    let (width, height) = ((options.views + 1) * step + 2 * GAP, rows * step + GAP);
    let mut canvas = RgbImage::from_pixel(width as u32, height as u32, GROUND);
    let mut augmenter = Augmenter::default();
    let mut values = vec![0.0; size * size * 3];
    for row in 0..rows {
        let top = GAP + row * step;
        let image = dataset.image(row);
        augmenter.clean(augment, image, &mut values);
        draw(&mut canvas, augment, &values, (top, GAP), scale);
        for view in 0..options.views {
            let mut random = stream(options.seed, options.epoch, row as u64, view as u64);
            augmenter.view(augment, image, view as u64, &mut random, &mut values);
            draw(
                &mut canvas,
                augment,
                &values,
                (top, 2 * GAP + (view + 1) * step),
                scale,
            );
        }
    }
    let mut png = std::io::Cursor::new(Vec::new());
    canvas
        .write_to(&mut png, ImageFormat::Png)
        .map_err(std::io::Error::other)?;
    Ok(fs_err::write(path, png.into_inner())?)
}

/// Undoes the normalisation and draws one tile.
fn draw(
    canvas: &mut RgbImage,
    augment: &AugmentConfig,
    values: &[f32],
    (top, left): (usize, usize),
    scale: usize,
) {
    let size = augment.size;
    let (mean, std) = (augment.normalise.mean, augment.normalise.std);
    for y in 0..size * scale {
        for x in 0..size * scale {
            let pixel = &values[((y / scale) * size + x / scale) * 3..][..3];
            let colour = [0, 1, 2].map(|c| {
                ((f64::from(pixel[c]) * std[c] + mean[c]) * 255.0)
                    .round()
                    .clamp(0.0, 255.0) as u8
            });
            canvas.put_pixel((left + x) as u32, (top + y) as u32, Rgb(colour));
        }
    }
}
