//! What a run left in its folder, read back. Files and keys that an older or an unfinished run lacks are none, not errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use covary_train::config::TrainConfig;
use covary_train::run::{RunFolder, read_journal, read_object};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{RunState, StudyError, StudyFolder};

/// A journal as columns: value of each key at each step, NaN where a line lacks it.
#[derive(Debug, Clone, Default)]
pub struct Series {
    steps: Vec<u64>,
    columns: BTreeMap<String, Vec<f64>>,
}

/// Singular values, descending.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Spectra {
    /// Of the representation.
    #[serde(default)]
    pub representation: Vec<f64>,
    /// Of the embedding.
    #[serde(default)]
    pub embedding: Vec<f64>,
}

/// A run's folder, read.
#[derive(Debug, Clone)]
pub struct Record {
    /// The folder.
    pub folder: PathBuf,
    /// What became of it.
    pub state: RunState,
    /// Its configuration.
    pub config: TrainConfig,
    /// Program, commit, processor, threads.
    pub provenance: Map<String, Value>,
    /// Loss, terms, gradients.
    pub steps: Series,
    /// Collapse metrics and kNN on held-out training images.
    pub monitors: Series,
    /// The scores; empty until the run has ended.
    pub result: Map<String, Value>,
    /// Spectra of clean training images, where the run wrote them.
    pub spectra: Option<Spectra>,
    /// A picture of nearest neighbours, where the run drew one.
    pub neighbours: Option<PathBuf>,
}

impl Series {
    fn read(path: &Path) -> Result<Self, StudyError> {
        let mut series = Self::default();
        for record in read_journal(path)? {
            series.push(&record);
        }
        Ok(series)
    }

    fn push(&mut self, record: &Map<String, Value>) {
        let Some(step) = record.get("step").and_then(Value::as_u64) else {
            return;
        };
        let before = self.steps.len();
        self.steps.push(step);
        for (key, value) in record {
            if key == "step" {
                continue;
            }
            let column = self.columns.entry(key.clone()).or_default();
            column.resize(before, f64::NAN);
            column.push(value.as_f64().unwrap_or(f64::NAN));
        }
        for column in self.columns.values_mut() {
            column.resize(before + 1, f64::NAN);
        }
    }

    /// Steps of the lines.
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// Keys, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// Steps and finite values of a key.
    pub fn points(&self, name: &str) -> Vec<(u64, f64)> {
        let column = self.columns.get(name).map_or(&[][..], Vec::as_slice);
        let points = self.steps.iter().copied().zip(column.iter().copied());
        points.filter(|(_, value)| value.is_finite()).collect()
    }

    /// The newest finite value of a key at or before a step.
    pub fn at(&self, name: &str, step: u64) -> Option<f64> {
        let points = self.points(name);
        points
            .into_iter()
            .rev()
            .find(|(at, _)| *at <= step)
            .map(|(_, value)| value)
    }

