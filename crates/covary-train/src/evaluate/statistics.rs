//! BatchNorm statistics of weights that were not trained with: re-estimated on clean training images.

use covary_data::{AugmentConfig, Dataset, random_sample};

use super::features::{batch_of, clean};
use crate::trainer::Model;

/// Batches and images a batch, of 32 x 32 pixels, that statistics are estimated on.
const BATCHES: usize = 20;
const BATCH: usize = 250;

/// Sets the running statistics of encoder and projector to the mean of those of batches of random images.
pub(crate) fn reestimate(model: &mut Model, train: &Dataset, augment: &AugmentConfig) {
    let batch = batch_of(BATCH, augment.size);
    let all: Vec<u32> = (0..train.len() as u32).collect();
    let batches: Vec<Vec<f32>> = random_sample(&all, BATCHES * batch)
        .chunks(batch)
        .filter(|indices| indices.len() > 1)
        .map(|indices| {
            let mut images = Vec::new();
            let indices = indices.iter().map(|index| *index as usize);
            clean(train, augment, indices, &mut images);
            images
        })
        .collect();
    model
        .encoder
        .reestimate_statistics(batches.iter().map(Vec::as_slice));
    let hidden: Vec<Vec<f32>> = batches
        .iter()
        .map(|images| model.encoder.infer(images))
        .collect();
    model
        .projector
        .reestimate_statistics(hidden.iter().map(Vec::as_slice));
}
