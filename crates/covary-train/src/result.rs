//! What came of a run: the object of `result.json`, and the pictures' data beside it.

use covary_data::Dataset;
use covary_nn::{EngineConfig, Network};
use serde_json::{Map, Value};

use crate::TrainError;
use crate::config::TrainConfig;
use crate::evaluate::{
    self, Data, Line, Spaces, draw_neighbours, kept, represent, score, sgd_score, spaces,
};
use crate::monitor::{Monitor, Untrained};
use crate::run::{RunFolder, number, read_journal};
use crate::run_result::RunResult;
use crate::trainer::TrainState;
use covary_score::Measurement;
use covary_score::{Embeddings, Sample};

/// A number of a line.
type Number = fn(&Line) -> f64;

/// Names of the numbers of a line.
const LINE: [(&str, Number); 4] = [
    ("linear_top1", |line| line.linear_top1),
    ("knn_top1", |line| line.knn_top1),
    ("knn200_top1", |line| line.knn200_top1),
    ("l2", |line| line.l2),
];

/// Everything that is measured on the frozen encoder itself, beside what the monitor measured of the untrained one. The lines to compare
/// with are null.
pub(crate) fn scores(
    config: &TrainConfig,
    dataset: &Dataset,
    data: Option<&Data<'_>>,
    state: &mut TrainState,
    monitor: &Monitor,
    untrained: Option<&Untrained>,
    folder: &RunFolder,
) -> Result<Map<String, Value>, TrainError> {
    let mut result = Map::new();
    let width = state.model.representation_width();
    let sample = monitor.images();
    let augment = &config.augment;
    let train = represent(&mut state.model.encoder, dataset, augment, None);
    let h: Vec<f32> = sample
        .iter()
        .flat_map(|&index| train[index as usize * width..][..width].iter().copied())
        .collect();
    let z = state.model.embed(&h);
    let z_width = state.model.projector.output_width();
    let measured = spaces(&h, width, &z, z_width)?;
    insert_spaces(&mut result, "", &measured);
    insert_outcome(&mut result, &measured, folder)?;
    insert_untrained(&mut result, untrained);
    write_spectra(folder, [(&h, width), (&z, z_width)])?;
    for (name, _) in LINE {
        for prefix in ["random_", "pixel_"] {
            result.insert(format!("{prefix}{name}"), Value::Null);
        }
    }
    let Some(data) = data else {
        for key in [
            "linear_top1",
            "knn_top1",
            "random_linear_top1",
            "pixel_linear_top1",
        ] {
            result.insert(key.into(), Value::Null);
        }
        return Ok(result);
    };
    let test = insert_scores(&mut result, &mut state.model.encoder, data, &train)?;
    if data.test.len() > 1 {
        draw_neighbours(data, &train, &test, width, &folder.neighbours())?;
    }
    Ok(result)
}

/// Writes `result.json`; gives what was written.
pub(crate) fn write(measured: Map<String, Value>, folder: &RunFolder) -> Result<Value, TrainError> {
    let result = RunResult::try_from(measured).expect("a result has the types of its keys");
    let Ok(Value::Object(result)) = serde_json::to_value(result) else {
        unreachable!("a result is an object of plain values")
    };
    folder.write_object(&folder.result(), &result)?;
    Ok(Value::Object(result))
}

/// Inserts the scores of an encoder by both protocols; gives the representations of the test images.
pub(crate) fn insert_scores(
    result: &mut Map<String, Value>,
    encoder: &mut Network,
    data: &Data<'_>,
    train: &[f32],
) -> Result<Vec<f32>, TrainError> {
    let width = encoder.output_width();
    let test = represent(encoder, data.test, data.augment, None);
    insert_line(result, "", &score(data, train, &test, width)?);
    let sgd = sgd_score(data, train, &test, width)?;
    result.insert("linear_top1_sgd".into(), number(sgd.linear_top1));
    Ok(test)
}

/// Outcome, verdicts, alarms, and for each space the step from which on every measurement found it collapsed.
fn insert_outcome(
    result: &mut Map<String, Value>,
    measured: &Spaces,
    folder: &RunFolder,
) -> Result<(), TrainError> {
    result.insert("outcome".into(), measured.outcome().name().into());
    let measurements = folder.read_lines(&folder.epochs())?;
    for (space, key, verdict) in [
        ("embedding", "collapse_step", &measured.embedding_verdict),
        (
            "representation",
            "representation_collapse_step",
            &measured.representation_verdict,
        ),
    ] {
        let word = format!("{space}/outcome");
        let began = measurements
            .iter()
            .rev()
            .take_while(|line| verdict.is_collapse() && line[&word] != "healthy")
            .last()
            .map_or(Value::Null, |line| line["step"].clone());
        result.insert(key.into(), began);
        let verdict = serde_json::to_value(verdict).expect("a verdict is plain values");
        result.insert(format!("{space}_verdict"), verdict);
    }
    let alarms = folder.read_lines(&folder.alarms())?;
    result.insert("alarms".into(), Value::Array(alarms));
    Ok(())
}

