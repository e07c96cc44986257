//! The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009), as a folder or as the `.tar.gz` it is published as.
//!
//! A record is the label (CIFAR-100: coarse label, then fine label, of which the fine one counts) and 3072 bytes: the red, green
//! and blue planes of a 32x32 image, row by row.
//!
//! An archive is read to its end, so that gzip's checksum counts. One that has the published file's name must have its MD5 as well.

use std::{
    collections::HashMap,
    io::{Read, copy, sink},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

use super::{Dataset, Format, Image, ReadOptions, Split, foreign, name};
use crate::{DOWNLOADS, DataError, download::HashingReader};

pub(super) static FORMAT: Format = Format {
    name: "CIFAR binary",
    about: "the official binary version of CIFAR-10 or CIFAR-100, unpacked or as .tar.gz",
    recognises,
    read,
};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// Bytes of an archive's contents, at most: CIFAR has 184 MB.
const MOST: u64 = 1 << 30;
/// Names of other files in an archive that are kept for a message.
const MOST_NAMES: usize = 10_000;

/// How one of the two data sets is laid out.
struct Variant {
    name: &'static str,
    folder: &'static str,
    archive: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    class_names: &'static str,
    classes: usize,
    /// Bytes before the pixels; the last of them is the label.
    label_bytes: usize,
}

static VARIANTS: [Variant; 2] = [
    Variant {
        name: "CIFAR-10",
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        class_names: "batches.meta.txt",
        classes: 10,
        label_bytes: 1,
    },
    Variant {
        name: "CIFAR-100",
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
        train: &["train.bin"],
        test: "test.bin",
        class_names: "fine_label_names.txt",
        classes: 100,
        label_bytes: 2,
    },
];

/// Where the files of a data set are.
enum Place {
    Folder(PathBuf),
    Archive(PathBuf),
}

fn recognises(path: &Path) -> bool {
    is_archive(path) && path.is_file()
        || VARIANTS.iter().any(|variant| variant.place(path).is_some())
}

fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".tar.gz") || name.ends_with(".tgz")
}

impl Variant {
    /// The folder itself, a folder in it, or an archive in it.
    fn place(&self, path: &Path) -> Option<Place> {
        for folder in [path.to_path_buf(), path.join(self.folder)] {
            if folder.join(self.train[0]).is_file() || folder.join(self.test).is_file() {
                return Some(Place::Folder(folder));
            }
        }
        Some(path.join(self.archive))
            .filter(|archive| archive.is_file())
            .map(Place::Archive)
    }

    /// Names of the files of a split.
    fn files(&self, split: Split) -> Vec<&'static str> {
        match split {
            Split::Train => self.train.to_vec(),
            Split::Test => vec![self.test],
        }
    }
}

fn read(path: &Path, split: Split, _: &ReadOptions) -> Result<Dataset, DataError> {
    let found = VARIANTS
        .iter()
        .find_map(|variant| Some((variant, variant.place(path)?)));
    let (variant, mut files) = match found {
        Some((variant, Place::Folder(folder))) => (variant, read_folder(&folder, variant, split)?),
        Some((variant, Place::Archive(archive))) => (variant, read_archive(&archive, split)?.1),
        None => read_archive(path, split)?,
    };
    let name = name::described(path)?.unwrap_or_else(|| variant.name.to_owned());
    let mut dataset = Dataset::named(name);
    let mut labels = Vec::new();
    let mut pixels = vec![0; 3 * PLANE];
    for file in variant.files(split) {
        let bytes = files.remove(file).ok_or_else(|| missing(path, file))?;
        for record in split_records(&path.join(file), &bytes, variant)? {
            let (label, planes) = record.split_at(variant.label_bytes);
            labels.extend(label.last().map(|&label| u32::from(label)));
            interleave(planes, &mut pixels);
            dataset.push(Image {
                height: SIDE,
                width: SIDE,
                pixels: &pixels,
            });
        }
    }
    let class_names = class_names(files.get(variant.class_names), variant.classes);
    dataset.set_labels(Some(labels), class_names);
    Ok(dataset)
}

fn missing(path: &Path, file: &str) -> DataError {
    DataError::BrokenFile {
        path: path.to_path_buf(),
        format: FORMAT.name,
        reason: format!("{file} is missing"),
    }
}

