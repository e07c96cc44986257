//! What can go wrong with networks and their files.

use std::path::PathBuf;

/// An error of a network or of its file.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    /// An encoder that does not exist.
    #[error("encoder {0:?} is not one of resnet18, resnet34")]
    UnknownEncoder(String),
    /// A size of zero, or too few sizes.
    #[error("{what} is {value}, at least {least} is needed")]
    Size {
        /// Which size.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The least one that makes sense.
        least: usize,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is not what the network needs.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
