//! Folders as people have them: every image is read, or counted and named.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod fixtures;

use std::path::Path;

use covary_data::{DataError, Dataset, PassedOverKind, ReadOptions, Split, Splits, open};
use fixtures::{encode, picture};
use image::ImageFormat;

/// Writes a small image at each of the paths.
fn write(root: &Path, paths: &[&str]) {
    for (shade, path) in (0..).zip(paths) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, encode(&picture(8, 8, shade), ImageFormat::Png)).unwrap();
    }
}

fn splits(root: &Path) -> Result<Splits, DataError> {
    Splits::open(root, &ReadOptions::default(), 0.0)
}

fn train(root: &Path) -> Dataset {
    open(root, Split::Train, &ReadOptions::default()).unwrap()
}

#[test]
fn a_class_is_everything_below_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            "train/ant/images/1.png",
            "train/ant/2.png",
            "train/bee/a/b/3.png",
            "val/images/4.png",
        ],
    );
    std::fs::write(folder.path().join("train/ant/boxes.txt"), "x").unwrap();
    let splits = splits(folder.path()).unwrap();
    assert_eq!(splits.train.class_names(), ["ant", "bee"]);
    assert_eq!(splits.train.labels(), Some([0, 0, 1].as_slice()));
    let passed = splits.train.passed_over();
    assert_eq!(passed.count(PassedOverKind::NotAnImage), 1);
    // Tiny ImageNet's validation images lie in one folder that is no class
    assert!(splits.test.is_none());
    let notes = splits.notes.join("\n");
    assert!(notes.contains("is taken as the test set"), "{notes}");
    assert!(notes.contains("images, which is no class"), "{notes}");
    assert!(notes.contains("boxes.txt"), "{notes}");
}

#[test]
fn what_is_no_image_is_counted_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let names = [
        "ant/1.png",
        "ant/.hidden.png",
        "ant/._1.png",
        "ant/@eaDir/t.png",
    ];
    write(root, &names);
    write(root, &["bee/1.png", "loose.png", "__MACOSX/ant/1.png"]);
    std::fs::write(root.join("ant/.DS_Store"), "x").unwrap();
    std::fs::write(root.join("ant/photo.heic"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("gone.png", root.join("bee/2.png")).unwrap();
        std::os::unix::fs::symlink("..", root.join("bee/loop")).unwrap();
    }
    let dataset = train(root);
    assert_eq!(dataset.class_names(), ["ant", "bee"]);
    assert_eq!(dataset.len(), 2);
    let passed = dataset.passed_over();
    let expected = [
        (PassedOverKind::Hidden, 1),
        (PassedOverKind::System, 4),
        (PassedOverKind::UnreadFormat, 1),
        (PassedOverKind::EmptyFolder, 1),
        (PassedOverKind::Loose, 1),
        (PassedOverKind::BrokenLink, if cfg!(unix) { 2 } else { 0 }),
    ];
    for (kind, count) in expected {
        assert_eq!(passed.count(kind), count, "{kind:?} in {passed}");
    }
    assert!(
        passed
            .to_string()
            .contains("1 folder without images (empty)"),
        "{passed}"
    );
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_keep_their_classes_apart() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for name in [b"caf\xE9", b"caf\xE8"] {
        let class = folder.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir(&class).unwrap();
        std::fs::write(
            class.join("1.png"),
            encode(&picture(8, 8, 0), ImageFormat::Png),
        )
        .unwrap();
    }
    assert_eq!(train(folder.path()).class_names(), ["caf\\xE8", "caf\\xE9"]);
}

#[test]
fn a_class_may_be_called_train_or_test() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["bus/1.png", "car/1.png", "train/1.png"]);
    assert_eq!(train(folder.path()).class_names(), ["bus", "car", "train"]);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["lab/1.png", "test/1.png"]);
    assert_eq!(train(folder.path()).class_names(), ["lab", "test"]);
    // both beside a third: nobody knows
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["bus/1.png", "test/1.png", "train/1.png"]);
    let error = splits(folder.path()).unwrap_err();
    assert!(
        matches!(error, DataError::AmbiguousFolders { .. }),
        "{error}"
    );
    // splits with classes, and something beside them
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &["train/ant/1.png", "test/ant/1.png", "extra/1.png"],
    );
    let splits = splits(folder.path()).unwrap();
    assert_eq!(splits.train.class_names(), ["ant"]);
    assert!(
        splits.notes.join("\n").contains("(extra)"),
        "{:?}",
        splits.notes
    );
}

#[test]
fn splits_with_labels_in_one_of_them_alone_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &["train/ant/1.png", "train/bee/1.png", "test/1.png"],
    );
    let one = splits(folder.path()).unwrap();
    assert_eq!((one.train.len(), one.test.is_none()), (2, true));
    assert!(
        one.notes.join("\n").contains("test images"),
        "{:?}",
        one.notes
    );
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &["train/1.png", "test/ant/1.png", "test/bee/1.png"],
    );
    let other = splits(folder.path()).unwrap();
    assert_eq!((other.train.len(), other.test.is_none()), (1, true));
    assert!(
        other.notes.join("\n").contains("have no labels"),
        "{:?}",
        other.notes
    );
}

