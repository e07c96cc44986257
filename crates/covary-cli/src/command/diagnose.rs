//! `covary diagnose`: collapse metrics and the outcome of a run, or of anybody's embeddings.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_score::{METRICS, Matrix};
use covary_train::{TrainError, diagnose_matrix, diagnose_run};
use serde_json::Value;

use super::moved_data;
use crate::output::{Table, Tables, data_notes, line, say, significant};
use crate::threads;

/// Have the embeddings collapsed? Every metric, the outcome in words, and the spectrum.
#[derive(Args)]
pub(crate) struct Diagnose {
    /// Folder of a run, or a matrix: FILE.npy, FILE.safetensors:TENSOR, FILE.parquet:COLUMN.
    #[arg(value_name = "RUN|FILE")]
    source: String,
    /// Where the images of a run moved to, as `--set data.path=PATH`; they are checked to be the same.
    #[arg(long = "set", value_name = "data.path=PATH", value_parser = moved_data)]
    data: Option<String>,
    /// Print one JSON object to stdout, and the table to stderr.
    #[arg(long)]
    json: bool,
}

impl Diagnose {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let pool = threads::pool(0)?;
        let folder = Path::new(&self.source);
        let result = pool.install(|| {
            if folder.is_dir() {
                diagnose_run(folder, self.data.as_deref(), &mut say)
            } else {
                let matrix = Matrix::read(&self.source).map_err(TrainError::from)?;
                if !matrix.left_out.is_empty() {
                    say(&format!("left out columns {}", matrix.left_out.join(", ")));
                }
                diagnose_matrix(&matrix)
            }
        })?;
        let tables = Tables { json: self.json };
        if folder.is_dir() {
            data_notes(&result);
            let spaces = [
                ("representation h", &result["representation"]),
                ("embedding z", &result["embedding"]),
            ];
            show(&spaces, tables)?;
            show_scores(&result, tables)?;
        } else {
            show(&[("embeddings", &result)], tables)?;
        }
        if self.json {
            line(&result.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(spaces: &[(&str, &Value)], tables: Tables) -> Result<()> {
    let mut header = vec![""];
    header.extend(spaces.iter().map(|(name, _)| *name));
    let mut table = Table::new(&header);
    for metric in METRICS {
        let cells = spaces.iter().map(|(_, space)| {
            let value = space[metric.name()].as_f64();
            value.map_or_else(|| "–".into(), significant)
        });
        let mut row = vec![metric.name().replace('_', " ")];
        row.extend(cells);
        if row[1..].iter().any(|cell| cell != "–") {
            table.row(row);
        }
    }
    tables.print(&format!("\n{}", table.render()))?;
    for (name, space) in spaces {
        let text = |key: &str| space[key].as_str().unwrap_or_default().to_owned();
        tables.print(&format!(
            "  {name}: {}: {}",
            text("outcome"),
            text("reason")
        ))?;
    }
    Ok(())
}

/// kNN on h beside the untrained encoder's: a linear probe standardises, which hides an encoder that shrank or lies along a line.
fn show_scores(result: &Value, tables: Tables) -> Result<()> {
    let percent = |key: &str| {
        result[key]
            .as_f64()
            .map_or_else(|| "–".into(), |value| format!("{:.1} %", 100.0 * value))
    };
    tables.print(&format!(
        "  kNN on h: {}, untrained encoder: {}",
        percent("knn_top1"),
        percent("random_knn_top1")
    ))
}
