//! Metrics as JSON lines: one object a line, appended, never rewritten, except that a resumed run first drops what came after its
//! checkpoint, which it computes again.
//!
//! The last key of a line is `crc32c`, the CRC-32C (RFC 3720) of the line's bytes before it, as eight hexadecimal digits. Lines without
//! it are of older versions. The last line of a file may be torn by a kill; any other that cannot be read is an error.

use std::io::Write;
use std::path::Path;

use fs_err as fs;
use serde_json::{Map, Value};

use crate::TrainError;

const KEY: &str = "crc32c";
/// `,"crc32c":"01234567"}`
const TAIL: usize = 21;

/// Which lines of an earlier part of the run stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// One a step, from step 1 to this one.
    EveryStep(u64),
    /// So many, none of them after a step.
    Lines {
        /// Lines written before the checkpoint.
        count: u64,
        /// The checkpoint's step.
        step: u64,
    },
    /// Those up to a step; the checkpoint does not say how many.
    UpTo(u64),
}

/// A JSON-lines file whose lines carry a `step`.
#[derive(Debug)]
pub struct Journal {
    file: fs::File,
    lines: u64,
}

impl Journal {
    /// Opens the file for appending after the lines that stay. A missing file is created where no line has to be there.
    ///
    /// # Errors
    /// [`TrainError::Journal`] for a line that has to be there and is damaged, of another step, or missing: the file is then untouched.
    /// [`TrainError::Read`] and [`TrainError::Write`] for the file itself.
    pub fn open(path: &Path, keep: Keep) -> Result<Self, TrainError> {
        let text = read(path)?;
        let kept = kept(path, &text, keep)?;
        let lines = kept.len() as u64;
        let mut bytes = kept.join(&b'\n');
        if lines > 0 {
            bytes.push(b'\n');
        }
        let refused = |source| TrainError::Write {
            path: path.into(),
            source,
        };
        if bytes != text {
            covary_nn::write_atomically(path, &bytes).map_err(refused)?;
        }
        let file = fs::File::options().create(true).append(true).open(path);
        Ok(Self {
            file: file.map_err(refused)?,
            lines,
        })
    }

    /// Appends one object in a single write.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn append(&mut self, record: &Map<String, Value>) -> Result<(), TrainError> {
        let line = checked_line(record);
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| TrainError::Write {
                path: self.file.path().into(),
                source,
            })?;
        self.lines += 1;
        Ok(())
    }

    /// Lines in the file.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Waits until all lines are on the disk.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(|source| TrainError::Write {
            path: self.file.path().into(),
            source,
        })
    }
}

/// The objects of a journal without their checksums; none where there is no file. A torn last line is left out.
///
/// # Errors
/// [`TrainError::Read`], and [`TrainError::Journal`] for any other line that cannot be read.
pub fn read_journal(path: &Path) -> Result<Vec<Map<String, Value>>, TrainError> {
    let text = read(path)?;
    let mut records = Vec::new();
    let mut lines = lines(&text).enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match parse(line) {
            Ok(record) => records.push(record),
            Err(_) if lines.peek().is_none() && !text.ends_with(b"\n") => {}
            Err(reason) => return Err(damaged(path, index, reason)),
        }
    }
    Ok(records)
}

/// The bytes of a file; none where there is no file.
fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|source| TrainError::Read {
            path: path.into(),
            source,
        }),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

fn damaged(path: &Path, index: usize, reason: String) -> TrainError {
    TrainError::Journal {
        path: path.into(),
        line: index + 1,
        reason,
    }
}

/// The lines that stay.
fn kept<'a>(path: &Path, text: &'a [u8], keep: Keep) -> Result<Vec<&'a [u8]>, TrainError> {
    let step_of = |(index, line): (usize, &[u8])| {
        let record = parse(line).map_err(|reason| damaged(path, index, reason))?;
        let step = record.get("step").and_then(Value::as_u64);
        step.ok_or_else(|| damaged(path, index, "it has no step".into()))
    };
    let (count, last) = match keep {
        Keep::EveryStep(step) => (step, step),
        Keep::Lines { count, step } => (count, step),
        Keep::UpTo(step) => {
            let is_torn = !text.is_empty() && !text.ends_with(b"\n");
            let whole = lines(text).count() - usize::from(is_torn);
            let mut kept = Vec::new();
            for (index, line) in lines(text).take(whole).enumerate() {
                if step_of((index, line))? <= step {
                    kept.push(line);
                }
            }
            return Ok(kept);
        }
    };
    // What comes after the checkpoint is computed again, readable or not.
    let kept: Vec<_> = lines(text).take(count as usize).collect();
    for (index, line) in kept.iter().enumerate() {
        let step = step_of((index, line))?;
        let is_right = match keep {
            Keep::EveryStep(_) => step == index as u64 + 1,
            _ => step <= last,
        };
        if !is_right {
            return Err(damaged(
                path,
                index,
                format!("step {step} does not belong here"),
            ));
        }
    }
    if (kept.len() as u64) < count {
        let reason =
            format!("the checkpoint is of step {last}, and {count} lines were written before it");
        return Err(damaged(path, kept.len(), reason));
    }
    Ok(kept)
}

