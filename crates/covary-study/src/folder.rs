//! The folder of a study.
//!
//! | file | what |
//! |---|---|
//! | `plan.toml` | the plan |
//! | `recipe.toml` | the base's recipe, where it is a file |
//! | `runs/KEY.toml` | configuration of a run, named by its hash |
//! | `runs/KEY/` | the run's folder, as `covary pretrain` writes it |
//! | `runs/KEY.log` | what the run said |
//! | `runs/KEY.lock` | held while a process trains it |
//! | `study.lock` | held while a process goes through the runs; it says which |
//! | `runs/KEY.failure.json` | exit code and last words of a run that ended without a result |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use covary_nn::{sweep, write_atomically};
use covary_train::config::RECIPES;
use covary_train::run::FolderLock;
use fs_err as fs;

use crate::{Plan, StudyError};

/// The lock of a study's folder.
const LOCK: &str = "study.lock";

/// Paths of a study's files, and the lock on them where this process writes to them.
#[derive(Debug, Clone)]
pub struct StudyFolder {
    path: PathBuf,
    lock: Option<Arc<FolderLock>>,
}

impl StudyFolder {
    /// Puts a plan into its folder, for this process alone; a folder that holds a study is taken when `resume` says so, and gets the new
    /// plan.
    ///
    /// # Errors
    /// [`StudyError::Exists`], [`StudyError::Write`], [`covary_train::TrainError::Held`] when another process goes through its runs.
    pub fn create(path: &Path, plan: &Plan, resume: bool) -> Result<Self, StudyError> {
        let mut folder = Self {
            path: path.into(),
            lock: None,
        };
        let is_new = |folder: &Self| {
            if folder.plan().exists() && !resume {
                return Err(StudyError::Exists { path: path.into() });
            }
            Ok(())
        };
        is_new(&folder)?;
        let runs = path.join("runs");
        let refused = |path: PathBuf| move |source| StudyError::Write { path, source };
        fs::create_dir_all(&runs).map_err(refused(runs.clone()))?;
        folder.lock = Some(Arc::new(FolderLock::take(path, LOCK)?));
        is_new(&folder)?;
        for swept in [path, &runs] {
            sweep(swept, Duration::ZERO).map_err(refused(swept.into()))?;
        }
        write(&folder.plan(), plan.text.as_bytes())?;
        let recipe = Path::new(&plan.base.recipe);
        if recipe.is_file() && !is_built_in(&plan.base.recipe) {
            let text = fs::read(recipe).map_err(|source| StudyError::Read {
                path: recipe.into(),
                source,
            })?;
            write(&folder.recipe(), &text)?;
        }
        Ok(folder)
    }

    /// The study's plan, with its own copy of the recipe.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn read_plan(&self) -> Result<Plan, StudyError> {
        let mut plan = Plan::read(&self.plan())?;
        if !is_built_in(&plan.base.recipe) && self.recipe().is_file() {
            plan.base.recipe = self.recipe().display().to_string();
        }
        Ok(plan)
    }

    fn recipe(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// Opens the folder of a study.
    ///
    /// # Errors
    /// [`StudyError::NotAStudy`].
    pub fn open(path: &Path) -> Result<Self, StudyError> {
        let folder = Self {
            path: path.into(),
            lock: None,
        };
        // A plan lies in other folders too.
        if folder.plan().is_file() && path.join("runs").is_dir() {
            Ok(folder)
        } else {
            Err(StudyError::NotAStudy { path: path.into() })
        }
    }

    /// What there is to say about an earlier process that wrote to it.
    pub fn note(&self) -> Option<&str> {
        self.lock.as_ref()?.note()
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.toml")
    }

    /// The folder of a run.
    pub fn run(&self, key: &str) -> PathBuf {
        self.path.join("runs").join(key)
    }

    /// A file beside a run's folder.
    pub(crate) fn beside(&self, key: &str, extension: &str) -> PathBuf {
        self.path.join("runs").join(format!("{key}.{extension}"))
    }

    pub(crate) fn failure(&self, key: &str) -> PathBuf {
        self.beside(key, "failure.json")
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StudyError> {
    write_atomically(path, bytes).map_err(|source| StudyError::Write {
        path: path.into(),
        source,
    })
}

fn is_built_in(recipe: &str) -> bool {
    RECIPES.iter().any(|(name, _)| *name == recipe)
}
