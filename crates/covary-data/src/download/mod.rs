//! Downloads of published archives, in one request each, checked against the published size and MD5, and put in place whole.
//!
//! Bytes arrive in `FILE.part`; a finished and checked `FILE.part` is renamed to `FILE`, so `FILE` is never half there. A download that
//! is silent, slow, or takes too long as a whole ends with the reason; it then starts anew.

mod digest;

pub(crate) use digest::HashingReader;

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ureq::Agent;

use crate::DataError;

/// A file that can be downloaded by name.
#[derive(Debug)]
pub struct Archive {
    /// Name to ask for.
    pub name: &'static str,
    /// File name, at the end of the address and on disk.
    pub file: &'static str,
    /// Published MD5, hexadecimal. MD5 guards against damage, not against forgery.
    pub md5: &'static str,
    /// Size in bytes.
    pub bytes: u64,
}

/// Archives known by name; checksums from <https://www.cs.toronto.edu/~kriz/cifar.html>.
pub static DOWNLOADS: &[Archive] = &[
    Archive {
        name: "cifar10",
        file: "cifar-10-binary.tar.gz",
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
        bytes: 170_052_171,
    },
    Archive {
        name: "cifar100",
        file: "cifar-100-binary.tar.gz",
        md5: "03b5dce01913d631647c71ecec9e9cb8",
        bytes: 168_513_733,
    },
];

/// How to download.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Address of the folder that holds the file, without a slash at the end.
    pub base_url: String,
    /// Longest silence of the server. Default 30 s.
    pub silence: Duration,
    /// Longest time for the whole file. Default 2 h.
    pub total: Duration,
    /// Least bytes per second, on average over each `window`. Default 10,000.
    pub least_rate: f64,
    /// Time over which the rate is taken. Default 60 s.
    pub window: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            base_url: "https://www.cs.toronto.edu/~kriz".to_owned(),
            silence: Duration::from_secs(30),
            total: Duration::from_hours(2),
            least_rate: 1e4,
            window: Duration::from_mins(1),
        }
    }
}

/// State of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes on disk.
    pub received: u64,
    /// Size of the file.
    pub total: u64,
}

/// Downloads the archive called `name` into `folder`, which is created, and returns the file's path. A file that is already there
/// is checked and not downloaded again. `progress` is called about every 64 KiB.
///
/// # Errors
/// [`DataError::UnknownDownload`]; [`DataError::Download`] if the server refuses, is too slow, or sends more or less than the file;
/// [`DataError::WrongChecksum`], a damaged download is removed, a damaged file that was there before is not; [`DataError::Io`] if the
/// disk refuses.
pub fn fetch(
    name: &str,
    folder: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, DataError> {
    let archive = DOWNLOADS
        .iter()
        .find(|archive| archive.name == name)
        .ok_or_else(|| DataError::UnknownDownload {
            name: name.to_owned(),
            known: DOWNLOADS
                .iter()
                .map(|archive| archive.name)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    archive.fetch(folder, options, progress)
}

impl Archive {
    /// As [`fetch`], for an archive that need not be in [`DOWNLOADS`].
    ///
    /// # Errors
    /// As [`fetch`].
    pub fn fetch(
        &self,
        folder: &Path,
        options: &FetchOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, DataError> {
        let target = folder.join(self.file);
        if target.is_file() {
            let file = HashingReader::new(fs_err::File::open(&target)?);
            self.check(&target, file.finish()?)?;
            return Ok(target);
        }
        fs_err::create_dir_all(folder)?;
        let part = folder.join(format!("{}.part", self.file));
        let received = self
            .receive(&part, options, progress)
            .and_then(|md5| self.check(&part, md5));
        if let Err(error) = received {
            fs_err::remove_file(&part).ok();
            return Err(error);
        }
        fs_err::rename(&part, &target)?;
        fs_err::File::open(folder)?.sync_all()?;
        Ok(target)
    }

    /// An error if `found` is not the published checksum.
    pub(crate) fn check(&self, path: &Path, found: String) -> Result<(), DataError> {
        if found == self.md5 {
            return Ok(());
        }
        Err(DataError::WrongChecksum {
            path: path.to_path_buf(),
            expected: self.md5.to_owned(),
            found,
        })
    }

    /// Writes the file to `part` and returns its MD5.
    fn receive(
        &self,
        part: &Path,
        options: &FetchOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<String, DataError> {
        let url = format!("{}/{}", options.base_url, self.file);
        let mut received = 0;
        let failed = |received: u64, reason: String| DataError::Download {
            url: url.clone(),
            received,
            reason,
        };
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(options.silence))
            .timeout_recv_response(Some(options.silence))
            .timeout_per_read(Some(options.silence))
            .timeout_global(Some(options.total))
            .build()
            .into();
        let mut response = agent
            .get(&url)
            .call()
            .map_err(|error| failed(received, error.to_string()))?;
        if response.status().as_u16() != 200 {
            let reason = format!("HTTP status {}", response.status().as_u16());
            return Err(failed(received, reason));
        }
        let mut file = fs_err::File::create(part)?;
        let mut reader = HashingReader::new(response.body_mut().as_reader());
        let mut buffer = vec![0; 1 << 16];
        let (mut since, mut before) = (Instant::now(), 0);
        loop {
            progress(Progress {
                received,
                total: self.bytes,
            });
            let count = reader
                .read(&mut buffer)
                .map_err(|error| failed(received, error.to_string()))?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count])?;
            received += count as u64;
            if received > self.bytes {
                let reason = format!(
                    "the server sends more than the {} bytes of the file",
                    self.bytes
                );
                return Err(failed(received, reason));
            }
            let window = since.elapsed();
            if window >= options.window {
                let rate = (received - before) as f64 / window.as_secs_f64();
                if rate < options.least_rate {
                    let reason = format!("{rate:.0} bytes/s are too slow");
                    return Err(failed(received, reason));
                }
                (since, before) = (Instant::now(), received);
            }
        }
        if received < self.bytes {
            let reason = format!("the server sent {received} of {} bytes", self.bytes);
            return Err(failed(received, reason));
        }
        file.sync_all()?;
        Ok(reader.finish()?)
    }
}
