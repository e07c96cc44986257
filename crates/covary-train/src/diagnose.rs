//! Whether embeddings have collapsed: every metric, the outcome and the spectrum, of a finished run in both spaces or of anybody's matrix.
//!
//! A run is measured as its reports are: eval mode, the same clean training images for every run, before any normalisation of the projector's output.
//! Alignment and LiDAR are of augmented views of the first images among them.

use std::path::Path;

use covary_data::{Augmenter, random_sample, rng::stream};
use serde_json::{Map, Value, json};

use crate::belonging::own_checkpoint;
use crate::evaluate::{reestimate, represent};
use crate::pretrain::prepare_again;
use crate::run::{RunFolder, number};
use crate::trainer::TrainState;
use crate::{Pretraining, TrainError};
use covary_score::{Embeddings, Matrix};
use covary_score::{METRICS, Sample, Verdict, measure};

/// Images whose augmented views are measured, and views of each.
const VIEWED: (usize, usize) = (500, 10);
/// Epoch of the random streams of those views, which training does not reach.
const EPOCH: u64 = u64::MAX;

/// Metrics by their names, `outcome`, `reason` and `spectrum` (singular values) of a matrix in a file.
///
/// # Errors
/// A file that is no matrix, fewer than two rows, numbers that are not finite.
pub fn diagnose_matrix(matrix: &Matrix) -> Result<Value, TrainError> {
    let sample = Sample::new(Embeddings::try_new(&matrix.values, matrix.width)?);
    Ok(Value::Object(space(&sample)?))
}

/// The same of a run's `representation` and `embedding`, with its scores where it has some, on the images at `data` where they moved.
///
/// # Errors
/// A folder without a run or without a checkpoint, data that cannot be read, files that are not what was written.
pub fn diagnose_run(
    folder: &Path,
    data: Option<&str>,
    say: &mut dyn FnMut(&str),
) -> Result<Value, TrainError> {
    let run = RunFolder::open(folder)?;
    let pretraining = prepare_again(&run, run.read_config()?, data)?;
    let (config, engine, isa) = pretraining.parts();
    let mut state = TrainState::new(config, &engine, isa, pretraining.total_steps())?;
    state.restore(own_checkpoint(&run, say)?, &run.checkpoint())?;
    state.put_average(|model| reestimate(model, pretraining.train_set(), &config.augment));

    let dataset = pretraining.train_set();
    let fit = covary_data::hold_out(dataset.len()).fit;
    let clean = &random_sample(&fit, config.monitor.images)[..];
    let viewed = &clean[..VIEWED.0.min(clean.len())];
    let h = represent(
        &mut state.model.encoder,
        dataset,
        &config.augment,
        Some(clean),
    );
    let z = state.model.embed(&h);
    let h_views = represent_views(&pretraining, &mut state, viewed);
    let z_views = state.model.embed(&h_views);
    let widths = (
        state.model.representation_width(),
        state.model.projector.output_width(),
    );
    let of = |values: &[f32], views: &[f32], width| -> Result<Value, TrainError> {
        let sample = Sample::new(Embeddings::try_new(values, width)?)
            .try_with_augmented(Embeddings::try_new(views, width)?, VIEWED.1)?;
        Ok(Value::Object(space(&sample)?))
    };
    let mut result = Map::from_iter([
        ("run".to_owned(), json!(folder.display().to_string())),
        ("steps".to_owned(), state.step.into()),
        ("images".to_owned(), clean.len().into()),
        ("data_notes".to_owned(), json!(pretraining.data_notes())),
        ("representation".to_owned(), of(&h, &h_views, widths.0)?),
        ("embedding".to_owned(), of(&z, &z_views, widths.1)?),
    ]);
    let scores = run.read_object(&run.result())?;
    for key in [
        "knn_top1",
        "random_knn_top1",
        "linear_top1",
        "collapse_step",
        "representation_collapse_step",
    ] {
        let value = scores
            .as_ref()
            .and_then(|scores| scores.get(key).cloned())
            .unwrap_or(Value::Null);
        result.insert(key.into(), value);
    }
    Ok(Value::Object(result))
}

fn space(sample: &Sample<'_>) -> Result<Map<String, Value>, TrainError> {
    let verdict = Verdict::of(sample)?;
    let mut found = Map::from_iter([
        ("rows".to_owned(), sample.embeddings().rows().into()),
        ("width".to_owned(), sample.embeddings().dimension().into()),
        ("outcome".to_owned(), json!(verdict.outcome)),
        ("reason".to_owned(), verdict.reason.into()),
        ("relative_std".to_owned(), number(verdict.relative_std)),
    ]);
    for measurement in measure(sample)? {
        let value = measurement.value.map_or(Value::Null, number);
        found.insert(measurement.name.into(), value);
    }
    debug_assert!(
        METRICS
            .iter()
            .all(|metric| found.contains_key(metric.name()))
    );
    let spectrum = sample.singular_values()?.iter().map(|value| number(*value));
    found.insert("spectrum".into(), spectrum.collect());
    Ok(found)
}

/// Representations of augmented views, view a and b in turn, all views of an image one after the other.
fn represent_views(run: &Pretraining, state: &mut TrainState, images: &[u32]) -> Vec<f32> {
    let (config, dataset) = (run.parts().0, run.train_set());
    let len = config.augment.size.pow(2) * 3;
    let mut augmenter = Augmenter::default();
    let mut views = vec![0.0; VIEWED.1 * len];
    let mut h = Vec::new();
    for &index in images {
        for (view, values) in views.chunks_exact_mut(len).enumerate() {
            let mut random = stream(config.seed, EPOCH, u64::from(index), view as u64);
            let image = dataset.image(index as usize);
            augmenter.view(&config.augment, image, view as u64, &mut random, values);
        }
        h.extend(state.model.encoder.infer(&views));
    }
    h
}
