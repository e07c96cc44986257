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
//! | `run.lock` | held while a process writes to the folder; it says which ([`FolderLock`]) |
//!
//! Every file holds a digest or checksums of its own, which are checked whenever it is read; what the configuration and the images were
//! is kept as digests beside the numbers that came of them.

mod checkpoint;
mod digest;
mod journal;
mod lock;
mod provenance;
mod tensorboard;
mod tensors;

use std::path::{Path, PathBuf};
use std::time::Duration;

use covary_nn::{read_sealed_json, sealed_json, sweep, write_atomically};
use fs_err as fs;
use serde_json::{Map, Value};

pub use checkpoint::{Belonging, Checkpoint};
pub use digest::{DataDigest, digest};
pub use journal::{Journal, Keep, number, read_journal};
pub use lock::{FolderLock, Holder};
pub use provenance::{Provenance, peak_memory_bytes, unix_seconds};
pub use tensorboard::EventFile;
pub use tensors::write_tensors;

use crate::TrainError;
use crate::config::{TrainConfig, identity};

/// The lock of a run's folder.
const LOCK: &str = "run.lock";
/// A file beside run folders is not a dead process's before so long: a process on another host may be writing it.
const STALE: Duration = Duration::from_hours(1);

/// A run's folder, and the lock on it where this process writes to it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: Option<FolderLock>,
    is_new: bool,
}

impl RunFolder {
    /// Creates a folder for a new run, for this process alone.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] when it holds any file of a run, [`TrainError::Held`] when another process is about to write one,
    /// [`TrainError::Write`] when it cannot be created.
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        fs::create_dir_all(path).map_err(write_error(path))?;
        // Without a trace in a folder that is refused.
        refuse_run(path)?;
        let lock = FolderLock::take(path, LOCK)?;
        refuse_run(path)?;
        Self::locked(path, lock, true)
    }

    /// Creates the first of `STEM-001`, `STEM-002`, ... that does not exist.
    ///
    /// # Errors
    /// As [`RunFolder::create`].
    pub fn create_numbered(parent: &Path, stem: &str) -> Result<Self, TrainError> {
        fs::create_dir_all(parent).map_err(write_error(parent))?;
        for number in 1_u32.. {
            let path = parent.join(format!("{stem}-{number:03}"));
            match fs::create_dir(&path) {
                Ok(()) => return Self::create(&path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(write_error(&path)(source)),
            }
        }
        unreachable!("numbers end after four thousand millions of folders")
    }

    /// Opens the folder of an earlier run to write to it, for this process alone.
    ///
    /// # Errors
    /// [`TrainError::NotARun`] when there is no `config.toml` in it, [`TrainError::Held`] when another process writes to it.
    pub fn resume(path: &Path) -> Result<Self, TrainError> {
        Self::open(path)?;
        Self::locked(path, FolderLock::take(path, LOCK)?, false)
    }

    fn locked(path: &Path, lock: FolderLock, is_new: bool) -> Result<Self, TrainError> {
        sweep(path, Duration::ZERO).map_err(write_error(path))?;
        if let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
            // What others left there is theirs to complain about.
            let _ = sweep(parent, STALE);
        }
        Ok(Self {
            path: path.into(),
            lock: Some(lock),
            is_new,
        })
    }

    /// Opens the folder of an earlier run to read it.
    ///
    /// # Errors
    /// [`TrainError::NotARun`] when there is no `config.toml` in it.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let run = Self {
            path: path.into(),
            lock: None,
            is_new: false,
        };
        if run.config().is_file() {
            Ok(run)
        } else {
            Err(TrainError::NotARun {
                path: path.into(),
                reason: if path.is_dir() {
                    "config.toml is missing"
                } else {
                    "there is no such folder"
                },
            })
        }
    }

    /// Whether it was created for a run that has not begun.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// What there is to say about an earlier process that wrote to it.
    pub fn note(&self) -> Option<&str> {
        self.lock.as_ref()?.note()
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

    /// What its configuration is known by, as the file stands.
    ///
    /// # Errors
    /// A file that cannot be read, or is no TOML.
    pub fn identity(&self) -> Result<String, TrainError> {
        Ok(identity(&self.config_table()?))
    }

    /// The table of `config.toml`, as the file stands.
    pub(crate) fn config_table(&self) -> Result<toml::Table, TrainError> {
        let path = self.config();
        let text = fs::read_to_string(&path).map_err(|source| TrainError::Read {
            path: path.clone(),
            source,
        })?;
        text.parse::<toml::Table>()
            .map_err(|error| TrainError::Syntax {
                layer: path.display().to_string(),
                message: error.to_string().trim_end().into(),
            })
    }

    /// The objects of one of its journals; none where there is no such file.
    ///
    /// # Errors
    /// As [`read_journal`].
    pub fn read_lines(&self, path: &Path) -> Result<Vec<Value>, TrainError> {
        Ok(read_journal(path)?.into_iter().map(Value::Object).collect())
    }

    /// The object of one of its JSON files, with its digest checked; none where there is no such file.
    ///
    /// # Errors
    /// As [`read_object`].
    pub fn read_object(&self, path: &Path) -> Result<Option<Map<String, Value>>, TrainError> {
        read_object(path)
    }

    /// Writes an object with its digest.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn write_object(&self, path: &Path, object: &Map<String, Value>) -> Result<(), TrainError> {
        self.write(path, &sealed_json(object))
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

/// The object of a JSON file that a run wrote, with its digest checked; none where there is no such file.
///
/// # Errors
/// [`TrainError::Read`], and [`TrainError::Damaged`] for a file that is no object, or is not what its digest says.
pub fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, TrainError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|source| TrainError::Read {
            path: path.into(),
            source,
        })?,
    };
    let (object, _) = read_sealed_json(&bytes).map_err(|reason| TrainError::Damaged {
        path: path.into(),
        reason,
    })?;
    Ok(Some(object))
}

