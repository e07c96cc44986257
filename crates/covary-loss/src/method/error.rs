//! What can go wrong with a method, each with the preset or the key that it concerns.

/// What can go wrong with a method.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// A preset that does not exist.
    #[error("there is no preset {name}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The nearest one, or all of them.
        suggestion: String,
    },
    /// A setting that makes no sense.
    #[error("{reason}")]
    Setting {
        /// Dotted key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}
