//! What lay among the images and was not read, counted by kind, so that nothing vanishes without a word.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

/// Why something was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PassedOverKind {
    /// A file that is no image.
    NotAnImage,
    /// An image in a format that is not read, such as HEIC.
    UnreadFormat,
    /// An image beside class folders, which therefore has no class.
    Loose,
    /// A folder without an image that is read.
    EmptyFolder,
    /// A folder beside the splits.
    OtherFolder,
    /// A link to something that is not there, or to a folder around it.
    BrokenLink,
    /// A file or folder that this user may not read.
    NoPermission,
    /// A hidden file or folder: the name begins with a dot.
    Hidden,
    /// Left by an operating system or an archive program: `Thumbs.db`, `@eaDir`, `__MACOSX`.
    System,
}

impl PassedOverKind {
    /// What one of the kind, and several, are called.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotAnImage => ("file that is no image", "files that are no images"),
            Self::UnreadFormat => (
                "image in a format that is not read",
                "images in formats that are not read",
            ),
            Self::Loose => ("image beside class folders", "images beside class folders"),
            Self::EmptyFolder => ("folder without images", "folders without images"),
            Self::OtherFolder => ("folder beside the splits", "folders beside the splits"),
            Self::BrokenLink => ("broken link", "broken links"),
            Self::NoPermission => ("path without permission", "paths without permission"),
            Self::Hidden => ("hidden file or folder", "hidden files or folders"),
            Self::System => ("file of the system", "files of the system"),
        }
    }
}

/// How often each kind was passed over, with the first path as an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver(BTreeMap<PassedOverKind, (usize, String)>);

impl PassedOver {
    pub(super) fn add(&mut self, kind: PassedOverKind, example: impl FnOnce() -> String) {
        self.0.entry(kind).or_insert_with(|| (0, example())).0 += 1;
    }

    /// How many of a kind there were.
    pub fn count(&self, kind: PassedOverKind) -> usize {
        self.0.get(&kind).map_or(0, |(count, _)| *count)
    }

    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One line: `20 broken links (cat/z00.png), 1 folder without images (owl)`.
impl Display for PassedOver {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        for (position, (kind, (count, example))) in self.0.iter().enumerate() {
            let (one, many) = kind.words();
            let comma = if position == 0 { "" } else { ", " };
            let words = if *count == 1 { one } else { many };
            write!(
                formatter,
                "{comma}{count} {words} ({})",
                example.escape_debug()
            )?;
        }
        Ok(())
    }
}
