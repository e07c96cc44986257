//! A picture of what the encoder holds alike: test images, each followed by the training images whose representations are nearest.

use std::path::Path;

use covary_data::{Augmenter, Dataset, Sheet, random_sample};

use super::Data;
use crate::TrainError;
use covary_score::Embeddings;
use covary_score::nearest_rows;

/// Test images, drawn at random from the set.
const QUERIES: usize = 8;
/// Neighbours of each.
const NEIGHBOURS: usize = 8;
/// Side of a tile in pixels.
const TILE: usize = 64;

/// Draws some test images with their neighbours by cosine.
///
/// # Shapes
/// - train: `[training images, width]`, test: `[test images, width]`
///
/// # Errors
/// Representations that are not finite, or a file that cannot be written.
pub fn draw_neighbours(
    data: &Data<'_>,
    train: &[f32],
    test: &[f32],
    width: usize,
    path: &Path,
) -> Result<(), TrainError> {
    let bank = Embeddings::try_new(train, width)?;
    let all: Vec<u32> = (0..data.test.len() as u32).collect();
    let queries: Vec<usize> = random_sample(&all, QUERIES)
        .into_iter()
        .map(|index| index as usize)
        .collect();
    let count = NEIGHBOURS.min(bank.rows());
    let nearest = nearest_rows(bank, Embeddings::try_new(test, width)?, &queries, count);
    let size = data.augment.size;
    let mut sheet = Sheet::new(queries.len(), count + 1, size, TILE);
    let mut augmenter = Augmenter::default();
    let mut values = vec![0.0; size * size * 3];
    let mut place = |row, column, dataset: &Dataset, index| {
        augmenter.clean(data.augment, dataset.image(index), &mut values);
        sheet.draw(row, column, data.augment, size, &values);
    };
    for (row, neighbours) in nearest.iter().enumerate() {
        place(row, 0, data.test, queries[row]);
        for (column, index) in neighbours.iter().enumerate() {
            place(row, column + 1, data.train, *index);
        }
    }
    covary_nn::write_atomically(path, &sheet.png()?).map_err(|source| TrainError::Write {
        path: path.into(),
        source,
    })
}
