//! A picture of rows of image tiles, the first column set apart; enlarged without smoothing.

use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use crate::{AugmentConfig, DataError};

/// Pixels between tiles; twice as many behind the first column.
const GAP: usize = 4;
const GROUND: Rgb<u8> = Rgb([255, 255, 255]);

/// A picture in the making.
#[derive(Debug)]
pub struct Sheet {
    canvas: RgbImage,
    size: usize,
    scale: usize,
}

impl Sheet {
    /// An empty picture for images of side `size`, each at least `tile` pixels wide.
    pub fn new(rows: usize, columns: usize, size: usize, tile: usize) -> Self {
        let scale = tile.div_ceil(size).max(1);
        let step = size * scale + GAP;
        let (width, height) = (columns * step + 2 * GAP, rows * step + GAP);
        Self {
            canvas: RgbImage::from_pixel(width as u32, height as u32, GROUND),
            size,
            scale,
        }
    }

    /// Draws one normalised image, `[size, size, 3]`, undoing the normalisation. One that is smaller than the sheet's images is drawn at
    /// the same scale in the middle of its tile, a larger one is cut to it.
    pub fn draw(
        &mut self,
        row: usize,
        column: usize,
        augment: &AugmentConfig,
        size: usize,
        values: &[f32],
    ) {
        let scale = self.scale;
        let step = self.size * scale + GAP;
        let margin = self.size.saturating_sub(size) * scale / 2;
        let (top, left) = (
            GAP + row * step + margin,
            GAP + column * step + if column == 0 { 0 } else { GAP } + margin,
        );
        let shown = size.min(self.size);
        let (mean, std) = (augment.normalise.mean, augment.normalise.std);
        for y in 0..shown * scale {
            for x in 0..shown * scale {
                let pixel = &values[((y / scale) * size + x / scale) * 3..][..3];
                let colour = [0, 1, 2].map(|c| {
                    ((f64::from(pixel[c]) * std[c] + mean[c]) * 255.0)
                        .round()
                        .clamp(0.0, 255.0) as u8
                });
                self.canvas
                    .put_pixel((left + x) as u32, (top + y) as u32, Rgb(colour));
            }
        }
    }

    /// The picture as PNG.
    ///
    /// # Errors
    /// [`DataError::Io`] for a picture too large for the format.
    pub fn png(&self) -> Result<Vec<u8>, DataError> {
        let mut png = std::io::Cursor::new(Vec::new());
        self.canvas
            .write_to(&mut png, ImageFormat::Png)
            .map_err(std::io::Error::other)?;
        Ok(png.into_inner())
    }

    /// Writes a PNG.
    ///
    /// # Errors
    /// [`DataError::Io`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        Ok(fs_err::write(path, self.png()?)?)
    }
}
