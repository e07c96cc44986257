//! A folder of PNG and JPEG files: flat and then unlabeled, or one folder a class.
//!
//! If the folder has `train/` or `test/` in it, these are the splits, each laid out in one of the two ways; otherwise all of it is the
//! training split. Classes are the names of the folders in both splits, sorted; images are sorted by path. Hidden files and
//! files of other types are passed over.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{Dataset, Format, ReadOptions, Split, decode, name};
use crate::DataError;

pub(super) static FORMAT: Format = Format {
    name: "image folder",
    about: "a folder of PNG and JPEG files, flat (unlabeled) or one folder a class; train/ and test/ for splits",
    recognises,
    read,
};

const SPLITS: [&str; 2] = ["train", "test"];
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

fn recognises(path: &Path) -> bool {
    let roots = [
        path.to_path_buf(),
        path.join(SPLITS[0]),
        path.join(SPLITS[1]),
    ];
    roots.iter().any(|root| {
        !images(root).is_empty()
            || classes(root)
                .iter()
                .any(|class| !images(&root.join(class)).is_empty())
    })
}

fn read(path: &Path, split: Split, options: ReadOptions) -> Result<Dataset, DataError> {
    let List {
        files,
        labels,
        classes,
    } = list(path, split)?;
    let mut dataset = Dataset::named(name::of(path)?);
    let bytes = |row: usize| Ok(fs_err::read(&files[row])?);
    let locate = |row: usize| files[row].display().to_string();
    let kept = decode::append(&mut dataset, files.len(), bytes, locate, options)?;
    decode::require_images(&dataset, path)?;
    let labels = labels.map(|labels| kept.into_iter().map(|row| labels[row]).collect());
    dataset.set_labels(labels, classes);
    Ok(dataset)
}

/// The files of a split with their labels.
struct List {
    files: Vec<PathBuf>,
    labels: Option<Vec<u32>>,
    classes: Vec<String>,
}

fn list(path: &Path, split: Split) -> Result<List, DataError> {
    let splits: Vec<PathBuf> = SPLITS
        .iter()
        .map(|name| path.join(name))
        .filter(|root| root.is_dir())
        .collect();
    let (root, roots) = match (splits.is_empty(), split) {
        (true, Split::Train) => (path.to_path_buf(), vec![path.to_path_buf()]),
        _ => (path.join(split.as_str()), splits),
    };
    if !root.is_dir() {
        return Err(DataError::MissingSplit {
            path: path.to_path_buf(),
            split: split.as_str(),
        });
    }
    let classes: BTreeSet<String> = roots
        .iter()
        .flat_map(|root| {
            classes(root)
                .into_iter()
                .filter(|class| !images(&root.join(class)).is_empty())
        })
        .collect();
    let flat = images(&root);
    if let (Some(image), Some(class)) = (flat.first(), classes.first()) {
        let reason = format!("{} lies beside the class folder {class}", image.display());
        return Err(DataError::BrokenFile {
            path: root,
            format: FORMAT.name,
            reason,
        });
    }
    if classes.is_empty() {
        return Ok(List {
            files: flat,
            labels: None,
            classes: Vec::new(),
        });
    }
    let (files, labels) = (0..)
        .zip(&classes)
        .flat_map(|(label, class)| {
            images(&root.join(class))
                .into_iter()
                .map(move |file| (file, label))
        })
        .unzip();
    Ok(List {
        files,
        labels: Some(labels),
        classes: classes.into_iter().collect(),
    })
}

/// Image files in a folder, sorted.
fn images(folder: &Path) -> Vec<PathBuf> {
    let is_image = |path: &PathBuf| {
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase());
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
            && path.is_file()
    };
    visible(folder).filter(is_image).collect()
}

/// Names of the folders in a folder, sorted.
fn classes(folder: &Path) -> Vec<String> {
    visible(folder)
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

fn visible(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.retain(|path| {
        path.file_name()
            .is_some_and(|name| !name.to_string_lossy().starts_with('.'))
    });
    paths.sort();
    paths.into_iter()
}
