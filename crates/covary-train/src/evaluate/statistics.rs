//! BatchNorm statistics of weights that were not trained with: re-estimated on clean training images.

use covary_data::{AugmentConfig, Dataset};

use super::features::clean;
use crate::trainer::Model;

/// Batches and images a batch that statistics are estimated on.
const BATCHES: usize = 20;
const BATCH: usize = 250;

/// Sets the running statistics of encoder and projector to the mean of those of batches of the first images.
pub(crate) fn reestimate(model: &mut Model, train: &Dataset, augment: &AugmentConfig) {
    let count = (BATCHES * BATCH).min(train.len());
    let batches: Vec<Vec<f32>> = (0..count)
        .step_by(BATCH)
        .map(|start| {
            let mut images = Vec::new();
            clean(train, augment, start..count.min(start + BATCH), &mut images);
            images
        })
        .filter(|images| images.len() > augment.size * augment.size * 3)
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
