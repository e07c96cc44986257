//! Hugging Face image data sets: parquet with a column `img` or `image` (struct of `bytes` and `path`; JPEG or PNG bytes) and,
//! where the data are labeled, an integer column `label` (`fine_label` in CIFAR-100). Class names come from the JSON under the
//! metadata key `huggingface`.
//!
//! The path is a folder with `train-*.parquet` and `test-*.parquet` (directly or under `data/`), or a single file, which is
//! then the training split. Read with the low-level column readers, without Arrow.

use std::path::{Path, PathBuf};

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, RowGroupReader},
        serialized_reader::SerializedFileReader,
    },
};
use serde::Deserialize;

use super::{Dataset, Format, ReadOptions, Split, decode, name};
use crate::DataError;

pub(super) static FORMAT: Format = Format {
    name: "Hugging Face parquet",
    about: "a .parquet file or a folder with train-*.parquet and test-*.parquet, images as JPEG or PNG bytes",
    recognises,
    read,
};

const IMAGE_COLUMNS: [&str; 2] = ["img.bytes", "image.bytes"];
const LABEL_COLUMNS: [&str; 2] = ["label", "fine_label"];

fn recognises(path: &Path) -> bool {
    is_parquet(path) && path.is_file() || !files(path, "").is_empty()
}

fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "parquet")
}

/// Parquet files in the folder, or in its `data` folder, whose names begin with `prefix`; sorted.
fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [folder.to_path_buf(), folder.join("data")]
        .iter()
        .filter_map(|folder| fs_err::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| is_parquet(path))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .collect();
    found.sort();
    found
}

fn read(path: &Path, split: Split, options: ReadOptions) -> Result<Dataset, DataError> {
    let files = match (path.is_file(), split) {
        (true, Split::Train) => vec![path.to_path_buf()],
        (true, Split::Test) => Vec::new(),
        (false, _) => files(path, split.as_str()),
    };
    if files.is_empty() {
        return Err(DataError::MissingSplit {
            path: path.to_path_buf(),
            split: split.as_str(),
        });
    }
    let mut dataset = Dataset::named(name::of(path)?);
    let (mut labels, mut unlabeled, mut class_names) = (Vec::new(), None, Vec::new());
    for file in &files {
        let rows = Rows::read_guarded(file)?;
        let image = |row: usize| Ok(rows.images[row].data());
        let locate = |row| locate(file, row);
        let kept = decode::append(&mut dataset, rows.images.len(), image, locate, options)?;
        match rows.labels {
            Some(found) => {
                let found = check_labels(file, &found, rows.class_names.len())?;
                labels.extend(kept.into_iter().map(|row| found[row]));
                class_names = rows.class_names;
            }
            None => unlabeled = Some(file),
        }
    }
    if let (Some(file), false) = (unlabeled, labels.is_empty()) {
        let location = file.display().to_string();
        return Err(DataError::MissingLabel { location });
    }
    decode::require_images(&dataset, path)?;
    if unlabeled.is_none() {
        if class_names.is_empty() {
            let classes = labels.iter().max().map_or(0, |&last| last + 1);
            class_names = (0..classes).map(|class| class.to_string()).collect();
        }
        dataset.set_labels(Some(labels), class_names);
    }
    Ok(dataset)
}

fn locate(file: &Path, row: usize) -> String {
    format!("{}, row {row}", file.display())
}

/// Labels as class indices; without names every label from 0 up is a class.
fn check_labels(
    file: &Path,
    labels: &[Option<i64>],
    classes: usize,
) -> Result<Vec<u32>, DataError> {
    let limit = if classes == 0 {
        u32::MAX as usize
    } else {
        classes
    };
    let check = |(row, &label): (usize, &Option<i64>)| {
        let label = label.ok_or_else(|| DataError::MissingLabel {
            location: locate(file, row),
        })?;
        u32::try_from(label)
            .ok()
            .filter(|&class| (class as usize) < limit)
            .ok_or_else(|| DataError::LabelOutOfRange {
                location: locate(file, row),
                label,
                classes,
            })
    };
    labels.iter().enumerate().map(check).collect()
}

/// The columns of one file.
struct Rows {
    images: Vec<ByteArray>,
    labels: Option<Vec<Option<i64>>>,
    class_names: Vec<String>,
}

