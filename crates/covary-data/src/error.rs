//! What can go wrong between a path and a batch, each case naming the file, key or value, with a hint at what to do.

use std::path::PathBuf;

/// Errors of reading, downloading and augmenting images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing lies at the path.
    #[error("no data at {}", path.display())]
    MissingPath {
        /// The path as given.
        path: PathBuf,
    },
    /// A folder or file without a single image.
    #[error("no images in {}", path.display())]
    EmptyFolder {
        /// The folder or file.
        path: PathBuf,
    },
    /// No reader recognises what lies at the path.
    #[error("{} is in none of the known formats ({known})", path.display())]
    UnknownFormat {
        /// The path as given.
        path: PathBuf,
        /// Names of the formats, separated by commas.
        known: String,
    },
    /// The data lack a part.
    #[error("{} has no {split} split", path.display())]
    MissingSplit {
        /// The path as given.
        path: PathBuf,
        /// `train` or `test`.
        split: &'static str,
    },
    /// A file whose structure is broken: truncated, or not what its name says.
    #[error("{} cannot be read as {format}: {reason}", path.display())]
    BrokenFile {
        /// The file.
        path: PathBuf,
        /// What it was taken for.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// An image that does not decode.
    #[error("corrupt image in {location}: {reason}")]
    CorruptImage {
        /// File, and row where a file holds many images.
        location: String,
        /// What the decoder said.
        reason: String,
    },
    /// Every image of a data set was corrupt and skipped.
    #[error("all {skipped} images of {} are corrupt", path.display())]
    NothingLeft {
        /// The data set.
        path: PathBuf,
        /// How many images were skipped.
        skipped: usize,
    },
    /// A label that names no class.
    #[error("label {label} in {location} is outside 0..{classes}")]
    LabelOutOfRange {
        /// File and row.
        location: String,
        /// The label found.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
    /// Some rows or files have labels and others none.
    #[error("{location} has no label, others have one")]
    MissingLabel {
        /// File, and row where other rows of the file have labels.
        location: String,
    },
    /// A downloaded file is not the published one.
    #[error("{} has checksum {found}, expected {expected}", path.display())]
    WrongChecksum {
        /// Where the download lies.
        path: PathBuf,
        /// MD5 in hexadecimal as published.
        expected: String,
        /// MD5 in hexadecimal of the bytes received.
        found: String,
    },
    /// The name stands for no data set that can be downloaded.
    #[error("no download is known for '{name}' ({known})")]
    UnknownDownload {
        /// The name asked for.
        name: String,
        /// Names that are known, separated by commas.
        known: String,
    },
    /// A download that broke off more often than it is resumed.
    #[error("download of {url} failed after {received} bytes: {reason}")]
    Download {
        /// The address.
        url: String,
        /// Bytes on disk, kept for the next try.
        received: u64,
        /// What the connection said.
        reason: String,
    },
    /// A configuration value outside its range.
    #[error("{key} = {value}: {rule}")]
    InvalidValue {
        /// The key, with dots.
        key: String,
        /// The value as given.
        value: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl DataError {
    /// One sentence about what the user can do, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MissingPath { .. } => Some(
                "check the path, download with `covary data fetch cifar10`, or use `synthetic`",
            ),
            Self::EmptyFolder { .. } => Some(
                "expected train-*.parquet files, CIFAR's .bin files, or PNG and JPEG images, flat or one folder a class",
            ),
            Self::UnknownFormat { .. } => {
                Some("give a parquet file, a .tar.gz of CIFAR's binary version, or a folder")
            }
            Self::MissingSplit { .. } => {
                Some("expected train-*.parquet and test-*.parquet, or train/ and test/ folders")
            }
            Self::BrokenFile { .. } => Some("the file may be truncated: copy or download it again"),
            Self::CorruptImage { .. } => {
                Some("replace the image, or skip corrupt images with data.skip_corrupt = true")
            }
            Self::WrongChecksum { .. } => {
                Some("delete the file if it is still there, and download again")
            }
            Self::Download { .. } => {
                Some("run the same command again, it resumes where it stopped")
            }
            Self::NothingLeft { .. }
            | Self::LabelOutOfRange { .. }
            | Self::MissingLabel { .. }
            | Self::UnknownDownload { .. }
            | Self::InvalidValue { .. }
            | Self::Io(_) => None,
        }
    }
}
