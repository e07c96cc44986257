//! TensorBoard event files: scalars that `tensorboard --logdir` draws.
//!
//! A file is a sequence of records `length (u64 LE), masked CRC-32C of the length, payload, masked CRC-32C of the payload`, where the
//! mask of c is `rotate_right(c, 15) + 0xa282ead8` (TensorFlow, `core/lib/io/record_writer`). The payload is an `Event` message, of
//! which the fields `wall_time = 1`, `step = 2`, `file_version = 3` and `summary = 5` are written.

use std::io::Write;
use std::path::Path;

use fs_err as fs;
use prost::Message;

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
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// An event file that scalars are appended to.
#[derive(Debug)]
pub struct EventFile {
    file: fs::File,
}

impl EventFile {
    /// Creates the file, named as TensorBoard expects after the time of creation in seconds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(folder: &Path, unix_seconds: f64) -> std::io::Result<Self> {
        let name = format!("events.out.tfevents.{:.0}.covary", unix_seconds * 1e3);
        let mut events = Self {
            file: fs::File::create(folder.join(name))?,
        };
        let version = Event {
            wall_time: unix_seconds,
            file_version: Some("brain.Event:2".into()),
            ..Event::default()
        };
        events.write(&version)?;
        Ok(events)
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
                simple_value: *value as f32,
            })
            .collect();
        self.write(&Event {
            wall_time: unix_seconds,
            step: i64::try_from(step).unwrap_or(i64::MAX),
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

    #[test]
    fn records_read_back_with_their_lengths_and_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 1.5).unwrap();
        events
            .scalars(
                2.0,
                7,
                &[("loss".into(), 0.25), ("terms/variance".into(), 0.5)],
            )
            .unwrap();
        let path = fs::read_dir(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let bytes = fs::read(path).unwrap();
        let mut at = 0;
        let mut messages = Vec::new();
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let payload = &bytes[at + 12..at + 12 + length];
            let crc = u32::from_le_bytes(
                bytes[at + 12 + length..at + 16 + length]
                    .try_into()
                    .unwrap(),
            );
            assert_eq!(crc, masked_crc(payload));
            messages.push(Event::decode(payload).unwrap());
            at += 16 + length;
        }
        assert_eq!(messages[0].file_version.as_deref(), Some("brain.Event:2"));
        let values = &messages[1].summary.as_ref().unwrap().value;
        assert_eq!(messages[1].step, 7);
        assert_eq!(
            (values[1].tag.as_str(), values[1].simple_value),
            ("terms/variance", 0.5)
        );
    }
}
