//! Hugging Face parquet: the bundled CIFAR-10, files of other shapes, and damaged files.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod fixtures;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use covary_data::{DataError, Dataset, ReadOptions, Split, open};
use fixtures::{encode, picture};
use image::ImageFormat;
use parquet::{
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use safetensors::SafeTensors;

fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn read(path: &Path) -> Result<Dataset, DataError> {
    open(path, Split::Train, &ReadOptions::default())
}

/// Writes a Hugging Face image parquet with the image column named `column`; labels and class names as given.
fn write_parquet(
    path: &Path,
    column: &str,
    images: &[Vec<u8>],
    labels: Option<&[i64]>,
    names: &[&str],
) {
    let label = labels.map_or("", |_| "optional int64 label;");
    let schema = format!(
        "message m {{ optional group {column} {{ optional binary bytes; optional binary path (UTF8); }} {label} }}"
    );
    let json = format!(
        r#"{{"info": {{"features": {{"label": {{"names": {names:?}, "_type": "ClassLabel"}}}}}}}}"#
    );
    let metadata = vec![KeyValue::new("huggingface".to_owned(), json)];
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(metadata))
        .build();
    let file = std::fs::File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let bytes: Vec<ByteArray> = images.iter().cloned().map(ByteArray::from).collect();
    let mut columns = group.next_column().unwrap().unwrap();
    columns
        .typed::<ByteArrayType>()
        .write_batch(&bytes, Some(&vec![2; images.len()]), None)
        .unwrap();
    columns.close().unwrap();
    let mut columns = group.next_column().unwrap().unwrap();
    columns
        .typed::<ByteArrayType>()
        .write_batch(&[], Some(&vec![1; images.len()]), None)
        .unwrap();
    columns.close().unwrap();
    if let Some(labels) = labels {
        let mut columns = group.next_column().unwrap().unwrap();
        columns
            .typed::<Int64Type>()
            .write_batch(labels, Some(&vec![1; labels.len()]), None)
            .unwrap();
        columns.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn the_bundled_cifar_is_complete_and_says_that_it_is_jpeg() {
    for (split, images) in [(Split::Train, 50_000), (Split::Test, 10_000)] {
        let dataset = open(&repository("data/cifar10"), split, &ReadOptions::default()).unwrap();
        assert_eq!(dataset.len(), images);
        assert_eq!(dataset.name(), "CIFAR-10 (JPEG)");
        assert_eq!(
            dataset.common_size().map(|size| (size.height, size.width)),
            Some((32, 32))
        );
        assert_eq!(dataset.pixels().len(), images * 32 * 32 * 3);
        assert_eq!(dataset.class_names()[6], "frog");
        let mut counts = [0; 10];
        for &label in dataset.labels().unwrap() {
            counts[label as usize] += 1;
        }
        assert_eq!(counts, [images / 10; 10]);
    }
}

/// Rows of the test split that `golden/make_trajectory.py` decoded with Pillow: 351.. in `augment`, 1.. in `trajectory`.
#[test]
fn jpegs_decode_as_with_libjpeg() {
    let test = open(
        &repository("data/cifar10"),
        Split::Test,
        &ReadOptions::default(),
    )
    .unwrap();
    let mut differences = [0_usize; 256];
    let mut compare = |row: usize, expected: &[u8]| {
        for (&ours, &theirs) in test.image(row).pixels.iter().zip(expected) {
            differences[usize::from(ours.abs_diff(theirs))] += 1;
        }
    };
    let bytes = std::fs::read(repository("golden/augment.safetensors")).unwrap();
    let images = SafeTensors::deserialize(&bytes).unwrap();
    for (image, expected) in images
        .tensor("images")
        .unwrap()
        .data()
        .chunks_exact(3072)
        .enumerate()
    {
        compare(351 + image, expected);
    }
    let bytes = std::fs::read(repository("golden/trajectory.safetensors")).unwrap();
    let views = SafeTensors::deserialize(&bytes).unwrap();
    for (step, both) in views
        .tensor("views")
        .unwrap()
        .data()
        .chunks_exact(2 * 64 * 3072)
        .enumerate()
    {
        for (image, expected) in both.chunks_exact(3072).take(64).enumerate() {
            compare(1 + step * 64 + image, expected);
        }
    }
    let values: usize = differences.iter().sum();
    assert_eq!(values, (8 + 384) * 3072);
    let sum: usize = differences
        .iter()
        .enumerate()
        .map(|(level, count)| level * count)
        .sum();
    let largest = differences.iter().rposition(|&count| count > 0).unwrap();
    let mean = sum as f64 / values as f64;
    // the decoders round chroma differently when they double its resolution
    println!(
        "grey levels from libjpeg: mean {mean:.4}, largest {largest}, {:?}",
        &differences[..=largest]
    );
    assert!(largest <= 4 && mean < 0.5, "largest {largest}, mean {mean}");
}

#[test]
fn png_and_jpeg_of_any_size_are_read_with_either_column_name() {
    let folder = tempfile::tempdir().unwrap();
    for column in ["img", "image"] {
        let path = folder.path().join(format!("{column}.parquet"));
        let (small, large) = (picture(32, 32, 9), picture(40, 20, 200));
        let images = [
            encode(&small, ImageFormat::Png),
            encode(&large, ImageFormat::Png),
            encode(&large, ImageFormat::Jpeg),
        ];
        write_parquet(&path, column, &images, Some(&[1, 0, 1]), &["cat", "dog"]);
        let dataset = read(&path).unwrap();
        assert_eq!(dataset.image(0).pixels, small.as_raw().as_slice());
        assert_eq!(dataset.image(1).pixels, large.as_raw().as_slice());
        assert_eq!((dataset.size(2).height, dataset.size(2).width), (20, 40));
        assert_eq!(dataset.common_size(), None);
        assert_eq!(dataset.labels(), Some([1, 0, 1].as_slice()));
        assert_eq!(dataset.class_names(), ["cat", "dog"]);
        assert_eq!(dataset.name(), format!("{column}.parquet"));
    }
}

#[test]
fn data_without_labels_are_unlabeled() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(
        &folder.path().join("train-0.parquet"),
        "img",
        &[encode(&picture(8, 8, 0), ImageFormat::Png)],
        None,
        &[],
    );
    let dataset = read(folder.path()).unwrap();
    assert_eq!((dataset.labels(), dataset.label(0)), (None, None));
    assert!(dataset.class_names().is_empty());
    let error = open(folder.path(), Split::Test, &ReadOptions::default()).unwrap_err();
    assert!(
        matches!(error, DataError::MissingSplit { split: "test", .. }),
        "{error}"
    );
}

#[test]
fn shards_are_joined_in_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for shard in [1, 0] {
        let image = encode(&picture(8, 8, shard), ImageFormat::Png);
        write_parquet(
            &folder
                .path()
                .join(format!("train-0000{shard}-of-00002.parquet")),
            "img",
            &[image],
            Some(&[i64::from(shard)]),
            &["a", "b"],
        );
    }
    let dataset = read(folder.path()).unwrap();
    assert_eq!(dataset.labels(), Some([0, 1].as_slice()));
    assert_eq!(
        (dataset.image(0).pixels[2], dataset.image(1).pixels[2]),
        (0, 1)
    );
}

