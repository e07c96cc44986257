//! Metrics as JSON lines: one object a line, appended, never rewritten, except that a resumed run first drops what came after its
//! checkpoint.

use std::io::Write;
use std::path::Path;

use fs_err as fs;
use serde_json::{Map, Value};

/// A JSON-lines file whose lines carry a `step`.
#[derive(Debug)]
pub struct Journal {
    file: fs::File,
}

impl Journal {
    /// Opens the file for appending after the lines whose `step` is at most `step`; the others, and a line that a kill cut short, are
    /// dropped. A missing file is created.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> std::io::Result<Self> {
        if path.exists() {
            let text = fs::read_to_string(path)?;
            let kept: String = text
                .split_inclusive('\n')
                .filter(|line| keeps(line, step))
                .collect();
            if kept.len() != text.len() {
                covary_nn::write_atomically(path, kept.as_bytes())?;
            }
        }
        let file = fs::File::options().create(true).append(true).open(path)?;
        Ok(Self { file })
    }

    /// Appends one object in a single write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, record: &Map<String, Value>) -> std::io::Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

fn keeps(line: &str, step: u64) -> bool {
    line.ends_with('\n')
        && serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|record| record.get("step").and_then(Value::as_u64))
            .is_some_and(|at| at <= step)
}

/// A JSON number, or null where it is not finite.
pub fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reopening_at_a_step_drops_later_lines_and_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        fs::write(&path, "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"ste").unwrap();
        let mut journal = Journal::open(&path, 2).unwrap();
        let mut record = Map::new();
        record.insert("step".into(), 3.into());
        record.insert("loss".into(), number(f64::NAN));
        journal.append(&record).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"step\":1}\n{\"step\":2}\n{\"loss\":null,\"step\":3}\n"
        );
    }
}
