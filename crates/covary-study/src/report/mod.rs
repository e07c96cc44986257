//! The report of a study or of a run: one HTML file that needs nothing else, and its tables as CSV beside it.
//!
//! Built from run folders alone, so it can be made again at any time. No script, no network: charts are SVG whose lines stretch with the
//! page and whose words do not; colours follow the reader's light or dark.

mod chart;
mod configuration;
mod curves;
mod effects;
mod expectations;
mod factorial;
mod forecast;
mod forest;
mod margin;
mod neighbours;
mod page;
mod risk;
mod run;
mod spectrum;
mod study;
mod tables;
mod terms;

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::folder::write;
use crate::{Record, Study, StudyError, StudyFolder};
use tables::Table;

/// A report, ready to be written.
#[derive(Debug, Clone)]
pub struct Report {
    /// The page.
    pub html: String,
    tables: Vec<Table>,
}

/// Runs of one configuration, under one name.
#[derive(Debug, Clone)]
struct Group<'a> {
    name: String,
    records: Vec<&'a Record>,
}

impl Report {
    /// Of a study.
    ///
    /// # Errors
    /// A picture of a run that cannot be read.
    pub fn of_study(study: &Study) -> Result<Self, StudyError> {
        study::report(study)
    }

    /// Of a single run.
    ///
    /// # Errors
    /// A picture of the run that cannot be read.
    pub fn of_run(record: &Record) -> Result<Self, StudyError> {
        run::report(record)
    }

    /// Of what a folder holds: a study where there is a plan, else a run.
    ///
    /// # Errors
    /// [`StudyError::NothingToReport`], and files that cannot be read or understood.
    pub fn of_folder(path: &Path) -> Result<Self, StudyError> {
        if let Ok(folder) = StudyFolder::open(path) {
            Self::of_study(&Study::open(folder.path())?)
        } else if path.join("config.toml").is_file() {
            Self::of_run(&Record::read(path)?)
        } else {
            Err(StudyError::NothingToReport { path: path.into() })
        }
    }

    /// Writes the page, and its tables into `NAME-tables/` beside it; returns what was written.
    ///
    /// # Errors
    /// [`StudyError::Write`].
    pub fn write(&self, path: &Path) -> Result<Vec<PathBuf>, StudyError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.with_file_name(format!("{stem}-tables"));
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        for folder in parent.into_iter().chain([&*folder]) {
            fs::create_dir_all(folder).map_err(|source| StudyError::Write {
                path: folder.into(),
                source,
            })?;
        }
        write(path, self.html.as_bytes())?;
        let mut written = vec![path.to_owned()];
        for table in &self.tables {
            let path = folder.join(format!("{}.csv", table.name));
            write(&path, table.csv().as_bytes())?;
            written.push(path);
        }
        Ok(written)
    }
}