#[test]
fn a_corrupt_image_is_named_and_skipped_only_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-0.parquet");
    let good = encode(&picture(32, 32, 1), ImageFormat::Jpeg);
    let truncated = good[..good.len() / 3].to_vec();
    write_parquet(
        &path,
        "img",
        &[good.clone(), truncated, good, b"text".to_vec()],
        Some(&[0, 1, 2, 3]),
        &["a", "b", "c", "d"],
    );
    let error = read(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("train-0.parquet, row 1"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("skip_corrupt"));
    let dataset = open(
        folder.path(),
        Split::Train,
        &ReadOptions {
            skip_corrupt: true,
            ..ReadOptions::default()
        },
    )
    .unwrap();
    assert_eq!(dataset.labels(), Some([0, 2].as_slice()));
    let skipped: Vec<&str> = dataset
        .skipped()
        .iter()
        .map(|image| image.location.as_str())
        .collect();
    assert_eq!(skipped.len(), 2);
    assert!(
        skipped[0].ends_with("row 1") && skipped[1].ends_with("row 3"),
        "{skipped:?}"
    );
}

#[test]
fn truncated_files_are_errors_wherever_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-0.parquet");
    let whole = std::fs::read(repository("data/cifar10/test-00000-of-00001.parquet")).unwrap();
    for length in [0, 3, 1000, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(
            matches!(error, DataError::BrokenFile { .. }),
            "{length} bytes: {error}"
        );
        assert!(error.to_string().contains("train-0.parquet"), "{error}");
    }
}

#[test]
fn a_file_without_rows_has_no_images() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(
        &folder.path().join("train-0.parquet"),
        "img",
        &[],
        Some(&[]),
        &["a"],
    );
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::EmptyFolder { .. }), "{error}");
}

#[test]
fn labels_must_name_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let image = encode(&picture(8, 8, 0), ImageFormat::Png);
    for label in [2, -1] {
        write_parquet(
            &path,
            "img",
            &[image.clone(), image.clone()],
            Some(&[0, label]),
            &["a", "b"],
        );
        let error = read(&path).unwrap_err();
        assert!(
            error.to_string().contains(&format!("label {label} in"))
                && error.to_string().contains("row 1"),
            "{error}"
        );
    }
}

#[test]
fn a_description_must_hold_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let image = encode(&picture(8, 8, 0), ImageFormat::Png);
    write_parquet(
        &folder.path().join("train-0.parquet"),
        "img",
        &[image],
        None,
        &[],
    );
    std::fs::write(folder.path().join("dataset.toml"), "name = \"Eight\"\n").unwrap();
    assert_eq!(read(folder.path()).unwrap().name(), "Eight");
    std::fs::write(folder.path().join("dataset.toml"), "nam = \"Eight\"\n").unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("dataset.toml"), "{error}");
}
