//! What can go wrong between a path and a batch, each case naming the file, key or value, with a hint at what to do.

use std::path::PathBuf;

use crate::megabytes::Megabytes;

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
    /// A file of a set that counts itself.
    #[error("{} is missing: {found} of {total} files are there", path.display())]
    MissingShard {
        /// The first file that is missing.
        path: PathBuf,
        /// Files that are there.
        found: usize,
        /// Files of the set.
        total: usize,
    },
    /// A parquet file whose columns cannot be used.
    #[error("{}: {reason}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// Why, with the columns that are there.
        reason: String,
    },
    /// A row that names an image file and does not hold it.
    #[error("{location} holds no image, only the name {path:?}, and no such file is there")]
    PathOnly {
        /// File and row.
        location: String,
        /// The name in the row.
        path: String,
    },
    /// Folders that may be splits or classes.
    #[error("{} holds folders train and test beside {other}: they may be splits or classes", path.display())]
    AmbiguousFolders {
        /// The folder.
        path: PathBuf,
        /// A folder beside them.
        other: String,
    },
    /// Several data sets below one folder.
    #[error("{} holds several data sets: {names}", path.display())]
    SeveralConfigurations {
        /// The folder.
        path: PathBuf,
        /// Their folders, separated by commas.
        names: String,
    },
    /// Something that is known and not read.
    #[error("{} is {what}", path.display())]
    ForeignFormat {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// More pixels than memory.
    #[error("the images of {name} take {needed} of memory, and {available} are free")]
    TooLarge {
        /// The data set.
        name: String,
        /// Memory for all images.
        needed: Megabytes,
        /// Memory that is free.
        available: Megabytes,
    },
    /// A class of the test set that the training set does not have.
    #[error("the test set has a class {class:?} ({location}) that no training image has")]
    UnknownTestClass {
        /// The class.
        class: String,
        /// Where it was found.
        location: String,
    },
    /// A file whose numbered classes have names, and one whose have none, in one split.
    #[error("{location}: some files of the split name their classes and others do not")]
    MixedNames {
        /// File and row.
        location: String,
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
    /// A download that did not bring the whole file.
    #[error("download of {url} failed after {received} bytes: {reason}")]
    Download {
        /// The address.
        url: String,
        /// Bytes received.
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
                "check the path, set COVARY_DATA to the folder that holds the data, download with `covary data fetch cifar10`, or use `synthetic`",
            ),
            Self::EmptyFolder { .. } => Some(
                "expected parquet files, CIFAR's .bin files, or images (PNG, JPEG, WebP, BMP, GIF, TIFF), flat or one folder a class",
            ),
            Self::UnknownFormat { .. } => {
                Some("give a parquet file, a .tar.gz of CIFAR's binary version, or a folder")
            }
            Self::MissingSplit { .. } => {
                Some("expected train-*.parquet and test-*.parquet, or train/ and test/ folders")
            }
            Self::MissingShard { .. } => Some("download the file, all of the set are needed"),
            Self::Columns { .. } => Some("see data.image_column and data.label_column"),
            Self::PathOnly { .. } => {
                Some("embed the images when writing the parquet file, or put the files beside it")
            }
            Self::AmbiguousFolders { .. } => Some(
                "move the other folders away, or move train and test below a folder of their own",
            ),
            Self::SeveralConfigurations { .. } => Some("give the folder of one of them"),
            Self::ForeignFormat { advice, .. } => Some(advice),
            Self::TooLarge { .. } => Some("lower data.store_size, or use fewer images"),
            Self::UnknownTestClass { .. } => {
                Some("give the class training images, or take it out of the test set")
            }
            Self::MixedNames { .. } => Some("write all files from one data set"),
            Self::BrokenFile { .. } => Some("the file may be truncated: copy or download it again"),
            Self::CorruptImage { .. } => {
                Some("replace the image, or skip corrupt images with data.skip_corrupt = true")
            }
            Self::WrongChecksum { .. } => {
                Some("delete the file if it is still there, and download again")
            }
            Self::Download { .. } => {
                Some("run the same command again, or download the file with another program")
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