/// Contents by file name.
type Files = HashMap<String, Vec<u8>>;

fn read_folder(folder: &Path, variant: &Variant, split: Split) -> Result<Files, DataError> {
    let mut files = Files::new();
    for name in variant
        .files(split)
        .into_iter()
        .chain([variant.class_names])
    {
        let path = folder.join(name);
        if path.is_file() {
            files.insert(name.to_owned(), fs_err::read(path)?);
        }
    }
    Ok(files)
}

fn read_archive(path: &Path, split: Split) -> Result<(&'static Variant, Files), DataError> {
    let broken = |reason: String| DataError::BrokenFile {
        path: path.to_path_buf(),
        format: "tar.gz",
        reason,
    };
    let wanted: Vec<&str> = VARIANTS
        .iter()
        .flat_map(|variant| {
            variant
                .files(split)
                .into_iter()
                .chain([variant.class_names])
        })
        .collect();
    let mut file = HashingReader::new(fs_err::File::open(path)?);
    let mut unpacked = GzDecoder::new(&mut file).take(MOST);
    let (mut files, mut names) = (Files::new(), Vec::new());
    let mut archive = tar::Archive::new(&mut unpacked);
    for entry in archive
        .entries()
        .map_err(|error| broken(error.to_string()))?
    {
        let mut entry = entry.map_err(|error| broken(error.to_string()))?;
        let name = entry
            .path()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let Some(name) = name else { continue };
        if wanted.contains(&name.as_str()) {
            let mut bytes = Vec::new();
            entry
                .read_to_end(&mut bytes)
                .map_err(|error| broken(format!("{name}: {error}")))?;
            files.insert(name, bytes);
        } else if names.len() < MOST_NAMES {
            names.push(name);
        }
    }
    // behind the last file, up to gzip's checksum
    copy(&mut unpacked, &mut sink()).map_err(|error| broken(error.to_string()))?;
    if unpacked.limit() == 0 {
        return Err(broken(format!("it unpacks to more than {MOST} bytes")));
    }
    let published = path.file_name().and_then(|name| {
        let mut downloads = DOWNLOADS.iter();
        downloads.find(|archive| name == archive.file)
    });
    if let Some(published) = published {
        published.check(path, file.finish()?)?;
    }
    let variant = VARIANTS.iter().find(|variant| {
        variant
            .files(split)
            .iter()
            .any(|file| files.contains_key(*file))
    });
    variant
        .map(|variant| (variant, files))
        .ok_or_else(|| foreign::archive(path, &names))
}

/// Cuts a file into records and checks their labels.
fn split_records<'a>(
    path: &Path,
    bytes: &'a [u8],
    variant: &Variant,
) -> Result<impl Iterator<Item = &'a [u8]>, DataError> {
    let length = variant.label_bytes + 3 * PLANE;
    if bytes.is_empty() || !bytes.len().is_multiple_of(length) {
        let reason = format!(
            "{} bytes are not a whole number of {length}-byte records",
            bytes.len()
        );
        return Err(DataError::BrokenFile {
            path: path.to_path_buf(),
            format: FORMAT.name,
            reason,
        });
    }
    for (row, record) in bytes.chunks_exact(length).enumerate() {
        let label = record[variant.label_bytes - 1];
        if usize::from(label) >= variant.classes {
            let location = format!("{}, record {row}", path.display());
            return Err(DataError::LabelOutOfRange {
                location,
                label: i64::from(label),
                classes: variant.classes,
            });
        }
    }
    Ok(bytes.chunks_exact(length))
}

/// Planes to channels last.
fn interleave(planes: &[u8], pixels: &mut [u8]) {
    for (index, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = planes[channel * PLANE + index];
        }
    }
}

/// One name a line; numbers where the list is absent or has another length.
fn class_names(text: Option<&Vec<u8>>, classes: usize) -> Vec<String> {
    let text = text.map_or_else(String::new, |bytes| {
        String::from_utf8_lossy(bytes).into_owned()
    });
    let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if names.len() == classes {
        names
    } else {
        (0..classes).map(|class| class.to_string()).collect()
    }
}