fn checked_line(record: &Map<String, Value>) -> String {
    let mut line = serde_json::to_string(record).expect("a record is plain values");
    line.pop();
    let crc = crc32c::crc32c(line.as_bytes());
    format!("{line},\"{KEY}\":\"{crc:08x}\"}}\n")
}

/// The object of a line, without its checksum.
fn parse(line: &[u8]) -> Result<Map<String, Value>, String> {
    let mut record: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if let Some(crc) = record.remove(KEY) {
        let body = line.len().checked_sub(TAIL).map(|end| &line[..end]);
        let is_right = body.is_some_and(|body| {
            let tail = format!(",\"{KEY}\":\"{:08x}\"}}", crc32c::crc32c(body));
            line[body.len()..] == *tail.as_bytes()
        });
        if !is_right {
            return Err(format!("the line is damaged: its checksum is not {crc}"));
        }
    } else if is_hexadecimal(line) {
        return Err("the line is damaged: the name of its checksum".into());
    }
    Ok(record)
}

/// Whether a line ends as one with a checksum whose key is damaged.
fn is_hexadecimal(line: &[u8]) -> bool {
    line.len() > TAIL
        && line.ends_with(b"\"}")
        && line[line.len() - 10..line.len() - 2]
            .iter()
            .all(u8::is_ascii_hexdigit)
}

/// A JSON number, or null where it is not finite.
pub fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> Map<String, Value> {
        Map::from_iter([
            ("step".to_owned(), step.into()),
            ("loss".to_owned(), number(0.5 / step as f64)),
        ])
    }

    /// A journal of steps 1 to 4 in a folder of its own.
    fn journal() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        let mut journal = Journal::open(&path, Keep::EveryStep(0)).unwrap();
        for step in 1..=4 {
            journal.append(&record(step)).unwrap();
        }
        assert_eq!(journal.lines(), 4);
        (folder, path)
    }

    #[test]
    fn reopening_at_a_step_drops_later_lines_and_a_torn_one() {
        let (_folder, path) = journal();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut journal = Journal::open(&path, Keep::EveryStep(2)).unwrap();
        for step in 3..=4 {
            journal.append(&record(step)).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(read_journal(&path).unwrap(), [1, 2, 3, 4].map(record));
    }

    #[test]
    fn every_flipped_bit_before_the_checkpoint_is_an_error_that_leaves_the_file() {
        let (_folder, path) = journal();
        let whole = fs::read(&path).unwrap();
        let second = lines(&whole)
            .take(2)
            .map(|line| line.len() + 1)
            .sum::<usize>();
        for bit in 0..8 * second {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &damaged).unwrap();
            let opened = Journal::open(&path, Keep::EveryStep(2));
            assert!(
                matches!(opened, Err(TrainError::Journal { .. })),
                "bit {bit}"
            );
            assert_eq!(fs::read(&path).unwrap(), damaged);
            assert!(read_journal(&path).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn missing_lines_are_told_and_what_comes_after_the_checkpoint_may_be_damaged() {
        let (_folder, path) = journal();
        let whole = fs::read(&path).unwrap();
        let error = Journal::open(&path, Keep::EveryStep(5)).unwrap_err();
        assert!(error.to_string().contains("steps.jsonl:5"), "{error}");
        let text = String::from_utf8(whole).unwrap();
        let gap: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("\"step\":2"))
            .collect();
        fs::write(&path, gap.join("\n")).unwrap();
        let error = Journal::open(&path, Keep::EveryStep(3)).unwrap_err();
        assert!(error.to_string().contains("steps.jsonl:2"), "{error}");
        fs::write(&path, text.replace("\"step\":4", "\"st\u{fffd}p:4")).unwrap();
        assert_eq!(Journal::open(&path, Keep::EveryStep(3)).unwrap().lines(), 3);
    }

    #[test]
    fn lines_of_older_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("epochs.jsonl");
        fs::write(&path, "{\"step\":1}\n{\"step\":3}\n{\"ste").unwrap();
        assert_eq!(read_journal(&path).unwrap().len(), 2);
        assert_eq!(Journal::open(&path, Keep::UpTo(2)).unwrap().lines(), 1);
        fs::write(&path, "{\"ste\n{\"step\":3}\n").unwrap();
        assert!(Journal::open(&path, Keep::UpTo(2)).is_err());
        assert!(read_journal(&path).is_err());
    }
}
