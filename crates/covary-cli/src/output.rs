//! What goes to the terminal: errors with hints, tables, JSON.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Error};
use covary_data::DataError;
use covary_study::StudyError;
use covary_train::TrainError;

/// Writes a line of data to stdout. A reader that went away, as `head` does, is no error.
///
/// # Errors
/// Any other error of stdout: what was asked for is then not there.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

/// Where a command's table goes: the table is the data and belongs on stdout, unless JSON is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables {
    /// Whether JSON is what goes to stdout.
    pub(crate) json: bool,
}

impl Tables {
    /// Writes a table, or a line beside it.
    ///
    /// # Errors
    /// As [`line()`].
    pub(crate) fn print(self, text: &str) -> anyhow::Result<()> {
        if self.json {
            say(text);
            return Ok(());
        }
        line(text)
    }
}

/// Writes a line of talk to stderr.
pub(crate) fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}

/// Says what was understood, passed over or left out when the data of a result were read.
pub(crate) fn data_notes(result: &serde_json::Value) {
    let notes = result["data_notes"].as_array().into_iter().flatten();
    for note in notes.filter_map(serde_json::Value::as_str) {
        say(&format!("data: {note}"));
    }
}

/// Says what went wrong and what to do about it; 1 where a run failed, 2 where it could not start.
pub(crate) fn fail(error: &Error) -> ExitCode {
    let study = error.downcast_ref::<StudyError>();
    let train = error.downcast_ref::<TrainError>();
    let data = error.downcast_ref::<DataError>();
    if train.is_some() || data.is_some() || study.is_some() {
        say(&format!("error: {error}"));
    } else {
        say(&format!("error: {error:#}"));
    }
    let hint = train
        .and_then(TrainError::hint)
        .or_else(|| data.and_then(DataError::hint).map(str::to_owned))
        .or_else(|| study.and_then(StudyError::hint));
    if let Some(hint) = hint {
        say(&format!("\nhint: {hint}"));
    }
    if matches!(train, Some(TrainError::NotFinite { .. })) {
        ExitCode::FAILURE
    } else {
        ExitCode::from(2)
    }
}

/// Seconds as a reader takes them in: `42 s`, `5 min`, `3.2 h`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// A number with three or four significant digits.
pub(crate) fn significant(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

/// A table with a left column of names and right-aligned columns of values.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    if column == 0 {
                        format!("{cell:<width$}")
                    } else {
                        format!("{cell:>width$}")
                    }
                });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str("  ");
            text.push_str(line.trim_end());
            text.push('\n');
            if index == 0 {
                let length = widths.iter().sum::<usize>() + 2 * (columns - 1);
                text.push_str("  ");
                text.push_str(&"─".repeat(length));
                text.push('\n');
            }
        }
        text
    }
}
