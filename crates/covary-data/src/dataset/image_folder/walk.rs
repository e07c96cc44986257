//! The files of a split and their classes, with everything that is passed over counted.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::dataset::decode::format;
use crate::dataset::{PassedOver, PassedOverKind};

/// Names that say that a file is an image; what its bytes are is seen when it is decoded. Other files are looked into.
const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];
/// Files and folders of operating systems and archive programs.
const SYSTEM: [&str; 9] = [
    ".ds_store",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "__macosx",
    "lost+found",
    "$recycle.bin",
    "system volume information",
];
/// Folders in folders, at most.
const DEPTH: usize = 32;

/// The files of a split, in order.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) files: Vec<PathBuf>,
    /// Of each file the index of its class; empty where there are no classes.
    pub(super) labels: Vec<u32>,
    pub(super) classes: Vec<Class>,
}

/// A folder of images.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: String,
    path: PathBuf,
}

impl Class {
    pub(super) fn folder(&self) -> String {
        self.path.display().to_string()
    }
}

/// What an entry of a folder is.
enum Entry {
    Folder,
    Image,
    Passed(PassedOverKind),
}

/// Lists a split: one class a folder, or flat.
pub(super) fn list(folder: &Path, passed_over: &mut PassedOver) -> Result<List, DataError> {
    let (mut list, mut loose) = (List::default(), Vec::new());
    let mut stack: Vec<PathBuf> = folder.canonicalize().into_iter().collect();
    for path in entries(folder, passed_over)? {
        match look(&path, &stack) {
            Entry::Image => loose.push(path),
            Entry::Passed(kind) => passed_over.add(kind, || inside(folder, &path)),
            Entry::Folder => {
                let (mut files, refused) = (Vec::new(), PassedOverKind::NoPermission);
                let before = passed_over.count(refused);
                collect(folder, &path, &mut stack, &mut files, passed_over)?;
                if files.is_empty() {
                    if passed_over.count(refused) == before {
                        passed_over.add(PassedOverKind::EmptyFolder, || inside(folder, &path));
                    }
                    continue;
                }
                let label = list.classes.len() as u32;
                list.labels.extend(files.iter().map(|_| label));
                list.files.append(&mut files);
                let name = display_name(&path);
                list.classes.push(Class { name, path });
            }
        }
    }
    if list.classes.is_empty() {
        list.files = loose;
    } else {
        for path in loose {
            passed_over.add(PassedOverKind::Loose, || inside(folder, &path));
        }
    }
    Ok(list)
}

/// All images below `folder`, at any depth.
fn collect(
    root: &Path,
    folder: &Path,
    stack: &mut Vec<PathBuf>,
    files: &mut Vec<PathBuf>,
    passed_over: &mut PassedOver,
) -> Result<(), DataError> {
    stack.extend(folder.canonicalize());
    for path in entries(folder, passed_over)? {
        match look(&path, stack) {
            Entry::Image => files.push(path),
            Entry::Passed(kind) => passed_over.add(kind, || inside(root, &path)),
            Entry::Folder => collect(root, &path, stack, files, passed_over)?,
        }
    }
    stack.pop();
    Ok(())
}

/// Paths in a folder, sorted; none, counted, where it may not be read.
fn entries(folder: &Path, passed_over: &mut PassedOver) -> Result<Vec<PathBuf>, DataError> {
    let listing = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            passed_over.add(PassedOverKind::NoPermission, || display_name(folder));
            return Ok(Vec::new());
        }
        listing => listing?,
    };
    let mut paths = Vec::new();
    for entry in listing {
        paths.push(entry?.path());
    }
    // the description of the data, read by `name`
    paths.retain(|path| path.file_name().is_none_or(|name| name != "dataset.toml"));
    paths.sort();
    Ok(paths)
}

/// `stack` holds the folders that are being listed: a link to one of them, or to one around them, does not end.
fn look(path: &Path, stack: &[PathBuf]) -> Entry {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if SYSTEM.contains(&name.to_ascii_lowercase().as_str()) || name.starts_with("._") {
        return Entry::Passed(PassedOverKind::System);
    }
    if name.starts_with('.') {
        return Entry::Passed(PassedOverKind::Hidden);
    }
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Entry::Passed(PassedOverKind::NoPermission);
        }
        Err(_) => return Entry::Passed(PassedOverKind::BrokenLink),
    };
    if metadata.is_dir() {
        let is_loop = path.is_symlink()
            && path
                .canonicalize()
                .is_ok_and(|target| stack.iter().any(|folder| folder.starts_with(&target)));
        return if is_loop || stack.len() > DEPTH {
            Entry::Passed(PassedOverKind::BrokenLink)
        } else {
            Entry::Folder
        };
    }
    if !metadata.is_file() {
        return Entry::Passed(PassedOverKind::NotAnImage);
    }
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    let extension = extension.as_deref().and_then(OsStr::to_str);
    if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
        return Entry::Image;
    }
    look_into(path)
}

fn look_into(path: &Path) -> Entry {
    let mut head = Vec::new();
    let read = fs_err::File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    Entry::Passed(match read {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => PassedOverKind::NoPermission,
        Ok(_) if format::is_image(&head) => return Entry::Image,
        Ok(_) if format::unread_image(&head).is_some() => PassedOverKind::UnreadFormat,
        _ => PassedOverKind::NotAnImage,
    })
}

/// Folders in a folder that may hold images, sorted.
pub(super) fn folders(folder: &Path) -> Vec<PathBuf> {
    let stack: Vec<PathBuf> = folder.canonicalize().into_iter().collect();
    let mut paths = entries(folder, &mut PassedOver::default()).unwrap_or_default();
    paths.retain(|path| path.is_dir() && matches!(look(path, &stack), Entry::Folder));
    paths
}

/// Whether an image lies directly in the folder.
pub(super) fn has_images(folder: &Path) -> bool {
    let paths = entries(folder, &mut PassedOver::default()).unwrap_or_default();
    paths
        .iter()
        .any(|path| path.is_file() && matches!(look(path, &[]), Entry::Image))
}

/// Whether an image lies in the folder or below it.
pub(in crate::dataset) fn contains_image(folder: &Path) -> bool {
    fn below(folder: &Path, stack: &mut Vec<PathBuf>) -> bool {
        stack.extend(folder.canonicalize());
        let paths = entries(folder, &mut PassedOver::default()).unwrap_or_default();
        let is_there = paths.iter().any(|path| match look(path, stack) {
            Entry::Image => true,
            Entry::Passed(_) => false,
            Entry::Folder => below(path, stack),
        });
        stack.pop();
        is_there
    }
    folder.is_dir() && below(folder, &mut Vec::new())
}

/// Counts the files beside the folders of splits.
pub(super) fn count_beside_splits(root: &Path, passed_over: &mut PassedOver) {
    for path in entries(root, passed_over).unwrap_or_default() {
        match look(&path, &[]) {
            Entry::Image => passed_over.add(PassedOverKind::Loose, || inside(root, &path)),
            Entry::Passed(kind) => passed_over.add(kind, || inside(root, &path)),
            Entry::Folder => {}
        }
    }
}

fn inside(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner.display().to_string()
}

/// The last part of a path; bytes that are no UTF-8 are written as `\xE9`, so that different names stay different.
pub(super) fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02X}").expect("a string takes all");
        }
    }
    text
}
