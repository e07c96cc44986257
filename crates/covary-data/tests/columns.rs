//! Parquet as other programs write it: columns of other names and kinds, compression, shards, folders. The files are pyarrow's.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::{Path, PathBuf};

use covary_data::{DataError, Dataset, ReadOptions, Split, Splits, open};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    folder.join(name).with_extension("parquet")
}

fn read(name: &str) -> Result<Dataset, DataError> {
    open(&fixture(name), Split::Train, &ReadOptions::default())
}

/// A folder with copies of the fixtures under the names given.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(fixture(source), path).unwrap();
    }
    folder
}

fn splits(folder: &tempfile::TempDir) -> Result<Splits, DataError> {
    Splits::open(folder.path(), &ReadOptions::default(), 0.0)
}

/// Grey level of image `index`.
fn level(dataset: &Dataset, index: usize) -> u8 {
    dataset.image(index).pixels[0]
}

#[test]
fn every_compression_is_read() {
    for codec in ["gzip", "lz4", "brotli"] {
        let dataset = read(codec).unwrap();
        assert_eq!(dataset.labels(), Some([0, 1, 0].as_slice()), "{codec}");
        assert_eq!(level(&dataset, 2), 20, "{codec}");
    }
}

#[test]
fn labels_of_every_kind_become_classes_with_names() {
    let cases: [(&str, &[u32], &[&str]); 4] = [
        ("string_labels", &[1, 0, 1], &["cat", "dog"]),
        ("float_labels", &[1, 0, 1], &["0", "2"]),
        ("labels", &[1, 0, 1], &["3", "7"]),
        ("far", &[1, 0, 1], &["3", "20000000"]),
    ];
    for (name, labels, classes) in cases {
        let dataset = read(name).unwrap();
        assert_eq!(dataset.labels(), Some(labels), "{name}");
        assert_eq!(dataset.class_names(), classes, "{name}");
    }
    assert!(read("labels").unwrap().notes()[0].contains("column labels"));
    assert_eq!(read("withheld").unwrap().labels(), None);
}

#[test]
fn images_are_found_as_bytes_and_in_structs() {
    for name in ["bytes", "large", "other_names"] {
        let dataset = read(name).unwrap();
        assert_eq!((dataset.len(), level(&dataset, 1)), (2, 10), "{name}");
    }
}

#[test]
fn columns_can_be_chosen() {
    let options = ReadOptions {
        image_column: "photo".to_owned(),
        label_column: "animal".to_owned(),
        ..ReadOptions::default()
    };
    let dataset = open(&fixture("other_names"), Split::Train, &options).unwrap();
    assert_eq!(dataset.class_names(), ["cat", "dog"]);
    let error = open(&fixture("bytes"), Split::Train, &options).unwrap_err();
    assert!(
        error.to_string().contains("image (bytes), label (int64)"),
        "{error}"
    );
    let two = ReadOptions {
        image_column: "img".to_owned(),
        ..ReadOptions::default()
    };
    assert!(open(&fixture("two_images"), Split::Train, &two).is_ok());
}

#[test]
fn columns_that_cannot_be_used_are_named_with_the_true_reason() {
    let cases = [
        ("two_images", "several columns hold images"),
        ("pixels", "image (struct of list) holds no encoded images"),
        ("list_labels", "label (struct of list) holds no labels"),
        ("half_labels", "label 0.5 is no whole number"),
        ("path_only", "holds no image, only the name \"0.png\""),
    ];
    for (name, expected) in cases {
        let error = read(name).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains(name),
            "{name}: {text}"
        );
    }
    let note = read("unlabeled").unwrap().notes()[0].clone();
    assert!(
        note.contains("the columns are image (struct of bytes, path)"),
        "{note}"
    );
}

#[test]
fn images_beside_a_file_that_names_them_are_read() {
    let folder = folder(&[("train.parquet", "path_only")]);
    for (name, level) in [("0.png", 5), ("1.png", 6)] {
        let image = image::RgbImage::from_pixel(4, 4, image::Rgb([level; 3]));
        image.save(folder.path().join(name)).unwrap();
    }
    let dataset = open(
        &folder.path().join("train.parquet"),
        Split::Train,
        &ReadOptions::default(),
    )
    .unwrap();
    assert_eq!((level(&dataset, 0), level(&dataset, 1)), (5, 6));
}

