//! One file over HTTP, connection after connection until all of it is there.
//!
//! Each connection asks for the rest with `Range: bytes=N-`. A server that answers 206 from N is appended to; one that ignores the
//! range and answers 200 starts the file afresh; 416 means that nothing is missing or that the part is not of this file, which
//! the checksum tells.

use std::{
    io::{Read, Write},
    path::Path,
    thread,
};

use ureq::{Agent, Body, http::Response};

use super::{FetchOptions, Progress};
use crate::DataError;

/// Why one connection did not finish the file.
enum Interruption {
    /// Worth another connection.
    Broken(String),
    /// The server will not give this file.
    Refused(String),
    /// The disk will not take it.
    Disk(std::io::Error),
}

/// Downloads `url` into `part`, continuing what is there.
pub(super) fn run(
    url: &str,
    part: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DataError> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(options.silence))
        .timeout_recv_response(Some(options.silence))
        .timeout_per_read(Some(options.silence))
        .build()
        .into();
    let mut most = length(part);
    let mut fruitless = 0;
    loop {
        let reason = match connect(&agent, url, part, progress) {
            Ok(()) => return Ok(()),
            Err(Interruption::Disk(error)) => return Err(error.into()),
            Err(Interruption::Refused(reason)) => {
                return Err(DataError::Download {
                    url: url.to_owned(),
                    received: length(part),
                    reason,
                });
            }
            Err(Interruption::Broken(reason)) => reason,
        };
        let received = length(part);
        fruitless = if received > most { 0 } else { fruitless + 1 };
        most = most.max(received);
        if fruitless >= options.attempts {
            return Err(DataError::Download {
                url: url.to_owned(),
                received,
                reason,
            });
        }
        thread::sleep(options.pause);
    }
}

fn length(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

/// One connection.
fn connect(
    agent: &Agent,
    url: &str,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Interruption> {
    let offset = length(part);
    let mut request = agent.get(url);
    if offset > 0 {
        request = request.header("Range", format!("bytes={offset}-"));
    }
    let mut response = request
        .call()
        .map_err(|error| Interruption::Broken(error.to_string()))?;
    let start = match response.status().as_u16() {
        200 => 0,
        206 if range_start(&response) == Some(offset) => offset,
        206 => {
            return Err(restart(
                part,
                "the server sent another range than asked for",
            ));
        }
        416 => return Ok(()),
        status @ (408 | 429 | 500..) => {
            return Err(Interruption::Broken(format!("HTTP status {status}")));
        }
        status => return Err(Interruption::Refused(format!("HTTP status {status}"))),
    };
    let total = number(&response, "content-length").map(|rest| start + rest);
    let mut file = fs_err::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(part)
        .map_err(Interruption::Disk)?;
    file.set_len(start).map_err(Interruption::Disk)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start)).map_err(Interruption::Disk)?;
    let mut received = start;
    let mut reader = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        progress(Progress { received, total });
        let count = reader
            .read(&mut buffer)
            .map_err(|error| Interruption::Broken(error.to_string()))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])
            .map_err(Interruption::Disk)?;
        received += count as u64;
    }
    if total.is_some_and(|total| received < total) {
        return Err(Interruption::Broken(
            "the connection was closed early".to_owned(),
        ));
    }
    file.sync_all().map_err(Interruption::Disk)
}

/// Drops what is there, as it cannot be continued.
fn restart(part: &Path, reason: &str) -> Interruption {
    match fs_err::remove_file(part) {
        Ok(()) => Interruption::Broken(reason.to_owned()),
        Err(error) => Interruption::Disk(error),
    }
}

fn number(response: &Response<Body>, header: &str) -> Option<u64> {
    response.headers().get(header)?.to_str().ok()?.parse().ok()
}

/// First byte in `Content-Range: bytes FIRST-LAST/TOTAL`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}