impl Rows {
    /// The decoder trusts some fields of a file and panics where they are wrong; such a file is broken, not this program.
    fn read_guarded(path: &Path) -> Result<Self, DataError> {
        std::panic::catch_unwind(|| Self::read(path)).unwrap_or_else(|_| {
            Err(DataError::BrokenFile {
                path: path.to_path_buf(),
                format: "parquet",
                reason: "its structure contradicts itself".to_owned(),
            })
        })
    }

    fn read(path: &Path) -> Result<Self, DataError> {
        let broken = |error: ParquetError| DataError::BrokenFile {
            path: path.to_path_buf(),
            format: "parquet",
            reason: error.to_string(),
        };
        let file = fs_err::File::open(path)?.into_file();
        let reader = SerializedFileReader::new(file).map_err(broken)?;
        let image_column = column(reader.metadata(), &IMAGE_COLUMNS).ok_or_else(|| {
            broken(ParquetError::General(
                "no column img.bytes or image.bytes".to_owned(),
            ))
        })?;
        let label_column = column(reader.metadata(), &LABEL_COLUMNS);
        let mut rows = Self {
            images: Vec::new(),
            labels: label_column.map(|_| Vec::new()),
            class_names: class_names(reader.metadata()),
        };
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(broken)?;
            for image in images(group.as_ref(), image_column).map_err(broken)? {
                // a row without an image has no bytes, which the decoder reports with its row
                rows.images
                    .push(image.unwrap_or_else(|| ByteArray::from(Vec::new())));
            }
            if let (Some(labels), Some(column)) = (&mut rows.labels, label_column) {
                labels.extend(integers(group.as_ref(), column).map_err(broken)?);
            }
        }
        // a column of nothing but nulls is no label
        rows.labels = rows
            .labels
            .filter(|labels| labels.iter().any(Option::is_some));
        Ok(rows)
    }
}

fn column(metadata: &ParquetMetaData, names: &[&str]) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    names.iter().find_map(|name| {
        columns
            .iter()
            .position(|column| column.path().string() == *name)
    })
}

fn images(
    group: &dyn RowGroupReader,
    column: usize,
) -> Result<Vec<Option<ByteArray>>, ParquetError> {
    match group.get_column_reader(column)? {
        ColumnReader::ByteArrayColumnReader(reader) => optional_values(reader, group, column),
        _ => Err(ParquetError::General(
            "the image column does not hold bytes".to_owned(),
        )),
    }
}

fn integers(group: &dyn RowGroupReader, column: usize) -> Result<Vec<Option<i64>>, ParquetError> {
    match group.get_column_reader(column)? {
        ColumnReader::Int64ColumnReader(reader) => optional_values(reader, group, column),
        ColumnReader::Int32ColumnReader(reader) => Ok(optional_values(reader, group, column)?
            .into_iter()
            .map(|label| label.map(i64::from))
            .collect()),
        _ => Err(ParquetError::General(
            "the label column does not hold integers".to_owned(),
        )),
    }
}

/// All rows of a flat column, `None` where any level of the value is null.
fn optional_values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    group: &dyn RowGroupReader,
    column: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let rows = usize::try_from(group.metadata().num_rows())
        .map_err(|_| ParquetError::General("negative number of rows".to_owned()))?;
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, ..) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General(format!("{read} of {rows} rows")));
    }
    if levels.is_empty() {
        return Ok(values.into_iter().map(Some).collect());
    }
    let full = group
        .metadata()
        .column(column)
        .column_descr()
        .max_def_level();
    let mut values = values.into_iter();
    Ok(levels
        .into_iter()
        .map(|level| if level == full { values.next() } else { None })
        .collect())
}

/// `info.features.<label column>.names` of the JSON under the key `huggingface`.
fn class_names(metadata: &ParquetMetaData) -> Vec<String> {
    #[derive(Deserialize)]
    struct Metadata {
        info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        features: std::collections::HashMap<String, serde_json::Value>,
    }
    let json = metadata
        .file_metadata()
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == "huggingface"))
        .and_then(|pair| pair.value.as_deref());
    let Some(Ok(metadata)) = json.map(serde_json::from_str::<Metadata>) else {
        return Vec::new();
    };
    LABEL_COLUMNS
        .iter()
        .find_map(|column| metadata.info.features.get(*column))
        .and_then(|feature| serde_json::from_value(feature.get("names")?.clone()).ok())
        .unwrap_or_default()
}