/// Refuses a folder that holds any file of a run.
fn refuse_run(path: &Path) -> Result<(), TrainError> {
    let run = RunFolder {
        path: path.into(),
        lock: None,
        is_new: false,
    };
    let mut files = vec![
        run.config(),
        run.provenance(),
        run.checkpoint(),
        run.encoder(),
        run.result(),
        run.steps(),
        run.epochs(),
        run.alarms(),
        run.spectra(),
    ];
    files.extend(tensorboard::event_files(path)?);
    match files.iter().find(|file| file.exists()) {
        None => Ok(()),
        Some(file) => Err(TrainError::RunExists {
            path: path.into(),
            file: file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        }),
    }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_path_buf();
    move |source| TrainError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_any_file_of_a_run_is_not_taken_for_a_new_one() {
        for file in [
            "config.toml",
            "checkpoint.safetensors",
            "encoder.safetensors",
            "result.json",
            "steps.jsonl",
            "events.out.tfevents.1.covary",
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(file), "").unwrap();
            let error = RunFolder::create(folder.path()).unwrap_err().to_string();
            assert!(error.contains(file), "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        RunFolder::create(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_is_held_until_its_holder_lets_go_and_numbers_are_never_shared() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunFolder::create_numbered(folder.path(), "tico").unwrap();
        let second = RunFolder::create_numbered(folder.path(), "tico").unwrap();
        assert!(first.path().ends_with("tico-001") && second.path().ends_with("tico-002"));
        assert!(matches!(
            RunFolder::create(first.path()),
            Err(TrainError::Held { .. })
        ));
        let path = first.path().to_path_buf();
        fs::write(first.config(), "").unwrap();
        drop(first);
        drop(RunFolder::resume(&path).unwrap());
        assert!(matches!(
            RunFolder::create(&path),
            Err(TrainError::RunExists { .. })
        ));
    }

    #[test]
    fn a_damaged_line_is_never_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path()).unwrap();
        fs::write(run.alarms(), "{\"step\":1}\n{\"st\n{\"step\":3}\n").unwrap();
        let error = run.read_lines(&run.alarms()).unwrap_err().to_string();
        assert!(error.contains("alarms.jsonl:2"), "{error}");
    }
}