/// What the monitor measured of the encoder before training.
fn insert_untrained(result: &mut Map<String, Value>, untrained: Option<&Untrained>) {
    let verdict = untrained.map_or(Value::Null, |untrained| {
        serde_json::to_value(&untrained.verdict).expect("a verdict is plain values")
    });
    let knn = untrained.and_then(|untrained| untrained.validation_knn);
    result.insert("untrained_representation_verdict".into(), verdict);
    let knn = knn.map_or(Value::Null, number);
    result.insert("untrained_validation_knn".into(), knn);
}

/// Singular values of the metrics' sample in both spaces.
fn write_spectra(folder: &RunFolder, [h, z]: [(&[f32], usize); 2]) -> Result<(), TrainError> {
    let spectrum = |(values, width): (&[f32], usize)| -> Result<Value, TrainError> {
        let sample = Sample::new(Embeddings::try_new(values, width)?);
        let values = sample.singular_values()?;
        Ok(values.iter().map(|value| number(*value)).collect())
    };
    let spectra = Map::from_iter([
        ("representation".to_owned(), spectrum(h)?),
        ("embedding".to_owned(), spectrum(z)?),
    ]);
    folder.write_object(&folder.spectra(), &spectra)
}

/// Adds the lines to compare with: the encoder before training, and raw pixels.
pub(crate) fn add_references(
    result: &mut Map<String, Value>,
    config: &TrainConfig,
    engine: &EngineConfig,
    data: &Data<'_>,
    sample: &[u32],
    folder: &RunFolder,
) -> Result<(), TrainError> {
    let of_pixels = kept::of_pixels(data, sample);
    let of_untrained = kept::of_untrained(&of_pixels, config, format!("{engine:?}"));
    result.extend(kept::kept(&of_untrained, folder, || {
        let (line, measured) = evaluate::untrained(config, engine, data, sample)?;
        let mut reference = Map::new();
        insert_line(&mut reference, "random_", &line);
        insert_spaces(&mut reference, "random_", &measured);
        Ok(reference)
    })?);
    result.extend(kept::kept(&of_pixels, folder, || {
        let (line, metrics) = evaluate::pixels(data, sample)?;
        let mut reference = Map::new();
        reference.insert("pixel_side".into(), evaluate::pixel_side(data).into());
        insert_line(&mut reference, "pixel_", &line);
        reference.insert("pixel_metrics".into(), values(&metrics));
        Ok(reference)
    })?);
    Ok(())
}

fn values(measurements: &[Measurement]) -> Value {
    let value = |m: &Measurement| (m.name.to_owned(), m.value.map_or(Value::Null, number));
    Value::Object(measurements.iter().map(value).collect())
}

fn insert_line(result: &mut Map<String, Value>, prefix: &str, line: &Line) {
    for (name, value) in LINE {
        result.insert(format!("{prefix}{name}"), number(value(line)));
    }
}

fn insert_spaces(result: &mut Map<String, Value>, prefix: &str, spaces: &Spaces) {
    for (space, measurements) in [
        ("representation", &spaces.representation),
        ("embedding", &spaces.embedding),
    ] {
        result.insert(format!("{prefix}{space}"), values(measurements));
    }
}

/// Loss and terms of a step.
pub(crate) fn loss(evaluation: &covary_loss::Evaluation) -> Map<String, Value> {
    let terms: Map<String, Value> = evaluation
        .terms
        .iter()
        .map(|term| (term.name.clone(), number(term.value)))
        .collect();
    Map::from_iter([
        ("loss".to_owned(), number(evaluation.total)),
        ("terms".to_owned(), Value::Object(terms)),
    ])
}

/// Loss, terms and speed of the last step, from the journal of a run that had no step left to take.
pub(crate) fn last_step(run: &RunFolder) -> Result<Map<String, Value>, TrainError> {
    let last = read_journal(&run.steps())?.pop().unwrap_or_default();
    let terms: Map<String, Value> = last
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("term/")?.to_owned(), value.clone())))
        .collect();
    let value = |key: &str| last.get(key).cloned().unwrap_or(Value::Null);
    Ok(Map::from_iter([
        ("loss".to_owned(), value("loss")),
        ("images_per_s".to_owned(), value("images_per_s")),
        ("terms".to_owned(), Value::Object(terms)),
    ]))
}
