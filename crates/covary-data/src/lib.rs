//! Images in, augmented views out: the same views for the same seed, whatever the threads.
//!
//! [`Splits::open`] reads a data set into memory, [`AugmentConfig`] says how views differ from images, [`Loader`] fills batches of views
//! as `[views * n, size, size, 3]` normalised `f32`.

mod augment;
mod dataset;
mod download;
mod error;
mod loader;
mod locate;
mod megabytes;
mod preview;
pub mod rng;
mod sheet;

pub use augment::{
    AUGMENTATIONS, AugmentConfig, Augmenter, ColourJitter, Filter, GaussianBlur, Greyscale, Group,
    HorizontalFlip, Normalise, RandomResizedCrop, Side, Solarise, ViewConfig, ViewGroup,
};
pub use dataset::{
    Dataset, FORMATS, Format, Image, ImageSize, PassedOver, PassedOverKind, ReadOptions,
    SkippedImage, Split, Splits, open,
};
pub use download::{Archive, DOWNLOADS, FetchOptions, Progress, fetch};
pub use error::DataError;
pub use loader::{
    EvaluationImages, HoldOut, Loader, LoaderConfig, ViewBatch, hold_out, random_sample,
};
pub use locate::locate;
pub use megabytes::Megabytes;
pub use preview::{PreviewOptions, preview};
pub use sheet::Sheet;
