//! CIFAR's binary version, image folders, generated images, and paths that hold none of them.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod fixtures;

use std::path::Path;

use covary_data::{DataError, Dataset, FORMATS, ReadOptions, Split, Splits, open};
use fixtures::{encode, picture};
use flate2::{Compression, write::GzEncoder};
use image::{ImageFormat, RgbImage};

fn read(path: &Path, split: Split) -> Result<Dataset, DataError> {
    open(path, split, &ReadOptions::default())
}

/// A record of the binary version: labels, then the planes.
fn record(labels: &[u8], picture: &RgbImage) -> Vec<u8> {
    let planes = (0..3).flat_map(|channel| picture.pixels().map(move |pixel| pixel.0[channel]));
    labels.iter().copied().chain(planes).collect()
}

/// File names and contents of a small data set in the layout of CIFAR-10 or CIFAR-100.
fn cifar(classes: usize) -> Vec<(String, Vec<u8>)> {
    let names: Vec<String> = (0..classes).map(|class| format!("class{class}")).collect();
    let names = names.join("\n").into_bytes();
    if classes == 10 {
        let batch = |batch: u8| {
            (
                format!("data_batch_{batch}.bin"),
                record(&[batch], &picture(32, 32, batch)),
            )
        };
        let mut files: Vec<_> = (1..=5).map(batch).collect();
        files.push((
            "test_batch.bin".to_owned(),
            record(&[9], &picture(32, 32, 99)),
        ));
        files.push(("batches.meta.txt".to_owned(), names));
        files
    } else {
        vec![
            (
                "train.bin".to_owned(),
                [
                    record(&[3, 99], &picture(32, 32, 1)),
                    record(&[4, 0], &picture(32, 32, 2)),
                ]
                .concat(),
            ),
            ("test.bin".to_owned(), record(&[0, 50], &picture(32, 32, 3))),
            ("fine_label_names.txt".to_owned(), names),
        ]
    }
}

fn write_folder(folder: &Path, files: &[(String, Vec<u8>)]) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

fn archive(folder: &str, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, format!("{folder}/{name}"), bytes.as_slice())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn cifar_binary_reads_the_same_from_folder_and_archive() {
    for (classes, folder_name, name) in [
        (10, "cifar-10-batches-bin", "CIFAR-10"),
        (100, "cifar-100-binary", "CIFAR-100"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = cifar(classes);
        write_folder(&folder.path().join(folder_name), &files);
        let file = folder.path().join("any-name.tar.gz");
        std::fs::write(&file, archive(folder_name, &files)).unwrap();
        for path in [
            folder.path().to_path_buf(),
            folder.path().join(folder_name),
            file,
        ] {
            let (train, test) = (
                read(&path, Split::Train).unwrap(),
                read(&path, Split::Test).unwrap(),
            );
            assert_eq!((train.name(), test.name()), (name, name));
            assert_eq!(train.class_names().len(), classes);
            assert_eq!(train.class_names()[1], "class1");
            if classes == 10 {
                assert_eq!(train.labels(), Some([1, 2, 3, 4, 5].as_slice()));
                assert_eq!(test.labels(), Some([9].as_slice()));
                assert_eq!(
                    train.image(3).pixels,
                    picture(32, 32, 4).as_raw().as_slice()
                );
            } else {
                assert_eq!(train.labels(), Some([99, 0].as_slice()), "fine labels");
                assert_eq!(test.image(0).pixels, picture(32, 32, 3).as_raw().as_slice());
            }
        }
    }
}

#[test]
fn damaged_cifar_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = cifar(10);
    files[2].1.pop();
    write_folder(folder.path(), &files);
    let error = read(folder.path(), Split::Train).unwrap_err();
    assert!(error.to_string().contains("data_batch_3.bin"), "{error}");
    files[2].1 = record(&[10], &picture(32, 32, 0));
    write_folder(folder.path(), &files);
    let error = read(folder.path(), Split::Train).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::LabelOutOfRange {
                label: 10,
                classes: 10,
                ..
            }
        ),
        "{error}"
    );
    std::fs::remove_file(folder.path().join("data_batch_5.bin")).unwrap();
    files[2].1 = record(&[1], &picture(32, 32, 0));
    write_folder(folder.path(), &files[..3]);
    let error = read(folder.path(), Split::Train).unwrap_err();
    assert!(
        error.to_string().contains("data_batch_5.bin is missing"),
        "{error}"
    );
    let packed = archive("cifar-10-batches-bin", &cifar(10));
    for (name, bytes) in [
        ("half.tar.gz", &packed[..packed.len() / 2]),
        ("text.tar.gz", b"text".as_slice()),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path, Split::Train).unwrap_err();
        assert!(
            matches!(
                error,
                DataError::BrokenFile {
                    format: "tar.gz",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_flat_folder_is_unlabeled_and_sorted() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shade) in [("b.png", 2), ("a.PNG", 1), ("c.jpeg", 3)] {
        let format = if name.ends_with("jpeg") {
            ImageFormat::Jpeg
        } else {
            ImageFormat::Png
        };
        std::fs::write(
            folder.path().join(name),
            encode(&picture(10, 12, shade), format),
        )
        .unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "not an image").unwrap();
    std::fs::write(folder.path().join(".hidden.png"), "not an image").unwrap();
    let dataset = read(folder.path(), Split::Train).unwrap();
    assert_eq!(dataset.len(), 3);
    assert_eq!(dataset.labels(), None);
    assert_eq!(
        (dataset.image(0).pixels[2], dataset.image(1).pixels[2]),
        (1, 2)
    );
    assert_eq!(
        dataset.name(),
        folder.path().file_name().unwrap().to_string_lossy()
    );
    let error = read(folder.path(), Split::Test).unwrap_err();
    assert!(matches!(error, DataError::MissingSplit { .. }), "{error}");
}

#[test]
fn class_folders_of_both_splits_number_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    // the test split lacks the first class: its labels must not move up
    for (class, shade) in [
        ("train/ant", 0),
        ("train/bee", 1),
        ("train/cat", 2),
        ("test/bee", 3),
        ("test/cat", 4),
    ] {
        let class = folder.path().join(class);
        std::fs::create_dir_all(&class).unwrap();
        std::fs::write(
            class.join("1.png"),
            encode(&picture(8, 8, shade), ImageFormat::Png),
        )
        .unwrap();
    }
    let Splits { train, test, .. } =
        Splits::open(folder.path(), &ReadOptions::default(), 0.2).unwrap();
    let test = test.unwrap();
    assert_eq!(train.class_names(), ["ant", "bee", "cat"]);
    assert_eq!(test.class_names(), train.class_names());
    assert_eq!(train.labels(), Some([0, 1, 2].as_slice()));
    assert_eq!(test.labels(), Some([1, 2].as_slice()));
}