#[test]
fn a_missing_shard_is_named() {
    let cases = [
        (
            "train-00000-of-00002.parquet",
            "train-00001-of-00002.parquet",
        ),
        (
            "data/train-00001-of-00002.parquet",
            "train-00000-of-00002.parquet",
        ),
        ("default/train/0001.parquet", "0000.parquet"),
    ];
    for (there, missing) in cases {
        let error = splits(&folder(&[(there, "cat_dog")])).unwrap_err();
        assert!(
            matches!(error, DataError::MissingShard { .. }) && error.to_string().contains(missing),
            "{there}: {error}"
        );
    }
    let test = folder(&[
        ("train.parquet", "cat_dog"),
        ("test-00000-of-00003.parquet", "cat_dog"),
        ("test-00002-of-00003.parquet", "cat_dog"),
    ]);
    let error = splits(&test).unwrap_err();
    assert!(error.to_string().contains("test-00001-of-00003"), "{error}");
}

#[test]
fn splits_are_found_in_every_layout() {
    let layouts = [
        [
            "train-00000-of-00001.parquet",
            "test-00000-of-00001.parquet",
        ],
        ["plain_text/train-0.parquet", "plain_text/test-0.parquet"],
        ["default/train/0000.parquet", "default/test/0000.parquet"],
        ["cifar10-train.parquet", "cifar10-test.parquet"],
        ["train-0.parquet", "validation-0.parquet"],
    ];
    for [train, test] in layouts {
        let splits = splits(&folder(&[(train, "cat_dog"), (test, "cat_dog")])).unwrap();
        assert_eq!(splits.train.len(), 2, "{train}");
        assert_eq!(splits.test.map(|test| test.len()), Some(2), "{test}");
    }
    let several = folder(&[
        ("a/train-0.parquet", "cat_dog"),
        ("b/train-0.parquet", "far"),
    ]);
    let error = splits(&several).unwrap_err();
    assert!(
        matches!(error, DataError::SeveralConfigurations { .. }),
        "{error}"
    );
}

#[test]
fn metadata_beside_an_image_folder_is_no_data_set() {
    let folder = folder(&[("metadata.parquet", "string_labels")]);
    for class in ["ant", "bee"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        let image = image::RgbImage::new(4, 4);
        image.save(folder.path().join(class).join("1.png")).unwrap();
    }
    let train = splits(&folder).unwrap().train;
    assert_eq!(train.class_names(), ["ant", "bee"]);
}

#[test]
fn names_decide_which_class_a_label_is() {
    let splits = splits(&folder(&[
        ("train.parquet", "cat_dog"),
        ("test.parquet", "dog_cat"),
    ]));
    let Splits { train, test, .. } = splits.unwrap();
    let test = test.unwrap();
    assert_eq!(test.class_names(), train.class_names());
    assert_eq!(test.labels(), Some([1, 0].as_slice()), "dog, cat");
    // shards of one split as well
    let shards = folder(&[
        ("train-00000-of-00002.parquet", "cat_dog"),
        ("train-00001-of-00002.parquet", "dog_cat"),
    ]);
    let train = open(shards.path(), Split::Train, &ReadOptions::default()).unwrap();
    assert_eq!(train.labels(), Some([0, 1, 1, 0].as_slice()));
    let mixed = folder(&[
        ("train-00000-of-00002.parquet", "cat_dog"),
        ("train-00001-of-00002.parquet", "far"),
    ]);
    let error = open(mixed.path(), Split::Train, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::MixedNames { .. }), "{error}");
}

#[test]
fn test_labels_that_cannot_be_scored_are_found_at_once() {
    let beyond = folder(&[("train.parquet", "bytes"), ("test.parquet", "far")]);
    let error = splits(&beyond).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("\"20000000\"") && text.contains("test.parquet, row 0"),
        "{text}"
    );
    for source in ["unlabeled", "withheld"] {
        let folder = folder(&[("train.parquet", "cat_dog"), ("test.parquet", source)]);
        let splits = splits(&folder).unwrap();
        assert!(splits.test.is_none(), "{source}");
        assert!(
            splits.notes.join("\n").contains("have no labels"),
            "{:?}",
            splits.notes
        );
    }
}

#[test]
fn a_pointer_in_place_of_a_file_says_how_to_fetch_it() {
    let folder = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:6652\nsize 146946961\n";
    std::fs::write(folder.path().join("train-0.parquet"), pointer).unwrap();
    let error = splits(&folder).unwrap_err();
    assert!(error.to_string().contains("Git LFS pointer"), "{error}");
    assert!(error.hint().unwrap().contains("git lfs pull"));
}
