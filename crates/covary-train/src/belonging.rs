//! Whether what lies in a run's folder belongs together: the configuration, the images, the checkpoint and the encoder made of them.
//!
//! A checkpoint and an encoder hold the identity of their configuration ([`crate::config::identity()`]); `run.json` holds what the images
//! were known by, wherever they lay ([`DataDigest`]). A folder whose parts do not belong together is an error, never resumed or scored.

use std::path::Path;

use covary_loss::tables::differences;
use serde_json::Value;

use crate::TrainError;
use crate::config::TrainConfig;
use crate::run::{Checkpoint, DataDigest, RunFolder};

/// Key of a result whose lines to compare with are still to come.
pub(crate) const REFERENCES: &str = "references";

/// Checks that a run is of this configuration and of these images.
pub(crate) fn check_own(
    run: &RunFolder,
    config: &TrainConfig,
    here: &DataDigest,
) -> Result<(), TrainError> {
    let there = run.read_config()?;
    let keys = other_keys(&there, config);
    if !keys.is_empty() {
        return Err(TrainError::ConfigDiffers {
            path: run.path().into(),
            keys,
        });
    }
    check_images(run, &there, config, here)
}

/// Checks that the images are those that a run was made with.
pub(crate) fn check_images(
    run: &RunFolder,
    there: &TrainConfig,
    config: &TrainConfig,
    here: &DataDigest,
) -> Result<(), TrainError> {
    let provenance = run.read_object(&run.provenance())?;
    let known = provenance
        .and_then(|mut provenance| provenance.remove("data"))
        .and_then(|data| serde_json::from_value::<DataDigest>(data).ok());
    let differs = |reason| {
        Err(TrainError::DataDiffers {
            path: config.data.path.clone().into(),
            reason,
        })
    };
    match known {
        // A run of an older version, or one that a kill left before it had begun.
        None if there.data.path == config.data.path => Ok(()),
        None => differs(format!(
            "{} does not say what the images at {} were, so that they cannot be told to be the same",
            run.provenance().display(),
            there.data.path
        )),
        Some(known) if known.train != here.train => differs(format!(
            "these are not the training images that the run was made with ({} there, {} here)",
            known.images, here.images
        )),
        Some(known) if here.test.is_some() && known.test.is_some() && known.test != here.test => {
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
pub(crate) fn note_moved(run: &RunFolder, config: &TrainConfig) -> Result<(), TrainError> {
    let here = &config.data.path;
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

/// The result of a run that has ended; none where it has not, or where the lines to compare with are still to come.
///
/// # Errors
/// A result that cannot be read or is not what was written.
pub fn finished_result(run: &RunFolder) -> Result<Option<Value>, TrainError> {
    let result = run.read_object(&run.result())?;
    let ended = result.filter(|result| !result.contains_key(REFERENCES));
    Ok(ended.map(Value::Object))
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
