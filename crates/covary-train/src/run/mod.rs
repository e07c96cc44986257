//! The run folder: everything a run was made by and what came of it.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the resolved configuration; it runs as it stands |
//! | `run.json` | program, commit, processor, threads ([`Provenance`]) |
//! | `steps.jsonl` | loss, terms and telemetry, one JSON object a line ([`Journal`]) |
//! | `epochs.jsonl` | collapse metrics, outcomes and kNN, a line a measurement |
//! | `alarms.jsonl` | signs of collapse, a line each |
//! | `events.out.tfevents.*` | the same for TensorBoard ([`EventFile`]) |
//! | `checkpoint.safetensors` | everything needed to go on with the same bits ([`Checkpoint`]) |
//! | `encoder.safetensors` | the trained encoder under torchvision's names |
//! | `result.json` | the scores, once the run has ended |
//! | `spectra.json` | singular values of representations and embeddings |
//! | `neighbours.png` | test images and the training images nearest to them |

mod checkpoint;
mod digest;
mod journal;
mod provenance;
mod tensorboard;
mod tensors;

use std::path::{Path, PathBuf};

use covary_nn::write_atomically;
use fs_err as fs;

pub use checkpoint::Checkpoint;
pub use digest::digest;
pub use journal::{Journal, number};
pub use provenance::{Provenance, peak_memory_bytes, unix_seconds};
pub use tensorboard::EventFile;
pub use tensors::write_tensors;

use serde_json::Value;

use crate::TrainError;
use crate::config::TrainConfig;

/// Paths of a run's files.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates a folder that must not hold a run yet.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] when it does, [`TrainError::Write`] when it cannot be created.
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.into() };
        if run.config().exists() {
            return Err(TrainError::RunExists { path: path.into() });
        }
        fs::create_dir_all(path).map_err(|source| TrainError::Write {
            path: path.into(),
            source,
        })?;
        Ok(run)
    }

    /// Opens the folder of an earlier run.
    ///
    /// # Errors
    /// [`TrainError::NotARun`] when there is no `config.toml` in it.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.into() };
        if run.config().is_file() {
            Ok(run)
        } else {
            Err(TrainError::NotARun { path: path.into() })
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Provenance.
    pub fn provenance(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// Metrics of each step.
    pub fn steps(&self) -> PathBuf {
        self.path.join("steps.jsonl")
    }

    /// Signs of collapse.
    pub fn alarms(&self) -> PathBuf {
        self.path.join("alarms.jsonl")
    }

    /// Singular values.
    pub fn spectra(&self) -> PathBuf {
        self.path.join("spectra.json")
    }

    /// Test images and their nearest training images.
    pub fn neighbours(&self) -> PathBuf {
        self.path.join("neighbours.png")
    }

    /// Reads the run's configuration.
    ///
    /// # Errors
    /// A file that cannot be read, or is no configuration.
    pub fn read_config(&self) -> Result<TrainConfig, TrainError> {
        let path = self.config();
        let text = fs::read_to_string(&path).map_err(|source| TrainError::Read {
            path: path.clone(),
            source,
        })?;
        TrainConfig::parse(&path.display().to_string(), &text)
    }

    /// The objects of one of its journals; none where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_lines(&self, path: &Path) -> Result<Vec<Value>, TrainError> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(path).map_err(|source| TrainError::Read {
            path: path.into(),
            source,
        })?;
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Metrics of each epoch.
    pub fn epochs(&self) -> PathBuf {
        self.path.join("epochs.jsonl")
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// The trained encoder.
    pub fn encoder(&self) -> PathBuf {
        self.path.join("encoder.safetensors")
    }

    /// The scores.
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Writes one of the folder's files whole or not at all.
    ///
    /// # Errors
    /// [`TrainError::Write`] when it cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
        write_atomically(path, bytes).map_err(|source| TrainError::Write {
            path: path.into(),
            source,
        })
    }
}
