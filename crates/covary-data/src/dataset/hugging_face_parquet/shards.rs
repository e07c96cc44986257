//! Which parquet files below a path belong to which split, and whether all of them are there.
//!
//! A file's split is a word in its name, or else the name of its folder. Files of a set that count themselves
//! (`train-00000-of-00002`, or `0000`, `0001`) must be complete. Where nothing names a split, all files are for training.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::dataset::image_folder::contains_image;
use crate::dataset::role::Role;

/// Folders in folders that are looked into: `CONFIGURATION/SPLIT/FILE`.
const DEPTH: usize = 3;
/// Describes the images of a folder and holds none.
const METADATA: &str = "metadata.parquet";

/// The files of each split, sorted.
#[derive(Debug, Default)]
pub(super) struct Shards {
    pub(super) train: Vec<PathBuf>,
    pub(super) test: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

pub(super) fn recognises(path: &Path) -> bool {
    if path.is_file() {
        return is_parquet(path);
    }
    let files = below(path, DEPTH);
    files.iter().any(|file| role(file, path).is_some())
        || !files.is_empty() && !contains_image(path)
}

impl Shards {
    pub(super) fn of(path: &Path) -> Result<Self, DataError> {
        let mut shards = Self::default();
        if path.is_file() {
            shards.train.push(path.to_path_buf());
            return Ok(shards);
        }
        let files = below(path, DEPTH);
        let mut roles: BTreeMap<usize, Vec<PathBuf>> = BTreeMap::new();
        let mut configurations = BTreeSet::new();
        for file in &files {
            if let Some(role) = role(file, path) {
                configurations.insert(configuration(file, path));
                roles.entry(role as usize).or_default().push(file.clone());
            }
        }
        if configurations.len() > 1 {
            let names = configurations.iter().map(|c| c.display().to_string());
            return Err(DataError::SeveralConfigurations {
                path: path.to_path_buf(),
                names: names.collect::<Vec<_>>().join(", "),
            });
        }
        let mut take = |role: Role| roles.remove(&(role as usize)).unwrap_or_default();
        let validation = take(Role::Validation);
        (shards.train, shards.test) = (take(Role::Train), take(Role::Test));
        if configurations.is_empty() {
            shards.train = files;
        }
        if shards.test.is_empty() && !validation.is_empty() {
            shards.notes.push(format!(
                "there is no test file: {} is taken as the test set",
                validation[0].display()
            ));
            shards.test = validation;
        } else if !validation.is_empty() {
            shards.notes.push(format!(
                "{} is not used, as there is a test file",
                validation[0].display()
            ));
        }
        require_complete(&shards.train)?;
        require_complete(&shards.test)?;
        Ok(shards)
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
        && path.file_name().is_none_or(|name| name != METADATA)
}

/// Parquet files in the folder and below it, sorted; hidden folders are left out.
fn below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type();
        let may_be_folder = kind.is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
        if may_be_folder && depth > 0 && path.is_dir() {
            found.extend(below(&path, depth - 1));
        } else if is_parquet(&path) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(part: Option<&std::ffi::OsStr>) -> String {
    part.unwrap_or_default().to_string_lossy().into_owned()
}

/// The split that a file's name stands for, or else its folder's below `root`.
fn role(file: &Path, root: &Path) -> Option<Role> {
    let folder = file.parent().filter(|folder| *folder != root);
    Role::of_file(&text(file.file_stem()))
        .or_else(|| Role::of_folder(&text(folder.and_then(Path::file_name))))
}

/// The folder that holds all splits of a file's data, from `root`.
fn configuration(file: &Path, root: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(root);
    let is_split = folder != root && Role::of_folder(&text(folder.file_name())).is_some();
    let folder = if is_split {
        folder.parent().unwrap_or(root)
    } else {
        folder
    };
    let inner = folder.strip_prefix(root).unwrap_or(folder);
    if inner.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        inner.to_path_buf()
    }
}

/// A set of shards: folder, what stands before the number, digits of the number, what stands behind it.
type Set = (PathBuf, String, usize, String);

/// Set, number and, where the name says it, size of the set that a file belongs to.
fn number(file: &Path) -> Option<(Set, usize, Option<usize>)> {
    let stem = text(file.file_stem());
    let folder = file.parent()?.to_path_buf();
    if !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()) {
        let set = (folder, String::new(), stem.len(), String::new());
        return Some((set, stem.parse().ok()?, None));
    }
    let (before, total) = stem.rsplit_once("-of-")?;
    let total_number = total.split('-').next()?.parse().ok()?;
    let (prefix, number) = before.rsplit_once('-')?;
    let set = (
        folder,
        format!("{prefix}-"),
        number.len(),
        format!("-of-{total}"),
    );
    Some((set, number.parse().ok()?, Some(total_number)))
}

/// An error that names a shard which is missing.
fn require_complete(files: &[PathBuf]) -> Result<(), DataError> {
    let mut sets: BTreeMap<Set, (BTreeSet<usize>, Option<usize>)> = BTreeMap::new();
    for file in files {
        if let Some((set, number, total)) = number(file) {
            let entry = sets.entry(set).or_default();
            entry.0.insert(number);
            entry.1 = total;
        }
    }
    let mut prefixes = BTreeMap::new();
    for ((folder, prefix, digits, behind), (numbers, total)) in sets {
        let total = total.unwrap_or_else(|| numbers.last().map_or(0, |last| last + 1));
        let name =
            |number: usize| folder.join(format!("{prefix}{number:0digits$}{behind}.parquet"));
        // as many as there are, and one more, are enough to find the first gap
        if let Some(missing) = (0..total.min(numbers.len() + 1)).find(|n| !numbers.contains(n)) {
            return Err(DataError::MissingShard {
                path: name(missing),
                found: numbers.len(),
                total,
            });
        }
        if let Some(other) = prefixes.insert((folder.clone(), prefix.clone()), name(0)) {
            return Err(DataError::BrokenFile {
                path: name(0),
                format: "parquet",
                reason: format!("{} belongs to another set of files", other.display()),
            });
        }
    }
    Ok(())
}
