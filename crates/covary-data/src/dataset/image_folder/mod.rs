//! A folder of images: flat and then unlabeled, or one folder a class, with splits in folders of their own or without.
//!
//! What the folders mean is decided in `layout`. A class is all that lies below its folder, at any depth. Classes are sorted by name,
//! images by path. A file is an image if its bytes begin as one of the formats that are read; everything else is counted in
//! [`PassedOver`](super::PassedOver).

mod layout;
mod walk;

use std::path::Path;

use super::{Dataset, Format, ReadOptions, Split, decode, name};
use crate::DataError;
use layout::Layout;
use walk::Class;

pub(super) use walk::contains_image;

pub(super) static FORMAT: Format = Format {
    name: "image folder",
    about: "a folder of PNG, JPEG, WebP, BMP, GIF or TIFF files, flat (unlabeled) or one folder a class; train/ and test/ for splits",
    recognises: contains_image,
    read,
};

fn read(path: &Path, split: Split, options: &ReadOptions) -> Result<Dataset, DataError> {
    let layout = Layout::of(path)?;
    let folder = match split {
        Split::Train => layout.train.as_ref(),
        Split::Test => layout.test.as_ref(),
    };
    let folder = folder.ok_or_else(|| DataError::MissingSplit {
        path: path.to_path_buf(),
        split: split.as_str(),
    })?;
    let mut dataset = Dataset::named(name::of(path)?);
    if split == Split::Train {
        dataset.passed_over = layout.passed_over;
        dataset.notes = layout.notes;
    }
    let list = walk::list(folder, &mut dataset.passed_over)?;
    let bytes = |row: usize| Ok(fs_err::read(&list.files[row])?);
    let locate = |row: usize| list.files[row].display().to_string();
    let rows = list.files.len();
    let kept = decode::append(&mut dataset, (rows, rows), bytes, locate, options)?;
    decode::require_images(&dataset, folder)?;
    if !list.classes.is_empty() {
        let labels = kept.into_iter().map(|row| list.labels[row]).collect();
        dataset.origins = list.classes.iter().map(Class::folder).collect();
        let names = list.classes.into_iter().map(|class| class.name).collect();
        dataset.set_labels(Some(labels), names);
    }
    Ok(dataset)
}
