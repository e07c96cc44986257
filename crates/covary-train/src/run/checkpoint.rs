//! Checkpoints: every number that training needs to go on with the same bits, in one safetensors file written atomically.
//!
//! Flat vectors are stored whole under the name of what owns them (`encoder.parameters`, `optimizer.encoder.m`, `loss.contrast.c`, ...).
//! The metadata hold the step, the identity of the configuration, the number of lines of the journals, and a digest of the file, which
//! is checked before anything is taken from it. Everything random follows from (seed, epoch, image, view), so the step stands for
//! sampler and augmentation.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use covary_nn::{check_safetensors, sealed_safetensors};
use fs_err as fs;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::TrainError;

/// What a checkpoint says of the run that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonging {
    /// [`crate::config::identity()`] of the configuration.
    pub identity: String,
    /// Lines of `epochs.jsonl` until then.
    pub measurements: u64,
    /// Lines of `alarms.jsonl` until then.
    pub alarms: u64,
}

/// What a checkpoint holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Optimizer steps taken.
    pub step: u64,
    /// Flat f32 vectors by name.
    pub vectors: BTreeMap<String, Vec<f32>>,
    /// The run; none in files of older versions, which have no digest either.
    pub belonging: Option<Belonging>,
}

impl Checkpoint {
    /// Writes the file; it replaces an earlier one only when complete.
    ///
    /// # Errors
    /// [`TrainError::Write`] when the file cannot be written: the earlier checkpoint is then untouched.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let views: Result<Vec<_>, _> = self
            .vectors
            .iter()
            .map(|(name, vector)| {
                TensorView::new(Dtype::F32, vec![vector.len()], bytemuck::cast_slice(vector))
                    .map(|view| (name.clone(), view))
            })
            .collect();
        let views = views.expect("a flat vector is as long as its shape says");
        let mut metadata = HashMap::from([("step".to_owned(), self.step.to_string())]);
        if let Some(belonging) = &self.belonging {
            metadata.extend([
                ("configuration".to_owned(), belonging.identity.clone()),
                (
                    "epochs.jsonl".to_owned(),
                    belonging.measurements.to_string(),
                ),
                ("alarms.jsonl".to_owned(), belonging.alarms.to_string()),
            ]);
        }
        let bytes = sealed_safetensors(views, metadata)
            .expect("names are unique and vectors are in memory");
        super::write_atomically(path, &bytes).map_err(|source| TrainError::Write {
            path: path.into(),
            source,
        })
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// [`TrainError::Read`] when it cannot be read, [`TrainError::Checkpoint`] when it is not a checkpoint, or is damaged.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let broken = |reason: String| TrainError::Checkpoint {
            path: path.into(),
            reason,
        };
        let bytes = fs::read(path).map_err(|source| TrainError::Read {
            path: path.into(),
            source,
        })?;
        check_safetensors(&bytes).map_err(|error| broken(error.to_string()))?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let number = |key: &str| metadata.get(key)?.parse().ok();
        let step = number("step").ok_or_else(|| broken("it does not say its step".into()))?;
        let belonging = metadata.get("configuration").map(|identity| Belonging {
            identity: identity.clone(),
            measurements: number("epochs.jsonl").unwrap_or(0),
            alarms: number("alarms.jsonl").unwrap_or(0),
        });
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
        let mut vectors = BTreeMap::new();
        for (name, view) in tensors.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(broken(format!("{name} is not f32")));
            }
            let values = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            vectors.insert(name, values.collect());
        }
        Ok(Self {
            step,
            vectors,
            belonging,
        })
    }

    /// Takes the vector `name`, which must have `len` entries.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] when it is missing or has another length.
    pub fn take(&mut self, path: &Path, name: &str, len: usize) -> Result<Vec<f32>, TrainError> {
        let broken = |reason: String| TrainError::Checkpoint {
            path: path.into(),
            reason,
        };
        let vector = self
            .vectors
            .remove(name)
            .ok_or_else(|| broken(format!("{name} is missing")))?;
        if vector.len() == len {
            Ok(vector)
        } else {
            Err(broken(format!(
                "{name} has {} numbers, {len} are needed",
                vector.len()
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let vectors = BTreeMap::from([
            ("a".to_owned(), vec![1.0, f32::MIN_POSITIVE / 2.0, -0.0]),
            ("b".to_owned(), vec![f32::MAX; 5]),
        ]);
        let checkpoint = Checkpoint {
            step: 41,
            vectors,
            belonging: Some(Belonging {
                identity: "0123".into(),
                measurements: 2,
                alarms: 0,
            }),
        };
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
    }

    #[test]
    fn a_truncated_checkpoint_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        Checkpoint {
            step: 1,
            vectors: BTreeMap::from([("a".to_owned(), vec![0.5; 64])]),
            belonging: None,
        }
        .save(&path)
        .unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
        assert!(
            Checkpoint::load(&path)
                .unwrap_err()
                .to_string()
                .contains("checkpoint.safetensors")
        );
    }
    #[test]
    fn a_flipped_bit_in_a_number_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let vectors = BTreeMap::from([("a".to_owned(), vec![0.5; 64])]);
        let checkpoint = Checkpoint {
            step: 1,
            vectors,
            belonging: None,
        };
        checkpoint.save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 100;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("checkpoint.safetensors") && error.contains("damaged"),
            "{error}"
        );
    }
}
