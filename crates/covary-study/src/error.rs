//! What can go wrong with a study, each with the file, key or name and what to do about it.

use std::path::PathBuf;

use covary_train::TrainError;

/// An error of a study.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A plan that is not TOML, or has an unknown key.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The plan.
        path: PathBuf,
        /// The parser's words, with line and caret.
        message: String,
    },
    /// A plan that makes no sense.
    #[error("{}: {key}: {reason}", path.display())]
    Plan {
        /// The plan.
        path: PathBuf,
        /// Dotted key, or the name of a variant.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration that the plan names and that cannot be run.
    #[error("{}: {arm}: {source}", path.display())]
    Arm {
        /// The plan.
        path: PathBuf,
        /// Base, variant or cell.
        arm: String,
        /// What is wrong with it.
        source: Box<TrainError>,
    },
    /// A new study was to be made where one is.
    #[error("{} holds a study already", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder without a study.
    #[error("{} holds no study: plan.toml or runs is missing", path.display())]
    NotAStudy {
        /// The folder.
        path: PathBuf,
    },
    /// A folder with neither a run nor a study.
    #[error("{} holds neither a run (config.toml) nor a study (plan.toml, runs)", path.display())]
    NothingToReport {
        /// The folder.
        path: PathBuf,
    },
    /// A journal that cannot be understood.
    #[error("{}:{line}: {reason}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A study from which nothing can be forecast.
    #[error("{}: {reason}", path.display())]
    Forecast {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A run's configuration.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl StudyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::Train(source) => return source.hint(),
            Self::Arm { source, .. } => return source.hint(),
            Self::Exists { .. } => "go on with --resume, or give another folder with --out",
            Self::NotAStudy { .. } => "give the folder of a study: `covary study` prints it",
            Self::NothingToReport { .. } => {
                "give the folder that `covary pretrain` or `covary study` printed"
            }
            Self::Write { .. } => "check that the disk has room and that the folder may be written",
            Self::Syntax { .. } | Self::Plan { .. } => {
                "docs/studies.md describes every key of a plan"
            }
            Self::Journal { .. } => {
                "the file is damaged: remove the run's folder and train it again"
            }
            Self::Forecast { .. } => {
                "a forecast learns from finished runs of at least three variants"
            }
            Self::Read { .. } => return None,
        };
        Some(fixed.to_owned())
    }
}
