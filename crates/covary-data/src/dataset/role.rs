//! Which part of a data set a folder or file is, by its name.

/// The part that a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `train`, `training`.
    Train,
    /// `test`, `testing`.
    Test,
    /// `val`, `valid`, `validation`.
    Validation,
}

impl Role {
    /// The role of a folder of exactly that name, in capitals or not.
    pub(super) fn of_folder(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "test" | "testing" => Some(Self::Test),
            "val" | "valid" | "validation" => Some(Self::Validation),
            _ => None,
        }
    }

    /// The role of a file with such a word in its name, as `cifar10-train-00000-of-00001`.
    pub(super) fn of_file(stem: &str) -> Option<Self> {
        stem.split(|c: char| !c.is_ascii_alphabetic())
            .find_map(Self::of_folder)
    }
}
