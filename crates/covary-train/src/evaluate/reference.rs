//! Reference lines: what the same probe says of raw pixels, and of the encoder before training.

use covary_data::Dataset;
use covary_nn::EngineConfig;

use super::features::{Spaces, clean, represent, spaces};
use super::scores::{Data, Line, score};
use super::statistics::reestimate;
use crate::TrainError;
use crate::config::TrainConfig;
use crate::trainer::Model;
use covary_score::Embeddings;
use covary_score::{Measurement, Sample, measure};

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

/// Scores of the normalised pixels themselves, and the collapse metrics of `sample` images' pixels.
///
/// # Errors
/// As [`score`].
pub fn pixels(data: &Data<'_>, sample: &[u32]) -> Result<(Line, Vec<Measurement>), TrainError> {
    let width = data.augment.size * data.augment.size * 3;
    let all = |dataset: &Dataset| {
        let mut images = Vec::new();
        clean(dataset, data.augment, 0..dataset.len(), &mut images);
        images
    };
    let line = score(data, &all(data.train), &all(data.test), width)?;
    let mut images = Vec::new();
    let indices = sample.iter().map(|index| *index as usize);
    clean(data.train, data.augment, indices, &mut images);
    let metrics = measure(&Sample::new(Embeddings::try_new(&images, width)?))?;
    Ok((line, metrics))
}
