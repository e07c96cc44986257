//! Rows of tiles, which go over the images of a group one after the other, and the batches that they are worked through in.

use super::transform::POINTS;
use crate::conv::geometry::ConvGeometry;

/// Bytes that what a batch of tiles is transformed to may take: about half of a core's second cache.
const NEAR: usize = 512 << 10;
/// Tiles of a batch at least, so that weights and their sums are seldom read.
const TILES: usize = 16;

/// A batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    first: usize,
    pub(super) count: usize,
    /// Tiles of a row.
    pub(super) columns: usize,
    /// Rows of an image.
    per_image: usize,
}

/// Where a row lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Among the rows of its batch.
    pub(super) row: usize,
    pub(super) image: usize,
    /// The first of the two rows of pixels that its tiles cover, and of the four rows of a frame that they read.
    pub(super) pixel_row: usize,
}

impl Rows {
    /// Batches of some images, where a tile takes `words` at each point. A batch has `tiles` tiles at least.
    pub(super) fn batches(
        geometry: &ConvGeometry,
        images: usize,
        words: usize,
        tiles: usize,
    ) -> impl Iterator<Item = Self> + use<> {
        let (per_image, columns) = (geometry.height / 2, geometry.width / 2);
        let rows = images * per_image;
        let tiles = (NEAR / (4 * POINTS * words)).max(TILES).max(tiles);
        let batch = (tiles / columns).max(1);
        (0..rows).step_by(batch).map(move |first| Self {
            first,
            count: batch.min(rows - first),
            columns,
            per_image,
        })
    }

    pub(super) fn tiles(self) -> usize {
        self.count * self.columns
    }

    /// Whether no batch came before.
    pub(super) fn is_first(self) -> bool {
        self.first == 0
    }

    pub(super) fn places(self) -> impl Iterator<Item = Place> {
        (0..self.count).map(move |row| Place {
            row,
            image: (self.first + row) / self.per_image,
            pixel_row: (self.first + row) % self.per_image * 2,
        })
    }
}
