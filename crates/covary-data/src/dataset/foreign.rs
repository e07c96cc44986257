//! Data that people have and that is not read as it is: what it is, and what to do with it.

use std::io::Read;
use std::path::Path;

use super::decode::format;
use crate::DataError;

/// First bytes of a Git LFS pointer.
pub(super) const POINTER: &[u8] = b"version https://git-lfs";

const CIFAR: &str = "get the binary version with `covary data fetch cifar10`, or cifar100";
const UNPACK: &str = "unpack it, and give the folder";
const TO_FOLDERS: &str = "write the images as PNG files, one folder a class";
const TO_PARQUET: &str =
    "load it with `datasets.load_from_disk`, and write each split with `to_parquet`";

/// What it is, and what to do.
type Found = (&'static str, &'static str);

/// What lies at a path that no reader takes, if it is known.
pub(super) fn recognise(path: &Path) -> Option<DataError> {
    let (what, advice) = if path.is_dir() {
        let names = fs_err::read_dir(path).ok()?.flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut found: Vec<Found> = names.filter_map(|name| by_name(&name)).collect();
        found.sort_unstable();
        found
            .first()
            .map(|&(what, advice)| (format!("a folder with {what}"), advice))?
    } else {
        let head = head(path)?;
        let (what, advice) = by_bytes(&head)?;
        (what.to_owned(), advice)
    };
    Some(error(path, what, advice))
}

/// The error for a Git LFS pointer that stands where a file should be.
pub(super) fn pointer(path: &Path) -> Option<DataError> {
    let head = head(path)?;
    let (what, advice) = by_bytes(&head).filter(|_| head.starts_with(POINTER))?;
    Some(error(path, what.to_owned(), advice))
}

/// The error for a tar archive with files of these names and none that is read.
pub(super) fn archive(path: &Path, names: &[String]) -> DataError {
    let is_image = |name: &&String| {
        let name = name.to_lowercase();
        [".png", ".jpg", ".jpeg", ".webp"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let images = names.iter().filter(is_image).count();
    if let Some((what, advice)) = names.iter().find_map(|name| by_name(name)) {
        error(path, format!("an archive with {what}"), advice)
    } else if images > 0 {
        error(path, format!("an archive of {images} images"), UNPACK)
    } else {
        let what = format!("an archive of {} files, none of them CIFAR's", names.len());
        error(path, what, CIFAR)
    }
}

fn error(path: &Path, what: String, advice: &'static str) -> DataError {
    DataError::ForeignFormat {
        path: path.to_path_buf(),
        what,
        advice,
    }
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let file = fs_err::File::open(path).ok()?;
    file.take(512).read_to_end(&mut head).ok()?;
    Some(head)
}

fn by_name(name: &str) -> Option<Found> {
    let name = name.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    match name.as_str() {
        "data_batch_1"
        | "test_batch"
        | "cifar-10-batches-py"
        | "cifar-100-python"
        | "cifar-10-python.tar.gz"
        | "cifar-100-python.tar.gz" => Some(("CIFAR as Python pickles", CIFAR)),
        "dataset_dict.json" => Some(("Arrow files of `save_to_disk`", TO_PARQUET)),
        _ if ends(&[".arrow"]) => Some(("Arrow files of `save_to_disk`", TO_PARQUET)),
        _ if ends(&["-ubyte", "-ubyte.gz"]) => Some(("IDX files, as MNIST has them", TO_FOLDERS)),
        _ if ends(&[".tfrecord", ".tfrecords"]) => Some(("TFRecord files", TO_FOLDERS)),
        _ if ends(&[".h5", ".hdf5", ".npz", ".npy"]) => {
            Some(("arrays, not image files", TO_FOLDERS))
        }
        _ if ends(&[".tar", ".tar.gz", ".tgz", ".zip", ".7z", ".rar"]) => {
            Some(("archives", "unpack them, and give the folder"))
        }
        _ => None,
    }
}

fn by_bytes(head: &[u8]) -> Option<Found> {
    let begins = |bytes: &[u8]| head.starts_with(bytes);
    if begins(POINTER) {
        return Some((
            "a Git LFS pointer, not the file itself",
            "fetch the file with `git lfs pull`",
        ));
    }
    if begins(b"PK\x03\x04") || begins(b"7z\xBC\xAF") || begins(b"Rar!") {
        return Some(("an archive", UNPACK));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    if begins(&[0x1F, 0x8B]) {
        return Some(("compressed with gzip", "unpack it"));
    }
    if begins(b"ARROW1") {
        return Some(("an Arrow file", TO_PARQUET));
    }
    if begins(b"\x93NUMPY") || begins(b"\x89HDF") {
        return Some(("an array, not an image file", TO_FOLDERS));
    }
    if matches!(head, [0x80, 2..=5, ..]) {
        return Some(("a Python pickle", CIFAR));
    }
    if format::is_image(head) {
        return Some(("a single image", "give the folder that it lies in"));
    }
    None
}
