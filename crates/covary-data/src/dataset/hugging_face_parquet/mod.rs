//! Hugging Face image data sets in parquet: a column of images (encoded bytes, or a struct of `bytes` and `path`) and, where the data
//! are labeled, a column of class numbers or names. Names of numbered classes come from the JSON under the metadata key `huggingface`.
//!
//! The path is a folder whose files are told apart by name or by the folder that they lie in (`train-*.parquet`,
//! `default/train/0000.parquet`), or a single file, which is then the training split. Read with the low-level column readers, without
//! Arrow, batch after batch, so that a file's claims about its size cost no memory.

mod columns;
mod rows;
mod shards;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::classes::Classes;
use super::{Dataset, Format, ReadOptions, Split, decode, name};
use crate::DataError;
use rows::File;
use shards::Shards;

pub(super) static FORMAT: Format = Format {
    name: "Hugging Face parquet",
    about: "a .parquet file or a folder of them for train and test, with images as PNG, JPEG, WebP, BMP, GIF or TIFF bytes",
    recognises: shards::recognises,
    read,
};

fn read(path: &Path, split: Split, options: &ReadOptions) -> Result<Dataset, DataError> {
    let shards = Shards::of(path)?;
    let paths = match split {
        Split::Train => &shards.train,
        Split::Test => &shards.test,
    };
    if paths.is_empty() {
        return Err(DataError::MissingSplit {
            path: path.to_path_buf(),
            split: split.as_str(),
        });
    }
    let mut dataset = Dataset::named(name::of(path)?);
    if split == Split::Train {
        dataset.notes = shards.notes;
    }
    let mut classes = Classes::default();
    let files = open_all(paths, options)?;
    let expected = files.iter().map(File::rows).sum();
    for (path, file) in paths.iter().zip(files) {
        if split == Split::Train {
            let note = file.note();
            dataset
                .notes
                .extend(note.filter(|note| !dataset.notes.contains(note)));
        }
        guarded(path, || {
            file.append(&mut dataset, &mut classes, expected, options)
        })?;
    }
    decode::require_images(&dataset, path)?;
    if let Some(labels) = classes.finish()? {
        dataset.origins = labels.origins;
        dataset.set_labels(Some(labels.of_images), labels.names);
    }
    Ok(dataset)
}

fn open_all(paths: &[PathBuf], options: &ReadOptions) -> Result<Vec<File>, DataError> {
    let open = |path: &PathBuf| guarded(path, || File::open(path, options));
    paths.iter().map(open).collect()
}

/// The decoder trusts some fields of a file and panics where they are wrong; such a file is broken, not this program.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(DataError::BrokenFile {
            path: path.to_path_buf(),
            format: "parquet",
            reason: "its structure contradicts itself".to_owned(),
        })
    })
}
