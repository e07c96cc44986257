//! `covary probe`: the score of a run's encoder, computed anew.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_train::probe_run;

use super::moved_data;
use crate::output::{Table, Tables, data_notes, line, say};
use crate::threads;

/// Fit a linear classifier and kNN on the frozen encoder of a run and score the test set.
#[derive(Args)]
pub(crate) struct Probe {
    /// Folder of the run.
    run: PathBuf,
    /// Where the images moved to, as `--set data.path=PATH`; they are checked to be the same.
    #[arg(long = "set", value_name = "data.path=PATH", value_parser = moved_data)]
    data: Option<String>,
    /// Print one JSON object to stdout, and the table to stderr.
    #[arg(long)]
    json: bool,
}

impl Probe {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let pool = threads::pool(0)?;
        let result = pool.install(|| probe_run(&self.run, self.data.as_deref(), &mut say))?;
        data_notes(&result);
        let mut table = Table::new(&["", "top-1"]);
        let names = [
            ("linear, L-BFGS", "linear_top1"),
            ("linear, SGD for 100 epochs", "linear_top1_sgd"),
            ("kNN, k = 20", "knn_top1"),
            ("kNN, k = 200", "knn200_top1"),
        ];
        for (name, key) in names {
            let value = result[key]
                .as_f64()
                .map_or_else(|| "–".into(), |value| format!("{:.2} %", 100.0 * value));
            table.row(vec![name.into(), value]);
        }
        let tables = Tables { json: self.json };
        tables.print(&format!(
            "\nScores on the test set of {}\n\n{}",
            result["data"].as_str().unwrap_or("the data"),
            table.render()
        ))?;
        if self.json {
            line(&result.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
