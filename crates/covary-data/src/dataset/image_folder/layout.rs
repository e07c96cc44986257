//! What the folders below a path mean: splits or classes.
//!
//! Folders called `train`, `test` or `val` are splits if nothing contradicts it. They are classes where other class folders lie
//! beside them and they hold images directly, as theirs do. `val` is the test set where there is no `test`. A path that holds one folder,
//! which holds several, is taken for that folder.

use std::path::{Path, PathBuf};

use super::walk::{contains_image, display_name, folders};
use crate::DataError;
use crate::dataset::role::Role;
use crate::dataset::{PassedOver, PassedOverKind};

/// Where the splits lie.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) train: Option<PathBuf>,
    pub(super) test: Option<PathBuf>,
    pub(super) notes: Vec<String>,
    pub(super) passed_over: PassedOver,
}

impl Layout {
    pub(super) fn of(path: &Path) -> Result<Self, DataError> {
        let mut layout = Self::default();
        let mut root = path.to_path_buf();
        while let Some(inner) = only_folder(&root) {
            layout
                .notes
                .push(format!("the images are read from {}", inner.display()));
            root = inner;
        }
        layout.assign(&root)?;
        Ok(layout)
    }

    fn assign(&mut self, root: &Path) -> Result<(), DataError> {
        let (mut roles, mut others) = ([None, None, None], Vec::new());
        for folder in folders(root) {
            let role = folder.file_name().and_then(|name| name.to_str());
            match role.and_then(Role::of_folder) {
                Some(role) if roles[role as usize].is_none() => roles[role as usize] = Some(folder),
                _ if contains_image(&folder) => others.push(folder),
                _ => {}
            }
        }
        let [train, test, validation] = roles;
        let is_flat = |folder: &Option<PathBuf>| {
            folder
                .as_ref()
                .is_some_and(|folder| !folders(folder).iter().any(|class| contains_image(class)))
        };
        let are_splits = match (&train, &test) {
            _ if others.is_empty() => train.is_some() || test.is_some(),
            (Some(_), Some(_)) if is_flat(&train) => {
                return Err(DataError::AmbiguousFolders {
                    path: root.to_path_buf(),
                    other: display_name(&others[0]),
                });
            }
            _ => train.is_some() && !is_flat(&train),
        };
        if !are_splits {
            self.train = Some(root.to_path_buf());
            return Ok(());
        }
        for other in &others {
            self.passed_over
                .add(PassedOverKind::OtherFolder, || display_name(other));
        }
        super::walk::count_beside_splits(root, &mut self.passed_over);
        match (&test, &validation) {
            (None, Some(validation)) => self.notes.push(format!(
                "there is no test folder: {} is taken as the test set",
                validation.display()
            )),
            (Some(_), Some(validation)) => self.notes.push(format!(
                "{} is not used, as there is a test folder",
                validation.display()
            )),
            _ => {}
        }
        (self.train, self.test) = (train, test.or(validation));
        Ok(())
    }
}

/// The only folder in `root`, if it holds several folders with images, or splits, and no image lies beside it.
fn only_folder(root: &Path) -> Option<PathBuf> {
    let inside = folders(root);
    let [inner] = inside.as_slice() else {
        return None;
    };
    let name = inner.file_name()?.to_str();
    if name.and_then(Role::of_folder).is_some() || super::walk::has_images(root) {
        return None;
    }
    let classes = folders(inner)
        .iter()
        .filter(|class| contains_image(class))
        .count();
    (classes > 1 && !super::walk::has_images(inner)).then(|| inner.clone())
}
