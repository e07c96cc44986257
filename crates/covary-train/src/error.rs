//! What can go wrong in a run, each with the file, key or value and what to do about it.

use std::path::PathBuf;

use covary_loss::LossError;
use covary_loss::method::MethodError;

use crate::optim::OptimError;

/// An error of the laboratory.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A configuration file or an override that is not TOML.
    #[error("{layer}: {message}")]
    Syntax {
        /// File or override.
        layer: String,
        /// The parser's words, with line and caret.
        message: String,
    },
    /// A key that does not exist.
    #[error("{layer}: unknown key {key}")]
    UnknownKey {
        /// File or override that it stands in.
        layer: String,
        /// Dotted path.
        key: String,
        /// The nearest key that exists, or the list of them.
        suggestion: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{layer}: {key}: {reason}")]
    BadValue {
        /// File or override that it stands in.
        layer: String,
        /// Dotted path.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither a recipe nor a file.
    #[error("{name} is neither a recipe, nor a preset, nor a file")]
    UnknownRecipe {
        /// What was asked for.
        name: String,
        /// The nearest name that exists, or all recipes.
        suggestion: String,
    },
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
    /// A new run was to be made where one is.
    #[error("{} holds a run already: {file} is there", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
        /// A file of the run that it holds.
        file: String,
    },
    /// A folder that another process writes to.
    #[error("{} is being written to by {holder}", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// Process, host and since when.
        holder: String,
    },
    /// A run that has ended and cannot go on with other keys.
    #[error("{} is finished; these keys differ: {}", path.display(), keys.join(", "))]
    RunFinished {
        /// The run's folder.
        path: PathBuf,
        /// `key (there -> here)`.
        keys: Vec<String>,
    },
    /// The images of a run that are not where they were.
    #[error("the images of {} are not at {}", run.display(), path.display())]
    DataMissing {
        /// The run's folder.
        run: PathBuf,
        /// Where they were.
        path: PathBuf,
    },
    /// Images that are not those that a run was made with.
    #[error("{}: {reason}", path.display())]
    DataDiffers {
        /// The data.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A line of a journal that cannot be read.
    #[error("{}:{line}: {reason}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A damaged event file of TensorBoard.
    #[error("{}: the record at byte {at} does not have its checksum", path.display())]
    Events {
        /// The file.
        path: PathBuf,
        /// Where the record starts.
        at: usize,
    },
    /// A file of a run that is not what was written.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Sizes that this machine cannot hold.
    #[error("{key} = {value} needs at least {needed}; this machine has {memory}")]
    TooLarge {
        /// The key that most of it is for.
        key: &'static str,
        /// Its value.
        value: usize,
        /// Memory of the whole run.
        needed: String,
        /// Memory of the machine.
        memory: String,
    },
    /// A folder without a run.
    #[error("{} holds no run: {reason}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// A run that is to be resumed with another configuration.
    #[error("{} was made with another configuration; these keys differ: {}", path.display(), keys.join(", "))]
    ConfigDiffers {
        /// The run's folder.
        path: PathBuf,
        /// `key (there -> here)`.
        keys: Vec<String>,
    },
    /// A checkpoint that does not fit.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A number that is not one.
    #[error("step {step}: {what} is not finite")]
    NotFinite {
        /// Optimizer step, counted from 1.
        step: u64,
        /// Term or vector.
        what: String,
    },
    /// Images that cannot be scored.
    #[error("{} has no labels to score an encoder with", path.display())]
    NoLabels {
        /// The data.
        path: PathBuf,
    },
    /// A preset or the method's settings.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// The loss.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// Data.
    #[error(transparent)]
    Data(#[from] covary_data::DataError),
    /// Networks.
    #[error(transparent)]
    Network(#[from] covary_nn::NnError),
    /// Probe.
    #[error(transparent)]
    Probe(#[from] covary_score::EmbeddingError),
    /// A matrix in a file.
    #[error(transparent)]
    Matrix(#[from] covary_score::MatrixError),
    /// The instruction set asked for.
    #[error(transparent)]
    Isa(#[from] covary_kernels::IsaError),
}

impl From<OptimError> for TrainError {
    fn from(error: OptimError) -> Self {
        Self::BadValue {
            layer: "configuration".into(),
            key: format!("optimizer.{}", error.key()),
            reason: error.to_string(),
        }
    }
}

impl TrainError {
    /// The error of a loss at a training step.
    pub fn of_loss(error: LossError, step: u64) -> Self {
        match error {
            LossError::NotFinite { term, .. } => Self::NotFinite {
                step,
                what: format!("term {term}"),
            },
            other => Self::Loss(other),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::UnknownKey { suggestion, .. }
            | Self::UnknownRecipe { suggestion, .. }
            | Self::Method(MethodError::UnknownPreset { suggestion, .. }) => {
                return Some(suggestion.clone());
            }
            Self::Data(error) => return error.hint().map(str::to_owned),
            Self::Loss(LossError::Whitening { .. }) => {
                "lower projector.dim or raise batch_size; embedding.normalise = \"standardise\" needs no more rows than 2"
            }
            Self::Matrix(covary_score::MatrixError::Format { .. }) => {
                "give FILE.npy, FILE.safetensors:TENSOR or FILE.parquet:COLUMN"
            }
            Self::RunExists { .. } => "give another folder with --out, or go on with --resume",
            Self::Held { .. } => "wait until it has ended, or give another folder with --out",
            Self::RunFinished { path, .. } => {
                return Some(format!(
                    "its learning rate was planned to fall to zero at its last step, so that it is not lengthened; train a longer one anew: \
                     covary pretrain {}/config.toml --set epochs=... --out NEW",
                    path.display()
                ));
            }
            Self::DataMissing { .. } => {
                "say where they are by --set data.path=PATH; a path that is not absolute starts at the folder you are in"
            }
            Self::DataDiffers { .. } => {
                "give the images that the run was made with, by --set data.path=PATH; another version of the program may decode some images otherwise"
            }
            Self::Journal { .. } | Self::Damaged { .. } => {
                "put back a copy of the file, or start anew with --out; nothing was changed"
            }
            Self::Events { .. } => {
                "steps.jsonl holds the same numbers: remove the file to go on without its curves; nothing was changed"
            }
            Self::TooLarge { key, .. } => return Some(format!("lower {key}")),
            Self::NotARun { .. } => "give the folder of a run: `covary pretrain` prints it",
            Self::ConfigDiffers { .. } => "resume without overrides, or start a new run with --out",
            Self::Checkpoint { .. } => {
                "the file is damaged or of another configuration; start anew with --out"
            }
            Self::NotFinite { .. } => {
                "lower optimizer.lr, or lengthen schedule.warmup; the last checkpoint is from before"
            }
            Self::Write { .. } => {
                "check that the disk has room and that the folder may be written; what was there before is untouched"
            }
            Self::Isa(_) => "unset COVARY_ISA, or set it to one that `covary list` names",
            _ => return None,
        };
        Some(fixed.to_owned())
    }
}
