//! What can go wrong with networks and their files.

use std::path::PathBuf;

use crate::ENCODERS;

/// An error of a network or of its file.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    /// An encoder that does not exist.
    #[error("encoder {0:?} is not one of {known}", known = known_encoders())]
    UnknownEncoder(String),
    /// Channels for another number of stages than the encoder has.
    #[error("{encoder} has {stages} stages, but channels of {given} are given")]
    Channels {
        /// Its name.
        encoder: &'static str,
        /// How many were given.
        given: usize,
        /// How many it has.
        stages: usize,
    },
    /// Images that a whitened stem cannot be fitted to.
    #[error("the whitened stem cannot be fitted to the training images: {0}")]
    Stem(String),
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

fn known_encoders() -> String {
    let names: Vec<_> = ENCODERS.iter().map(|encoder| encoder.name).collect();
    names.join(", ")
}
