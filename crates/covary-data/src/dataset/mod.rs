//! Images in memory: 8-bit RGB, channels last, one buffer for the whole set.
//!
//! Every reader of [`FORMATS`] ends in a [`Dataset`]. A new format is one file beside this one that defines a [`Format`] and one
//! line in [`FORMATS`].

mod cifar_binary;
mod classes;
mod decode;
mod foreign;
mod hugging_face_parquet;
mod image_folder;
mod name;
mod passed_over;
mod role;
mod splits;
mod synthetic;

pub use passed_over::{PassedOver, PassedOverKind};
pub use splits::Splits;

use std::path::Path;

use crate::DataError;

/// Readers in the order in which they look at a path; the first that recognises it reads it.
pub static FORMATS: &[&Format] = &[
    &hugging_face_parquet::FORMAT,
    &cifar_binary::FORMAT,
    &image_folder::FORMAT,
    &synthetic::FORMAT,
];

/// A way in which images lie on disk.
#[derive(Debug)]
pub struct Format {
    /// Name for lists and messages.
    pub name: &'static str,
    /// One line on what the reader accepts.
    pub about: &'static str,
    /// Whether the path looks like this format; reads names and first bytes at most.
    pub recognises: fn(&Path) -> bool,
    /// Reads a whole split.
    pub read: fn(&Path, Split, &ReadOptions) -> Result<Dataset, DataError>,
}

/// The part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training and tuning.
    Train,
    /// For the final number only.
    Test,
}

impl Split {
    /// As in file and folder names: `train` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// How data are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Leave out images that do not decode, and list them in [`Dataset::skipped`], instead of failing. Default false.
    pub skip_corrupt: bool,
    /// Parquet column of the images, empty to find it. Default empty.
    pub image_column: String,
    /// Parquet column of the labels, empty to find it. Default empty.
    pub label_column: String,
    /// Images with more pixels are errors. Default 178,956,970, where Pillow warns of decompression bombs.
    pub max_pixels: u64,
    /// Images whose shorter side is longer are shrunk to it when they are read, 0 for never. Default 0.
    pub store_size: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            skip_corrupt: false,
            image_column: String::new(),
            label_column: String::new(),
            max_pixels: 178_956_970,
            store_size: 0,
        }
    }
}

/// Height and width in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// One image: `[height, width, 3]`, 8-bit RGB.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height * width * 3` values.
    pub pixels: &'a [u8],
}

/// An image that was left out because it does not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedImage {
    /// File, and row where a file holds many images.
    pub location: String,
    /// What the decoder said.
    pub reason: String,
}

/// A split of a data set, decoded.
#[derive(Debug, Clone)]
pub struct Dataset {
    name: String,
    pixels: Vec<u8>,
    sizes: Vec<ImageSize>,
    offsets: Vec<usize>,
    labels: Option<Vec<u32>>,
    class_names: Vec<String>,
    /// Where each class was found, for messages; may be empty.
    origins: Vec<String>,
    skipped: Vec<SkippedImage>,
    passed_over: PassedOver,
    notes: Vec<String>,
}

/// Opens one split of the data at `path`, whichever format it is in.
///
/// # Errors
/// [`DataError::MissingPath`], [`DataError::EmptyFolder`], [`DataError::ForeignFormat`] and [`DataError::UnknownFormat`] before anything
/// is read; [`DataError::MissingSplit`]; whatever the reader finds broken.
pub fn open(path: &Path, split: Split, options: &ReadOptions) -> Result<Dataset, DataError> {
    if let Some(format) = FORMATS.iter().find(|format| (format.recognises)(path)) {
        return (format.read)(path, split, options);
    }
    if let Some(error) = foreign::recognise(path) {
        return Err(error);
    }
    let path = path.to_path_buf();
    if !path.exists() {
        return Err(DataError::MissingPath { path });
    }
    if path.is_dir() {
        return Err(DataError::EmptyFolder { path });
    }
    let known = FORMATS
        .iter()
        .map(|format| format.name)
        .collect::<Vec<_>>()
        .join(", ");
    Err(DataError::UnknownFormat { path, known })
}

impl Dataset {
    /// A data set from images that are already decoded; `class_names` is empty where classes are unknown.
    ///
    /// # Panics
    /// If an image is empty, a buffer does not hold `height * width * 3` values, or `labels` has another length than `images`.
    pub fn from_images<'a>(
        name: &str,
        images: impl IntoIterator<Item = Image<'a>>,
        labels: Option<Vec<u32>>,
        class_names: Vec<String>,
    ) -> Self {
        let mut dataset = Self::named(name.to_owned());
        images.into_iter().for_each(|image| dataset.push(image));
        dataset.set_labels(labels, class_names);
        dataset
    }

    /// Without images.
    fn named(name: String) -> Self {
        Self {
            name,
            pixels: Vec::new(),
            sizes: Vec::new(),
            offsets: Vec::new(),
            labels: None,
            class_names: Vec::new(),
            origins: Vec::new(),
            skipped: Vec::new(),
            passed_over: PassedOver::default(),
            notes: Vec::new(),
        }
    }

    fn push(&mut self, image: Image<'_>) {
        let Image {
            height,
            width,
            pixels,
        } = image;
        assert!(height * width > 0, "an image has pixels");
        assert_eq!(
            pixels.len(),
            height * width * 3,
            "pixels do not fill the image"
        );
        self.offsets.push(self.pixels.len());
        self.sizes.push(ImageSize { height, width });
        self.pixels.extend_from_slice(pixels);
    }

    /// Labels of all images, in their order.
    fn set_labels(&mut self, labels: Option<Vec<u32>>, class_names: Vec<String>) {
        assert!(
            labels
                .as_ref()
                .is_none_or(|labels| labels.len() == self.len()),
            "one label an image"
        );
        self.labels = labels;
        self.class_names = class_names;
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Size of image `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn size(&self, index: usize) -> ImageSize {
        self.sizes[index]
    }

    /// Image `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn image(&self, index: usize) -> Image<'_> {
        let ImageSize { height, width } = self.sizes[index];
        let start = self.offsets[index];
        Image {
            height,
            width,
            pixels: &self.pixels[start..start + height * width * 3],
        }
    }

    /// The size that all images share, if they do. Their pixels are then one array `[n, height, width, 3]`, see [`Dataset::pixels`].
    pub fn common_size(&self) -> Option<ImageSize> {
        let first = *self.sizes.first()?;
        self.sizes
            .iter()
            .all(|&size| size == first)
            .then_some(first)
    }

    /// Pixels of all images, one after the other.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Class of image `index`, below the number of [`Dataset::class_names`]; `None` if the data are unlabeled.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn label(&self, index: usize) -> Option<u32> {
        self.labels.as_ref().map(|labels| labels[index])
    }

    /// Classes of all images, `None` if the data are unlabeled.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// Names of the classes, empty if the data are unlabeled.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// What reports call the data, such as `CIFAR-10 (JPEG)`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Images left out because they do not decode.
    pub fn skipped(&self) -> &[SkippedImage] {
        &self.skipped
    }

    /// What lay among the images and was not read.
    pub fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    /// Whole sentences about how the data were understood, where that was not plain.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
