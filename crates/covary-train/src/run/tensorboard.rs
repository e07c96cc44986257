//! TensorBoard event files: scalars that `tensorboard --logdir` draws.
//!
//! A file is a sequence of records `length (u64 LE), masked CRC-32C of the length, payload, masked CRC-32C of the payload`, where the
//! mask of c is `rotate_right(c, 15) + 0xa282ead8` (TensorFlow, `core/lib/io/record_writer`). The payload is an `Event` message, of
//! which the fields `wall_time = 1`, `step = 2`, `file_version = 3`, `summary = 5` and `session_log = 7` are written. A scalar is a field
//! with presence (a `oneof` in TensorFlow's `summary.proto`), so that zero is written too.
//!
//! Every start of a run has a file of its own. A resumed run first drops what its earlier files hold after the checkpoint; the session
//! log's START at the first step to come tells the same to a TensorBoard that read them before.

use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use prost::Message;

use crate::TrainError;

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".covary";

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.SessionStatus.START`.
const START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An event file that scalars are appended to.
#[derive(Debug)]
pub struct EventFile {
    file: fs::File,
}

impl EventFile {
    /// Drops the events after `step` from the files of earlier starts, then creates one for this start, named as TensorBoard expects
    /// after the time of creation in seconds.
    ///
    /// # Errors
    /// [`TrainError::Events`] for an earlier file that is damaged before that step, which is then untouched; [`TrainError::Read`] and
    /// [`TrainError::Write`] for files that cannot be read or written.
    pub fn create(folder: &Path, unix_seconds: f64, step: u64) -> Result<Self, TrainError> {
        let mut earlier = event_files(folder)?;
        earlier.sort();
        for path in earlier {
            cut(&path, step)?;
        }
        let path = folder.join(format!("{PREFIX}{:.0}{SUFFIX}", unix_seconds * 1e3));
        let refused = |source| TrainError::Write {
            path: path.clone(),
            source,
        };
        let mut events = Self {
            file: fs::File::create_new(&path).map_err(refused)?,
        };
        let version = Event {
            wall_time: unix_seconds,
            file_version: Some("brain.Event:2".into()),
            ..Event::default()
        };
        events.write(&version).map_err(refused)?;
        if step > 0 {
            let start = Event {
                wall_time: unix_seconds,
                step: to_step(step + 1),
                session_log: Some(SessionLog { status: START }),
                ..Event::default()
            };
            events.write(&start).map_err(refused)?;
        }
        Ok(events)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Appends scalars of one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalars(
        &mut self,
        unix_seconds: f64,
        step: u64,
        scalars: &[(String, f64)],
    ) -> std::io::Result<()> {
        let value = scalars
            .iter()
            .map(|(tag, value)| Value {
                tag: tag.clone(),
                simple_value: Some(*value as f32),
            })
            .collect();
        self.write(&Event {
            wall_time: unix_seconds,
            step: to_step(step),
            summary: Some(Summary { value }),
            ..Event::default()
        })
    }

    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        let payload = event.encode_to_vec();
        let length = (payload.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(payload.len() + 16);
        record.extend_from_slice(&length);
        record.extend_from_slice(&masked_crc(&length).to_le_bytes());
        record.extend_from_slice(&payload);
        record.extend_from_slice(&masked_crc(&payload).to_le_bytes());
        self.file.write_all(&record)
    }
}

fn to_step(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

/// The event files of a run's folder.
///
/// # Errors
/// [`TrainError::Read`] when it cannot be listed.
pub(super) fn event_files(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let listed = || -> std::io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_ours = name
                .to_str()
                .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
            if is_ours {
                found.push(entry.path());
            }
        }
        Ok(found)
    };
    listed().map_err(|source| TrainError::Read {
        path: folder.into(),
        source,
    })
}

/// Drops the events after `step`, and a last one that a kill cut short.
fn cut(path: &Path, step: u64) -> Result<(), TrainError> {
    let bytes = fs::read(path).map_err(|source| TrainError::Read {
        path: path.into(),
        source,
    })?;
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = &*bytes;
    while let Some((record, event, behind)) = first_record(rest) {
        let Some(event) = event else {
            return Err(TrainError::Events {
                path: path.into(),
                at: bytes.len() - rest.len(),
            });
        };
        // Steps never fall within a file: what is behind is computed again, readable or not.
        if event.step > to_step(step) && event.session_log.is_none() {
            break;
        }
        kept.extend_from_slice(record);
        rest = behind;
    }
    if kept.len() < bytes.len() {
        covary_nn::write_atomically(path, &kept).map_err(|source| TrainError::Write {
            path: path.into(),
            source,
        })?;
    }
    Ok(())
}

/// The first record, its event where its checksums are right, and what is behind it; none where less than a record is left.
fn first_record(bytes: &[u8]) -> Option<(&[u8], Option<Event>, &[u8])> {
    let (length, after) = bytes.split_first_chunk::<8>()?;
    let (length_crc, after) = after.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*length_crc) != masked_crc(length) {
        return Some((bytes, None, &[]));
    }
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (payload, after) = after.split_at_checked(length)?;
    let (crc, behind) = after.split_first_chunk::<4>()?;
    let event = if u32::from_le_bytes(*crc) == masked_crc(payload) {
        Event::decode(payload).ok()
    } else {
        None
    };
    Some((&bytes[..bytes.len() - behind.len()], event, behind))
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first record of every TensorFlow event file whose wall time is zero, as `tf.summary` writes it.
    #[test]
    fn the_crc_of_a_known_length_is_the_one_tensorflow_writes() {
        // CRC-32C("123456789") = 0xe3069283 (RFC 3720, appendix B.4 check value), masked by hand.
        assert_eq!(
            masked_crc(b"123456789"),
            0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }

    /// The events of all files in a folder, in the order of their names.
    fn events(folder: &Path) -> Vec<Event> {
        let mut files = event_files(folder).unwrap();
        files.sort();
        let mut events = Vec::new();
        for path in files {
            let bytes = fs::read(path).unwrap();
            let mut rest = &*bytes;
            while let Some((_, event, behind)) = first_record(rest) {
                events.push(event.expect("its checksums are right"));
                rest = behind;
            }
            assert!(rest.is_empty());
        }
        events
    }

    #[test]
    fn records_read_back_and_zeros_are_points() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 1.5, 0).unwrap();
        let scalars = [
            ("loss".to_owned(), 0.25),
            ("weighted/variance".to_owned(), 0.0),
        ];
        file.scalars(2.0, 7, &scalars).unwrap();
        let events = events(folder.path());
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        let values = &events[1].summary.as_ref().unwrap().value;
        assert_eq!(events[1].step, 7);
        let points: Vec<_> = values.iter().map(|value| value.simple_value).collect();
        assert_eq!(points, [Some(0.25), Some(0.0)]);
        // Field 2, wire type 5 (32 bits): the tag byte that a field without presence would lack.
        let encoded = values[1].encode_to_vec();
        assert!(encoded.ends_with(&[0x15, 0, 0, 0, 0]), "{encoded:?}");
    }

    #[test]
    fn a_resumed_run_has_every_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(folder.path(), 1.0, 0).unwrap();
        let loss = [("loss".to_owned(), 1.0)];
        for step in 1..=5 {
            first.scalars(1.0, step, &loss).unwrap();
        }
        first.file.write_all(&[9, 0, 0]).unwrap();
        let mut second = EventFile::create(folder.path(), 2.0, 3).unwrap();
        for step in 4..=6 {
            second.scalars(2.0, step, &loss).unwrap();
        }
        let events = events(folder.path());
        let steps: Vec<_> = events
            .iter()
            .filter(|event| event.summary.is_some())
            .map(|event| event.step)
            .collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
        let restarts: Vec<_> = events
            .iter()
            .filter_map(|event| Some((event.step, event.session_log.as_ref()?.status)))
            .collect();
        assert_eq!(restarts, [(4, START)]);
    }

    #[test]
    fn a_flipped_bit_before_the_checkpoint_is_an_error_that_leaves_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(folder.path(), 1.0, 0).unwrap();
        for step in 1..=3 {
            first
                .scalars(1.0, step, &[("loss".to_owned(), 1.0)])
                .unwrap();
        }
        let path = first.path().to_owned();
        let mut bytes = fs::read(&path).unwrap();
        bytes[60] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let error = EventFile::create(folder.path(), 2.0, 3).unwrap_err();
        assert!(matches!(error, TrainError::Events { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