    /// Mean of a key's finite values after `from` and up to `until`.
    pub fn mean_over(&self, name: &str, from: u64, until: u64) -> Option<f64> {
        let points = self.points(name);
        let values: Vec<_> = points
            .into_iter()
            .filter(|(step, _)| (from + 1..=until).contains(step))
            .map(|(_, value)| value)
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

impl Record {
    /// Reads the folder of a run.
    ///
    /// # Errors
    /// A folder without a run, files that cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let run = RunFolder::open(path)?;
        let config = run.read_config()?;
        let result = object(&run.result())?;
        let state = RunState::of_result(&result).unwrap_or(RunState::Unfinished);
        let spectra = read_object(&run.spectra())?.map(|object| {
            serde_json::from_value(Value::Object(object)).map_err(|error| StudyError::Journal {
                path: run.spectra(),
                line: error.line(),
                reason: error.to_string(),
            })
        });
        let neighbours = path.join("neighbours.png");
        Ok(Self {
            folder: path.into(),
            state,
            config,
            provenance: object(&run.provenance())?,
            steps: Series::read(&run.steps())?,
            monitors: Series::read(&run.epochs())?,
            result,
            spectra: spectra.transpose()?,
            neighbours: neighbours.is_file().then_some(neighbours),
        })
    }

    /// What became of a run of a study, without reading its journals.
    ///
    /// # Errors
    /// Files that cannot be read or understood.
    pub fn state_in(study: &StudyFolder, key: &str) -> Result<RunState, StudyError> {
        let run = study.run(key);
        let result = object(&run.join("result.json"))?;
        if let Some(state) = RunState::of_result(&result) {
            return Ok(state);
        }
        let failure = object(&study.failure(key))?;
        Ok(match failure.get("code").map(Value::as_i64) {
            Some(Some(1)) => RunState::Diverged,
            Some(_) => RunState::Failed,
            None if run.join("config.toml").is_file() => RunState::Unfinished,
            None => RunState::Missing,
        })
    }

    /// Last words of a run of a study that ended without a result.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn failure_in(study: &StudyFolder, key: &str) -> Result<Option<String>, StudyError> {
        let failure = object(&study.failure(key))?;
        let message = failure.get("message").and_then(Value::as_str);
        Ok(message.map(str::to_owned))
    }

    /// Reads a run of a study; none where it was not begun.
    ///
    /// # Errors
    /// As [`Record::read`].
    pub(crate) fn read_in(study: &StudyFolder, key: &str) -> Result<Option<Self>, StudyError> {
        let run = study.run(key);
        if !run.join("config.toml").is_file() {
            return Ok(None);
        }
        Self::read(&run).map(Some)
    }

    /// A number of the result.
    pub fn score(&self, name: &str) -> Option<f64> {
        self.result.get(name).and_then(Value::as_f64)
    }

    /// A word of the verdict on a space, `embedding` or `representation`.
    pub fn verdict(&self, space: &str, key: &str) -> Option<&str> {
        self.result
            .get(&format!("{space}_verdict"))?
            .get(key)?
            .as_str()
    }

    /// A number of the verdict on a space.
    pub fn verdict_number(&self, space: &str, key: &str) -> Option<f64> {
        self.result
            .get(&format!("{space}_verdict"))?
            .get(key)?
            .as_f64()
    }

    /// Steps that the run took; none before it has ended.
    pub fn total_steps(&self) -> Option<u64> {
        self.result.get("steps").and_then(Value::as_u64)
    }

    /// Seconds of training at the speed that the run measured; of a resumed run too, whose clock saw only its last part.
    pub fn train_s(&self) -> Option<f64> {
        let images = self.total_steps()? as f64 * self.config.batch_size as f64;
        Some(images / self.score("images_per_s")?)
    }
}

fn object(path: &Path) -> Result<Map<String, Value>, StudyError> {
    Ok(read_object(path)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    fn series(text: &str) -> Result<Series, StudyError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        fs::write(&path, text).unwrap();
        Series::read(&path)
    }

    #[test]
    fn columns_stay_aligned_where_lines_lack_keys_and_null_is_not_a_number() {
        let series =
            series("{\"step\":1,\"a\":1}\n{\"step\":2,\"b\":5}\n{\"step\":3,\"a\":null,\"b\":6}\n")
                .unwrap();
        assert_eq!(series.points("a"), [(1, 1.0)]);
        assert_eq!(series.points("b"), [(2, 5.0), (3, 6.0)]);
        assert_eq!((series.at("a", 3), series.at("b", 1)), (Some(1.0), None));
        assert_eq!(series.mean_over("b", 1, 3), Some(5.5));
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_a_damaged_one_before_it_is_told() {
        assert_eq!(series("{\"step\":1,\"a\":1}\n{\"st").unwrap().steps(), [1]);
        let error = series("{\"step\":1}\n{\"st\n{\"step\":3}\n").unwrap_err();
        assert!(error.to_string().contains("steps.jsonl:2"), "{error}");
    }
}