#[test]
fn a_corrupt_file_in_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("good.png"),
        encode(&picture(8, 8, 0), ImageFormat::Png),
    )
    .unwrap();
    std::fs::write(folder.path().join("bad.png"), b"PNG?").unwrap();
    let error = read(folder.path(), Split::Train).unwrap_err();
    assert!(
        matches!(error, DataError::CorruptImage { .. }) && error.to_string().contains("bad.png"),
        "{error}"
    );
    let skipping = open(
        folder.path(),
        Split::Train,
        &ReadOptions {
            skip_corrupt: true,
            ..ReadOptions::default()
        },
    )
    .unwrap();
    assert_eq!((skipping.len(), skipping.skipped().len()), (1, 1));
    std::fs::remove_file(folder.path().join("good.png")).unwrap();
    let error = open(
        folder.path(),
        Split::Train,
        &ReadOptions {
            skip_corrupt: true,
            ..ReadOptions::default()
        },
    )
    .unwrap_err();
    assert!(
        matches!(error, DataError::NothingLeft { skipped: 1, .. }),
        "{error}"
    );
}

#[test]
fn an_archive_counts_to_its_last_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = archive("cifar-10-batches-bin", &cifar(10));
    let path = folder.path().join("mine.tar.gz");
    // gzip's checksum of the contents stands before the last four bytes
    let place = packed.len() - 6;
    packed[place] ^= 1;
    std::fs::write(&path, &packed).unwrap();
    let error = read(&path, Split::Train).unwrap_err();
    assert!(matches!(error, DataError::BrokenFile { .. }), "{error}");
    packed[place] ^= 1;
    std::fs::write(&path, &packed).unwrap();
    assert_eq!(read(&path, Split::Train).unwrap().len(), 5);
    // under the published name it must be the published file
    let path = folder.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&path, &packed).unwrap();
    let error = read(&path, Split::Train).unwrap_err();
    assert!(matches!(error, DataError::WrongChecksum { .. }), "{error}");
}

#[test]
fn archives_of_other_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    for (name, expected) in [("1.png", "1 images"), ("data_batch_1", "pickles")] {
        let files = [(name.to_owned(), vec![0; 10])];
        std::fs::write(&path, archive("photos", &files)).unwrap();
        let error = read(&path, Split::Train).unwrap_err();
        assert!(
            matches!(error, DataError::ForeignFormat { .. })
                && error.to_string().contains(expected),
            "{error}"
        );
    }
}

#[test]
fn generated_images_are_the_same_each_time_and_differ_by_split() {
    let read = |path: &str, split| read(Path::new(path), split).unwrap();
    let (train, test) = (
        read("synthetic:64", Split::Train),
        read("synthetic:64", Split::Test),
    );
    assert_eq!(
        (train.len(), test.len(), train.class_names().len()),
        (64, 16, 8)
    );
    assert_eq!(train.pixels(), read("synthetic:64", Split::Train).pixels());
    assert_ne!(train.image(0).pixels, test.image(0).pixels);
    assert_eq!(read("synthetic", Split::Train).len(), 512);
}

#[test]
fn paths_without_data_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(&folder.path().join("nowhere"), Split::Train).unwrap_err();
    assert!(
        matches!(error, DataError::MissingPath { .. }) && error.to_string().contains("nowhere"),
        "{error}"
    );
    let error = read(folder.path(), Split::Train).unwrap_err();
    assert!(matches!(error, DataError::EmptyFolder { .. }), "{error}");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "text").unwrap();
    let error = read(&file, Split::Train).unwrap_err();
    assert!(matches!(error, DataError::UnknownFormat { .. }), "{error}");
    assert!(
        FORMATS
            .iter()
            .all(|format| error.to_string().contains(format.name)),
        "{error}"
    );
}
