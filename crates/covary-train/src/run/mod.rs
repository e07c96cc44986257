//! The run folder: everything a run was made by and what came of it.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the resolved configuration; it runs as it stands |
//! | `run.json` | program, commit, processor, threads ([`Provenance`]) |
//! | `steps.jsonl`, `epochs.jsonl` | metrics, one JSON object a line ([`Journal`]) |
//! | `events.out.tfevents.*` | the same for TensorBoard ([`EventFile`]) |
//! | `checkpoint.safetensors` | everything needed to go on with the same bits ([`Checkpoint`]) |
//! | `encoder.safetensors` | the trained encoder under torchvision's names |
//! | `result.json` | the scores, once the run has ended |

mod checkpoint;
mod journal;
mod provenance;
mod tensorboard;

use std::path::{Path, PathBuf};

use covary_nn::write_atomically;
use fs_err as fs;

pub use checkpoint::Checkpoint;
pub use journal::{Journal, number};
pub use provenance::{Provenance, peak_memory_bytes, unix_seconds};
pub use tensorboard::EventFile;

use crate::TrainError;

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
