//! What reports call the data at a path: the `name` in a `dataset.toml` beside them, if there is one.
//!
//! A re-encoded CIFAR-10 is not CIFAR-10, and neither file names nor class names tell them apart; so whoever makes a copy
//! says what it is in one line: `name = "CIFAR-10 (JPEG)"`.

use std::path::Path;

use serde::Deserialize;

use crate::DataError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
}

/// The name that the data give themselves.
///
/// # Errors
/// [`DataError::BrokenFile`] if there is a `dataset.toml` that does not hold a name and nothing else.
pub(super) fn described(path: &Path) -> Result<Option<String>, DataError> {
    let folder = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let Some(file) = folder
        .map(|folder| folder.join("dataset.toml"))
        .filter(|file| file.is_file())
    else {
        return Ok(None);
    };
    match toml::from_str::<Description>(&fs_err::read_to_string(&file)?) {
        Ok(description) => Ok(Some(description.name)),
        Err(error) => Err(DataError::BrokenFile {
            path: file,
            format: "TOML with a name",
            reason: error.message().to_owned(),
        }),
    }
}

/// The name that the data give themselves, or else the folder's or file's own.
///
/// # Errors
/// As [`described`].
pub(super) fn of(path: &Path) -> Result<String, DataError> {
    Ok(described(path)?.unwrap_or_else(|| {
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        absolute.file_name().map_or_else(
            || absolute.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }))
}
