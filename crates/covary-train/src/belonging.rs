//! Whether what lies in a run's folder belongs together: the configuration, the images, the checkpoint and the encoder made of them.
//!
//! A checkpoint and an encoder hold the identity of their configuration ([`crate::config::identity()`]); `run.json` holds what the images
//! were known by, wherever they lay ([`DataDigest`]). A folder whose parts do not belong together is an error, never resumed or scored.

use std::path::Path;

use covary_data::DataError;
use covary_loss::tables::differences;
use serde_json::Value;

use crate::config::TrainConfig;
use crate::run::{Checkpoint, DataDigest, RunFolder};
use crate::{Pretraining, TrainError};

impl Pretraining {
    /// [`Pretraining::prepare`] for a run that exists.
    ///
    /// # Errors
    /// As there; [`TrainError::DataMissing`] where its images are not at their place.
    pub fn prepare_for(run: &RunFolder, config: TrainConfig) -> Result<Self, TrainError> {
        Self::prepare(config).map_err(|error| match error {
            TrainError::Data(DataError::MissingPath { path }) => TrainError::DataMissing {
                run: run.path().into(),
                path,
            },
            other => other,
        })
    }

    /// What the images are known by.
    pub(crate) fn data_digest(&self) -> DataDigest {
        DataDigest::of(self.train_set(), self.test_set())
    }

    /// Checks that a run is of this configuration and of these images.
    pub(crate) fn check_own(&self, run: &RunFolder) -> Result<(), TrainError> {
        let there = run.read_config()?;
        let keys = other_keys(&there, self.parts().0);
        if !keys.is_empty() {
            return Err(TrainError::ConfigDiffers {
                path: run.path().into(),
                keys,
            });
        }
        self.check_images(run, &there)
    }

    /// Checks that the images are those that a run was made with.
    fn check_images(&self, run: &RunFolder, there: &TrainConfig) -> Result<(), TrainError> {
        let provenance = run.read_object(&run.provenance())?;
        let known = provenance
            .and_then(|mut provenance| provenance.remove("data"))
            .and_then(|data| serde_json::from_value::<DataDigest>(data).ok());
        let differs = |reason| {
            Err(TrainError::DataDiffers {
                path: self.parts().0.data.path.clone().into(),
                reason,
            })
        };
        let here = self.data_digest();
        match known {
            // A run of an older version, or one that a kill left before it had begun.
            None if there.data.path == self.parts().0.data.path => Ok(()),
            None => differs(format!(
                "{} does not say what the images at {} were, so that they cannot be told to be the same",
                run.provenance().display(),
                there.data.path
            )),
            Some(known) if known.train != here.train => differs(format!(
                "these are not the training images that the run was made with ({} there, {} here)",
                known.images, here.images
            )),
            Some(known)
                if self.test_set().is_some() && known.test.is_some() && known.test != here.test =>
            {
                differs("these are not the test images that the run was made with".into())
            }
            Some(_) => Ok(()),
        }
    }

    /// Refuses a run whose journal is longer than any that has no checkpoint yet.
    pub(crate) fn check_unsaved(run: &RunFolder) -> Result<(), TrainError> {
        let every = run.read_config()?.checkpoint.every_steps;
        let text = match fs_err::read(run.steps()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(|source| TrainError::Read {
                path: run.steps(),
                source,
            })?,
        };
        let steps = text.split(|byte| *byte == b'\n').count() as u64 - 1;
        if steps <= every {
            return Ok(());
        }
        Err(TrainError::Checkpoint {
            path: run.checkpoint(),
            reason: format!(
                "it is missing, though {steps} steps were taken and every {every} steps make one"
            ),
        })
    }

    /// Keeps the place that the images moved to.
    pub(crate) fn note_moved(&self, run: &RunFolder) -> Result<(), TrainError> {
        let here = &self.parts().0.data.path;
        if run.read_config()?.data.path == *here {
            return Ok(());
        }
        // The rest of the table stays as it is: the checkpoint knows it.
        let mut table = run.config_table()?;
        let data = table
            .entry("data")
            .or_insert_with(|| toml::Table::new().into());
        if let Some(data) = data.as_table_mut() {
            data.insert("path".into(), here.clone().into());
        }
        run.write(&run.config(), table.to_string().as_bytes())
    }
}

/// Keys in which two configurations differ, without those that change no number and without the place of the images.
pub fn other_keys(there: &TrainConfig, here: &TrainConfig) -> Vec<String> {
    let keys = differences(&there.to_table(), &here.to_table());
    keys.into_iter()
        .filter(|key| {
            !["threads ", "checkpoint.", "data.path "]
                .iter()
                .any(|free| key.starts_with(free))
        })
        .collect()
}

/// The result of a run that has ended; none where it has not.
///
/// # Errors
/// A result that cannot be read or is not what was written.
pub fn finished_result(run: &RunFolder) -> Result<Option<Value>, TrainError> {
    Ok(run.read_object(&run.result())?.map(Value::Object))
}

/// Reads the images of a run again, at `data` where they moved, and checks that they are the same.
pub(crate) fn prepare_again(
    run: &RunFolder,
    mut config: TrainConfig,
    data: Option<&str>,
) -> Result<Pretraining, TrainError> {
    let there = config.clone();
    if let Some(data) = data {
        data.clone_into(&mut config.data.path);
    }
    let pretraining = Pretraining::prepare_for(run, config)?;
    pretraining.check_images(run, &there)?;
    Ok(pretraining)
}

/// The checkpoint of a run, whole and of the configuration beside it.
pub(crate) fn own_checkpoint(
    run: &RunFolder,
    say: &mut dyn FnMut(&str),
) -> Result<Checkpoint, TrainError> {
    let path = run.checkpoint();
    let checkpoint = Checkpoint::load(&path)?;
    match &checkpoint.belonging {
        Some(belonging) => check_identity(run, &belonging.identity, &path)?,
        None => say(&unchecked(&path)),
    }
    Ok(checkpoint)
}

pub(crate) fn unchecked(path: &Path) -> String {
    format!(
        "{} is of an older version and holds no digest: it was not checked for damage",
        path.display()
    )
}

pub(crate) fn check_identity(
    run: &RunFolder,
    identity: &str,
    path: &Path,
) -> Result<(), TrainError> {
    if run.identity()? == identity {
        return Ok(());
    }
    Err(TrainError::Checkpoint {
        path: path.into(),
        reason: format!(
            "it was made with another configuration than {} holds",
            run.config().display()
        ),
    })
}
