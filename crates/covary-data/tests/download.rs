//! Downloads from a local server that misbehaves in the ways servers do.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use covary_data::{Archive, DataError, FetchOptions, Progress, fetch};
use md5::{Digest, Md5};

/// What the server does with one request.
#[derive(Clone, Copy)]
enum Reply {
    /// The range asked for, complete.
    Whole,
    /// The range asked for, and the connection closed after so many bytes.
    Broken(usize),
    /// The file from its start whatever was asked, closed after so many bytes.
    Unranged(usize),
    /// Other bytes of the same length.
    Wrong,
    /// An error status and nothing else.
    Status(u16),
}

fn content() -> Vec<u8> {
    (0..300_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn archive() -> Archive {
    let md5 = format!(
        "{:032x}",
        u128::from_be_bytes(Md5::digest(content()).into())
    );
    Archive {
        name: "test",
        file: "test.tar.gz",
        md5: md5.leak(),
    }
}

/// Serves one reply a connection and then closes; sends the first byte that each request asked for.
fn serve(replies: &[Reply]) -> (FetchOptions, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let replies = replies.to_vec();
    let (sender, offsets) = channel();
    thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let offset = request(&stream);
            sender.send(offset).unwrap();
            respond(&mut stream, reply, offset);
        }
    });
    let options = FetchOptions {
        base_url,
        attempts: 3,
        pause: Duration::ZERO,
        silence: Duration::from_secs(5),
    };
    (options, offsets)
}

fn request(stream: &TcpStream) -> usize {
    let lines = BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty());
    let range = lines
        .map(|line| line.to_lowercase())
        .find_map(|line| Some(line.strip_prefix("range: bytes=")?.to_owned()));
    range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
}

fn respond(stream: &mut TcpStream, reply: Reply, offset: usize) {
    let content = content();
    let total = content.len();
    let (offset, end, content) = match reply {
        Reply::Whole => (offset, total, content),
        Reply::Broken(bytes) => (offset, total.min(offset + bytes), content),
        Reply::Unranged(bytes) => (0, total.min(bytes), content),
        Reply::Wrong => (
            offset,
            total,
            content.into_iter().map(|byte| byte ^ 1).collect(),
        ),
        Reply::Status(status) => {
            write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            return;
        }
    };
    let length = total - offset;
    let head = if offset == 0 {
        "HTTP/1.1 200 OK\r\n".to_owned()
    } else {
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {offset}-{}/{total}\r\n",
            total - 1
        )
    };
    write!(
        stream,
        "{head}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&content[offset..end]).unwrap();
}

#[test]
fn a_broken_download_is_resumed_where_it_stopped() {
    let (options, offsets) = serve(&[Reply::Broken(100_000), Reply::Broken(50_000), Reply::Whole]);
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let path = archive()
        .fetch(&folder.path().join("new"), &options, &mut |progress| {
            seen.push(progress);
        })
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content());
    assert_eq!(
        offsets.iter().take(3).collect::<Vec<_>>(),
        [0, 100_000, 150_000]
    );
    assert_eq!(
        seen.last(),
        Some(&Progress {
            received: 300_000,
            total: Some(300_000)
        })
    );
    assert!(seen.is_sorted_by_key(|progress| progress.received));
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no part is left"
    );
}

#[test]
fn a_download_is_resumed_by_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let (options, _offsets) = serve(&[
        Reply::Broken(120_000),
        Reply::Status(503),
        Reply::Status(503),
        Reply::Status(503),
    ]);
    let error = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Download {
                received: 120_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(!folder.path().join("test.tar.gz").exists());
    let (options, offsets) = serve(&[Reply::Whole]);
    archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap();
    assert_eq!(offsets.recv(), Ok(120_000));
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let (options, _offsets) = serve(&[Reply::Unranged(100_000), Reply::Unranged(usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let path = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
}

#[test]
fn a_server_that_never_gets_further_is_given_up() {
    let (options, offsets) = serve(&[Reply::Unranged(1000); 4]);
    let folder = tempfile::tempdir().unwrap();
    let error = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap_err();
    assert!(
        matches!(error, DataError::Download { received: 1000, .. }),
        "{error}"
    );
    assert_eq!(
        offsets.iter().count(),
        4,
        "one connection with something new, three without"
    );
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let (options, _offsets) = serve(&[Reply::Wrong]);
    let folder = tempfile::tempdir().unwrap();
    let error = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, DataError::WrongChecksum { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_part_of_another_file_is_found_out() {
    let (options, _offsets) = serve(&[Reply::Whole]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test.tar.gz.part"), [0; 500]).unwrap();
    let error = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, DataError::WrongChecksum { .. }), "{error}");
}

#[test]
fn a_complete_part_is_not_downloaded_again() {
    let (options, _offsets) = serve(&[Reply::Status(416)]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test.tar.gz.part"), content()).unwrap();
    let path = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
}

#[test]
fn a_file_that_is_there_is_checked_and_kept() {
    let options = FetchOptions {
        base_url: "http://127.0.0.1:1".to_owned(),
        ..FetchOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.tar.gz");
    std::fs::write(&path, content()).unwrap();
    assert_eq!(
        archive()
            .fetch(folder.path(), &options, &mut |_| ())
            .unwrap(),
        path
    );
    std::fs::write(&path, "damaged").unwrap();
    let error = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, DataError::WrongChecksum { .. }), "{error}");
    assert!(path.exists());
}

#[test]
fn a_missing_file_is_not_asked_for_twice() {
    let (options, offsets) = serve(&[Reply::Status(404)]);
    let folder = tempfile::tempdir().unwrap();
    let error = archive()
        .fetch(folder.path(), &options, &mut |_| ())
        .unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(offsets.iter().count(), 1);
}

#[test]
fn unknown_names_list_the_known_ones() {
    let error = fetch(
        "mnist",
        std::path::Path::new("."),
        &FetchOptions::default(),
        &mut |_| (),
    )
    .unwrap_err();
    assert!(error.to_string().contains("cifar10, cifar100"), "{error}");
}
