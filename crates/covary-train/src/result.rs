//! What came of a run: the object of `result.json`, and the pictures' data beside it.

use covary_nn::Network;
use fs_err as fs;
use serde_json::{Map, Value, json};

use crate::evaluate::{
    self, Data, Line, Spaces, draw_neighbours, kept, represent, score, sgd_score, spaces,
};
use crate::monitor::Monitor;
use crate::run::{RunFolder, number};
use crate::trainer::TrainState;
use crate::{Pretraining, RunResult, TrainError};
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

/// Everything that is measured on the frozen encoder itself; the lines to compare with are null.
pub(crate) fn scores(
    run: &Pretraining,
    state: &mut TrainState,
    monitor: &Monitor,
    folder: &RunFolder,
) -> Result<Map<String, Value>, TrainError> {
    let (config, _, _) = run.parts();
    let mut result = Map::new();
    let width = state.model.representation_width();
    let sample = monitor.images();
    let augment = &config.augment;
    let train = represent(&mut state.model.encoder, run.train_set(), augment, None);
    let h: Vec<f32> = sample
        .iter()
        .flat_map(|&index| train[index as usize * width..][..width].iter().copied())
        .collect();
    let z = state.model.embed(&h);
    let z_width = state.model.projector.output_width();
    let measured = spaces(&h, width, &z, z_width)?;
    insert_spaces(&mut result, "", &measured);
    insert_outcome(&mut result, &measured, folder)?;
    write_spectra(folder, [(&h, width), (&z, z_width)])?;
    for (name, _) in LINE {
        for prefix in ["random_", "pixel_"] {
            result.insert(format!("{prefix}{name}"), Value::Null);
        }
    }
    let Some(data) = run.data() else {
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
    let test = insert_scores(&mut result, &mut state.model.encoder, &data, &train)?;
    if data.test.len() > 1 {
        draw_neighbours(&data, &train, &test, width, &folder.neighbours())?;
    }
    Ok(result)
}

/// Writes `result.json`; gives what was written.
pub(crate) fn write(measured: Map<String, Value>, folder: &RunFolder) -> Result<Value, TrainError> {
    let result = RunResult::try_from(measured).expect("a result has the types of its keys");
    let result = serde_json::to_value(result).expect("a result is plain values");
    let text = serde_json::to_string_pretty(&result).expect("a result is plain values");
    folder.write(&folder.result(), text.as_bytes())?;
    Ok(result)
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

/// Outcome, verdicts, alarms, and the step from which on every measurement found the embeddings collapsed.
fn insert_outcome(
    result: &mut Map<String, Value>,
    measured: &Spaces,
    folder: &RunFolder,
) -> Result<(), TrainError> {
    let collapsed = measured.embedding_verdict.is_collapse();
    let word = if collapsed { "collapsed" } else { "healthy" };
    result.insert("outcome".into(), word.into());
    for (key, verdict) in [
        ("embedding_verdict", &measured.embedding_verdict),
        ("representation_verdict", &measured.representation_verdict),
    ] {
        let verdict = serde_json::to_value(verdict).expect("a verdict is plain values");
        result.insert(key.into(), verdict);
    }
    let measurements = folder.read_lines(&folder.epochs())?;
    let began = measurements
        .iter()
        .rev()
        .take_while(|line| collapsed && line["embedding/outcome"] != "healthy")
        .last()
        .map_or(Value::Null, |line| line["step"].clone());
    result.insert("collapse_step".into(), began);
    let alarms = folder.read_lines(&folder.alarms())?;
    result.insert("alarms".into(), Value::Array(alarms));
    Ok(())
}

/// Singular values of the metrics' sample in both spaces.
fn write_spectra(folder: &RunFolder, [h, z]: [(&[f32], usize); 2]) -> Result<(), TrainError> {
    let spectrum = |(values, width): (&[f32], usize)| -> Result<Value, TrainError> {
        let sample = Sample::new(Embeddings::try_new(values, width)?);
        let values = sample.singular_values()?;
        Ok(values.iter().map(|value| number(*value)).collect())
    };
    let spectra = json!({"representation": spectrum(h)?, "embedding": spectrum(z)?});
    folder.write(&folder.spectra(), spectra.to_string().as_bytes())
}

/// Adds the lines to compare with: the encoder before training, and raw pixels.
pub(crate) fn add_references(
    result: &mut Map<String, Value>,
    run: &Pretraining,
    data: &Data<'_>,
    sample: &[u32],
    folder: &RunFolder,
) -> Result<(), TrainError> {
    let (config, engine, _) = run.parts();
    let of_pixels = kept::of_pixels(data, sample);
    let of_untrained = kept::of_untrained(&of_pixels, config, format!("{engine:?}"));
    result.extend(kept::kept(&of_untrained, folder, || {
        let (line, measured) = evaluate::untrained(config, &engine, data, sample)?;
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

/// Loss and terms of the last step, from the journal of a run that had no step left to take.
pub(crate) fn last_step(run: &RunFolder) -> Result<Map<String, Value>, TrainError> {
    let path = run.steps();
    let text = fs::read_to_string(&path).map_err(|source| TrainError::Read { path, source })?;
    let last: Map<String, Value> = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default();
    let terms: Map<String, Value> = last
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("term/")?.to_owned(), value.clone())))
        .collect();
    Ok(Map::from_iter([
        (
            "loss".to_owned(),
            last.get("loss").cloned().unwrap_or(json!(null)),
        ),
        ("terms".to_owned(), Value::Object(terms)),
    ]))
}
