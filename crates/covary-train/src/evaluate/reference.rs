//! Reference lines: what the same probe says of raw pixels, and of the encoder before training.

use covary_data::{AugmentConfig, Dataset};
use covary_nn::EngineConfig;

use super::features::{Spaces, clean, represent, spaces};
use super::scores::{Data, Line, score};
use super::statistics::reestimate;
use crate::TrainError;
use crate::config::TrainConfig;
use crate::trainer::Model;
use covary_score::Embeddings;
use covary_score::{Measurement, Sample, measure};

/// Raw pixels are scored at this side at most: the probe's work grows with the fourth power of the side and tells no more.
const LARGEST_SIDE: usize = 32;
/// Numbers that the raw pixels of all images may have together: 0.75 GiB, and the probe makes a standardised copy.
const PIXEL_NUMBERS: usize = 3 << 26;

/// Scores of the initial weights with BatchNorm statistics re-estimated on clean training images, and the collapse metrics of `sample`
/// images at initialisation.
///
/// # Errors
/// As [`score`].
pub fn untrained(
    config: &TrainConfig,
    engine: &EngineConfig,
    data: &Data<'_>,
    sample: &[u32],
) -> Result<(Line, Spaces), TrainError> {
    let mut model = Model::new(config, engine)?;
    model.fit_stem(data.train, data.augment)?;
    reestimate(&mut model, data.train, data.augment);

    let width = model.encoder.output_width();
    let train = represent(&mut model.encoder, data.train, data.augment, None);
    let test = represent(&mut model.encoder, data.test, data.augment, None);
    let line = score(data, &train, &test, width)?;
    let h: Vec<f32> = sample
        .iter()
        .flat_map(|&index| train[index as usize * width..][..width].iter().copied())
        .collect();
    let z = model.embed(&h);
    Ok((line, spaces(&h, width, &z, model.projector.output_width())?))
}

/// Side at which raw pixels are scored: that of the views, less where they are larger than 32 pixels or the images very many.
pub fn pixel_side(data: &Data<'_>) -> usize {
    let images = data.train.len() + data.test.len();
    let side = (PIXEL_NUMBERS / (3 * images.max(1))).isqrt();
    data.augment.size.min(LARGEST_SIDE).min(side).max(1)
}

/// Scores of the normalised pixels themselves at [`pixel_side`], and the collapse metrics of `sample` images' pixels.
///
/// # Errors
/// As [`score`].
pub fn pixels(data: &Data<'_>, sample: &[u32]) -> Result<(Line, Vec<Measurement>), TrainError> {
    let augment = &AugmentConfig {
        size: pixel_side(data),
        ..data.augment.clone()
    };
    let width = augment.size * augment.size * 3;
    let all = |dataset: &Dataset| {
        let mut images = Vec::new();
        clean(dataset, augment, 0..dataset.len(), &mut images);
        images
    };
    let line = score(data, &all(data.train), &all(data.test), width)?;
    let mut images = Vec::new();
    let indices = sample.iter().map(|index| *index as usize);
    clean(data.train, augment, indices, &mut images);
    let metrics = measure(&Sample::new(Embeddings::try_new(&images, width)?))?;
    Ok((line, metrics))
}
