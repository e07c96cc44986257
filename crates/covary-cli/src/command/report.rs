//! `covary report`: a study or a run as one HTML file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::output::{line, say};

/// Write the report of a study or a run: one HTML file that opens from disk, its tables as CSV beside it.
#[derive(Args)]
pub(crate) struct Report {
    /// Folder of a study or of a run.
    folder: PathBuf,
    /// The file. Default: report.html in the folder.
    #[arg(long, short, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

impl Report {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let report = covary_study::report::Report::of_folder(&self.folder)?;
        let path = self.out.unwrap_or_else(|| self.folder.join("report.html"));
        let written = report.write(&path)?;
        for table in &written[1..] {
            say(&format!("table {}", table.display()));
        }
        line(&path.display().to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}