#[test]
fn a_folder_around_the_data_is_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["photos/ant/1.png", "photos/bee/1.png"]);
    let dataset = train(folder.path());
    assert_eq!(dataset.class_names(), ["ant", "bee"]);
    assert!(
        dataset.notes()[0].contains("photos"),
        "{:?}",
        dataset.notes()
    );
}

#[test]
fn a_test_class_without_training_images_is_named_before_training() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            "train/ant/1.png",
            "train/bee/1.png",
            "test/ant/1.png",
            "test/cat/1.png",
        ],
    );
    let error = splits(folder.path()).unwrap_err();
    assert!(
        matches!(error, DataError::UnknownTestClass { .. })
            && error.to_string().contains("test/cat"),
        "{error}"
    );
}

#[test]
fn labeled_images_without_a_test_set_are_split_by_class() {
    let folder = tempfile::tempdir().unwrap();
    let (ants, bees): (Vec<String>, Vec<String>) = (0..20)
        .map(|n| (format!("ant/{n}.png"), format!("bee/{n:02}.png")))
        .unzip();
    let paths: Vec<&str> = ants.iter().chain(&bees[..10]).map(String::as_str).collect();
    write(folder.path(), &paths);
    write(folder.path(), &["cat/1.png"]);
    let open = |share| Splits::open(folder.path(), &ReadOptions::default(), share).unwrap();
    let splits = open(0.2);
    let test = splits.test.unwrap();
    let count = |dataset: &Dataset| {
        let mut counts = [0; 3];
        for &label in dataset.labels().unwrap() {
            counts[label as usize] += 1;
        }
        counts
    };
    assert_eq!(
        (count(&splits.train), count(&test)),
        ([16, 8, 1], [4, 2, 0])
    );
    assert_eq!(test.class_names(), splits.train.class_names());
    assert!(
        splits.notes[0].contains("data.test_share = 0.2"),
        "{:?}",
        splits.notes
    );
    // every image is in one of the two, with its own label
    let whole = open(0.0).train;
    let list = |dataset: &Dataset| -> Vec<(Vec<u8>, Option<u32>)> {
        let image = |index| (dataset.image(index).pixels.to_vec(), dataset.label(index));
        (0..dataset.len()).map(image).collect()
    };
    let (mut both, mut all) = ([list(&splits.train), list(&test)].concat(), list(&whole));
    both.sort();
    all.sort();
    assert_eq!(both, all);
    assert_eq!(
        open(0.2).test.unwrap().pixels(),
        test.pixels(),
        "the same each time"
    );
}

#[test]
fn one_class_is_not_split() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["all/1.png", "all/2.png", "all/3.png"]);
    let splits = Splits::open(folder.path(), &ReadOptions::default(), 0.5).unwrap();
    assert_eq!((splits.train.len(), splits.test.is_none()), (3, true));
    assert!(
        splits.notes[0].contains("the same label"),
        "{:?}",
        splits.notes
    );
}

#[cfg(unix)]
#[test]
fn folders_that_may_not_be_read_are_counted() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["ant/1.png", "bee/1.png"]);
    let closed = folder.path().join("bee");
    let allow = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode));
    allow(0).unwrap();
    let is_root = std::fs::read_dir(&closed).is_ok();
    let dataset = train(folder.path());
    allow(0o755).unwrap();
    let expected = if is_root { (2, 0) } else { (1, 1) };
    let passed = dataset.passed_over();
    assert_eq!(
        (dataset.len(), passed.count(PassedOverKind::NoPermission)),
        expected
    );
    assert_eq!(passed.count(PassedOverKind::EmptyFolder), 0);
}

#[test]
fn things_that_are_known_and_not_read_are_named() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("cifar-10-batches-py/data_batch_1", &[0x80, 4], "pickles"),
        ("dataset_dict.json", b"{}", "save_to_disk"),
        ("train-images-idx3-ubyte.gz", &[0x1F, 0x8B], "IDX"),
        ("photos.zip", b"PK\x03\x04", "archives"),
        ("a.tfrecord", b"x", "TFRecord"),
        ("features.npy", b"\x93NUMPY", "arrays"),
    ];
    for (name, bytes, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = splits(folder.path()).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(error.hint().is_some());
        if !matches!(name, "a.tfrecord" | "dataset_dict.json") {
            let error = splits(&path).unwrap_err();
            assert!(
                matches!(
                    error,
                    DataError::ForeignFormat { .. } | DataError::BrokenFile { .. }
                ),
                "{name}: {error}"
            );
        }
    }
}
