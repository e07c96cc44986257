//! The object of `result.json`, typed and with a version.
//!
//! What a run did not measure is null. Files of earlier versions lack keys, which are then none, and hold none that mean something else.
//! Keys that this version does not know are kept as they are in [`RunResult::others`].

use std::collections::BTreeMap;
use std::path::Path;

use covary_score::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TrainError;
use crate::run::read_object;
use crate::trainer::Alarm;

/// Values by the names of metrics or terms; none where one is not defined.
pub type Values = BTreeMap<String, Option<f64>>;

/// What came of a run. Accuracies are shares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunResult {
    /// Version of the keys: [`RunResult::SCHEMA`]; 0 in files from before there were versions.
    pub schema: u32,
    /// Folder of the run, as it was given.
    pub run: Option<String>,
    /// Preset of the method.
    pub method: Option<String>,
    /// Name of the data.
    pub data: Option<String>,
    /// Images of an epoch.
    pub images: Option<u64>,
    /// Seed.
    pub seed: Option<u64>,
    /// Epochs of the configuration.
    pub epochs: Option<u64>,
    /// Steps that were taken.
    pub steps: Option<u64>,
    /// Whether a collapse ended training.
    pub stopped: Option<bool>,
    /// Source images a second while training.
    pub images_per_s: Option<f64>,
    /// Seconds of training.
    pub train_s: Option<f64>,
    /// Seconds of everything.
    pub total_s: Option<f64>,
    /// Most memory that the process held, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Loss of the last step.
    pub loss: Option<f64>,
    /// Terms of the last step.
    pub terms: Values,
    /// Linear probe.
    pub linear_top1: Option<f64>,
    /// Linear probe by stochastic gradient descent.
    pub linear_top1_sgd: Option<f64>,
    /// kNN, k = 20.
    pub knn_top1: Option<f64>,
    /// kNN, k = 200.
    pub knn200_top1: Option<f64>,
    /// L2 of the linear probe.
    pub l2: Option<f64>,
    /// The untrained encoder's linear probe.
    pub random_linear_top1: Option<f64>,
    /// The untrained encoder's kNN, k = 20.
    pub random_knn_top1: Option<f64>,
    /// The untrained encoder's kNN, k = 200.
    pub random_knn200_top1: Option<f64>,
    /// L2 of that linear probe.
    pub random_l2: Option<f64>,
    /// Raw pixels' linear probe.
    pub pixel_linear_top1: Option<f64>,
    /// Raw pixels' kNN, k = 20.
    pub pixel_knn_top1: Option<f64>,
    /// Raw pixels' kNN, k = 200.
    pub pixel_knn200_top1: Option<f64>,
    /// L2 of that linear probe.
    pub pixel_l2: Option<f64>,
    /// Side of the images whose raw pixels were scored.
    pub pixel_side: Option<u64>,
    /// Collapse metrics of h.
    pub representation: Option<Values>,
    /// Collapse metrics of z.
    pub embedding: Option<Values>,
    /// Collapse metrics of the untrained encoder's h.
    pub random_representation: Option<Values>,
    /// Collapse metrics of the untrained networks' z.
    pub random_embedding: Option<Values>,
    /// Collapse metrics of raw pixels.
    pub pixel_metrics: Option<Values>,
    /// Verdict on h.
    pub representation_verdict: Option<Verdict>,
    /// Verdict on z.
    pub embedding_verdict: Option<Verdict>,
    /// Which space was lost: `healthy`, `embedding-collapsed`, `representation-collapsed` or `both-collapsed`; before there were versions,
    /// `healthy` or `collapsed`, of z alone.
    pub outcome: Option<String>,
    /// First measured step from which on z was collapsed.
    pub collapse_step: Option<u64>,
    /// First measured step from which on h was collapsed.
    pub representation_collapse_step: Option<u64>,
    /// Verdict on the untrained encoder's h.
    pub untrained_representation_verdict: Option<Verdict>,
    /// The untrained encoder's kNN on held-out training images.
    pub untrained_validation_knn: Option<f64>,
    /// `pending` while the lines to compare with are still to come; else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// Signs of collapse while training.
    pub alarms: Vec<Alarm>,
    /// Keys of other versions.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl RunResult {
    /// The version that this program writes.
    pub const SCHEMA: u32 = 1;

    /// Reads a `result.json`; none where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no result.
    pub fn read(path: &Path) -> Result<Option<Self>, TrainError> {
        let Some(object) = read_object(path)? else {
            return Ok(None);
        };
        let result =
            serde_json::from_value(Value::Object(object)).map_err(|error| TrainError::Syntax {
                layer: path.display().to_string(),
                message: error.to_string(),
            })?;
        Ok(Some(result))
    }

    /// A number by its key: of the score of a study, for example.
    pub fn number(&self, key: &str) -> Option<f64> {
        serde_json::to_value(self).ok()?.get(key)?.as_f64()
    }
}

impl TryFrom<Map<String, Value>> for RunResult {
    type Error = serde_json::Error;

    /// The measurements of this program, with its version.
    fn try_from(measured: Map<String, Value>) -> Result<Self, Self::Error> {
        let result: Self = serde_json::from_value(Value::Object(measured))?;
        Ok(Self {
            schema: Self::SCHEMA,
            ..result
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    /// As the program wrote it before results had a version.
    const EARLIER: &str = r#"{
        "alarms": [{"step": 10, "kind": "few-directions", "message": "few directions"}],
        "collapse_step": null, "data": "CIFAR-10", "embedding": {"alpha_req": null, "rankme": 12.5},
        "embedding_verdict": {"outcome": "healthy", "reason": "spread", "relative_std": 0.9, "participation_ratio": 10.8},
        "linear_top1": 0.508, "knn200_top1": null, "loss": 24.5, "terms": {"variance": 0.2}, "steps": 1170, "stopped": false,
        "images_per_s": 640.5, "train_s": 159.0, "a_key_of_another_build": [1, 2]
    }"#;

    #[test]
    fn results_without_a_version_are_read_and_keep_what_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        assert_eq!(RunResult::read(&path).unwrap(), None);
        fs::write(&path, EARLIER).unwrap();
        let result = RunResult::read(&path).unwrap().unwrap();
        assert_eq!(
            (result.schema, result.steps, result.knn200_top1),
            (0, Some(1170), None)
        );
        assert_eq!(result.embedding.as_ref().unwrap()["rankme"], Some(12.5));
        assert_eq!(result.embedding.as_ref().unwrap()["alpha_req"], None);
        assert!(!result.embedding_verdict.as_ref().unwrap().is_collapse());
        assert_eq!(result.number("linear_top1"), Some(0.508));
        let written = serde_json::to_value(&result).unwrap();
        let earlier: Value = serde_json::from_str(EARLIER).unwrap();
        for (key, value) in earlier.as_object().unwrap() {
            assert_eq!(&written[key], value, "{key}");
        }
        fs::write(&path, "{\"steps\": \"many\"}").unwrap();
        let error = RunResult::read(&path).unwrap_err().to_string();
        assert!(error.contains("result.json"), "{error}");
    }
}
