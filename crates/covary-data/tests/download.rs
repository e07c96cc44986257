//! Downloads from a local server that misbehaves in the ways servers do.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use covary_data::{Archive, DataError, FetchOptions, Progress, fetch};
use md5::{Digest, Md5};

/// What the server does with the request.
#[derive(Clone, Copy)]
enum Reply {
    /// The file.
    Whole,
    /// So many bytes of it under a header that promises all, and the connection closed.
    Broken(usize),
    /// More bytes than the file has.
    Longer,
    /// Other bytes of the same length.
    Wrong,
    /// A byte each 10 ms.
    Slow,
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
        bytes: 300_000,
    }
}

/// Serves one reply.
fn serve(reply: Reply) -> FetchOptions {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(&stream).lines().map(Result::unwrap);
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        // a client that gives up closes the connection
        respond(&mut stream, reply).ok();
    });
    FetchOptions {
        base_url,
        silence: Duration::from_secs(5),
        ..FetchOptions::default()
    }
}

fn respond(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let mut content = content();
    let sent = match reply {
        Reply::Whole | Reply::Slow => content.len(),
        Reply::Broken(bytes) => bytes,
        Reply::Longer => {
            content.extend([0; 5000]);
            content.len()
        }
        Reply::Wrong => {
            content.iter_mut().for_each(|byte| *byte ^= 1);
            content.len()
        }
        Reply::Status(status) => {
            return write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )?;
    if matches!(reply, Reply::Slow) {
        for byte in content.chunks(1) {
            stream.write_all(byte)?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(10));
        }
        return Ok(());
    }
    stream.write_all(&content[..sent])
}

/// Fetches into a new folder; the error in words and the number of files that are left.
fn refused(options: &FetchOptions) -> (DataError, usize) {
    let folder = tempfile::tempdir().unwrap();
    let error = archive()
        .fetch(folder.path(), options, &mut |_| ())
        .unwrap_err();
    (error, std::fs::read_dir(folder.path()).unwrap().count())
}

#[test]
fn a_download_arrives_whole_and_says_how_far_it_is() {
    let options = serve(Reply::Whole);
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let path = archive()
        .fetch(&folder.path().join("new"), &options, &mut |progress| {
            seen.push(progress);
        })
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content());
    assert_eq!(
        seen.last(),
        Some(&Progress {
            received: 300_000,
            total: 300_000
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
fn a_download_of_another_length_is_refused() {
    for reply in [Reply::Broken(100_000), Reply::Longer] {
        let (error, files) = refused(&serve(reply));
        assert!(matches!(error, DataError::Download { .. }), "{error}");
        assert_eq!(files, 0);
    }
}

#[test]
fn a_slow_download_ends() {
    let options = FetchOptions {
        window: Duration::from_millis(200),
        ..serve(Reply::Slow)
    };
    let (error, files) = refused(&options);
    assert!(
        error.to_string().contains("bytes/s are too slow"),
        "{error}"
    );
    assert_eq!(files, 0);
    let options = FetchOptions {
        total: Duration::from_millis(300),
        ..serve(Reply::Slow)
    };
    let (error, _) = refused(&options);
    assert!(error.to_string().contains("timeout"), "{error}");
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let (error, files) = refused(&serve(Reply::Wrong));
    assert!(matches!(error, DataError::WrongChecksum { .. }), "{error}");
    assert_eq!(files, 0);
}

#[test]
fn a_missing_file_is_named() {
    let (error, _) = refused(&serve(Reply::Status(404)));
    assert!(error.to_string().contains("404"), "{error}");
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
