//! One parquet file, batch after batch: images decoded, labels taken as class numbers or names.

use std::path::{Path, PathBuf};

use parquet::{
    basic::Type as Physical,
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

use super::columns::Columns;
use crate::DataError;
use crate::dataset::classes::{Classes, Label};
use crate::dataset::{Dataset, ReadOptions, decode, foreign};

/// Rows whose encoded images are in memory at a time, at most, and their bytes.
const BATCH: (usize, usize) = (1024, 1 << 26);

/// An open file.
pub(super) struct File {
    path: PathBuf,
    reader: SerializedFileReader<std::fs::File>,
    columns: Columns,
    /// Names of numbered classes, empty if the file has none.
    class_names: Vec<String>,
}

impl File {
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Self, DataError> {
        let file = fs_err::File::open(path)?.into_file();
        let reader = SerializedFileReader::new(file).map_err(|error| {
            foreign::pointer(path).unwrap_or_else(|| broken(path, error.to_string()))
        })?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns = Columns::of(schema, options).map_err(|reason| DataError::Columns {
            path: path.to_path_buf(),
            reason,
        })?;
        let label = columns.label.as_ref();
        let class_names =
            label.map_or_else(Vec::new, |(name, _)| class_names(reader.metadata(), name));
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            columns,
            class_names,
        })
    }

    /// Number of rows that the file says it has.
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// What should be said about the columns.
    pub(super) fn note(&self) -> Option<String> {
        match &self.columns.label {
            None => Some(format!(
                "no column holds labels, the columns are {}; data.label_column names one",
                self.columns.present
            )),
            Some((name, _)) if name != "label" => Some(format!("labels are in column {name}")),
            Some(_) => None,
        }
    }

    /// Decodes all images and notes all labels.
    pub(super) fn append(
        &self,
        dataset: &mut Dataset,
        classes: &mut Classes,
        expected: usize,
        options: &ReadOptions,
    ) -> Result<(), DataError> {
        let broken = |error: ParquetError| broken(&self.path, error.to_string());
        classes.begin(&self.class_names);
        let mut first = 0;
        for group in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(group).map_err(broken)?;
            let rows = usize::try_from(group.metadata().num_rows())
                .map_err(|_| broken(ParquetError::General("a negative number of rows".into())))?;
            let mut images = self.column(group.as_ref(), self.columns.image)?;
            let mut labels = match &self.columns.label {
                Some((_, column)) => Some(self.column(group.as_ref(), *column)?),
                None => None,
            };
            let mut paths = match self.columns.path {
                Some(column) => Some(self.column(group.as_ref(), column)?),
                None => None,
            };
            let bytes = group
                .metadata()
                .column(self.columns.image)
                .uncompressed_size();
            let average = usize::try_from(bytes).unwrap_or(0) / rows.max(1);
            let batch = (BATCH.1 / average.max(1)).clamp(1, BATCH.0);
            for start in (0..rows).step_by(batch) {
                let count = batch.min(rows - start);
                let encoded = images.bytes(count).map_err(broken)?;
                let names = paths.as_mut().map(|paths| paths.bytes(count)).transpose();
                let names = names.map_err(broken)?;
                let labels = match &mut labels {
                    Some(labels) => labels.labels(count).map_err(broken)?,
                    None => vec![None; count],
                };
                let bytes = |row: usize| match &encoded[row] {
                    Some(bytes) => Ok(Encoded::Here(bytes.clone())),
                    None => self
                        .beside(
                            first + row,
                            names.as_ref().and_then(|names| names[row].as_ref()),
                        )
                        .map(Encoded::Beside),
                };
                let locate = |row: usize| self.locate(first + row);
                let rows = (count, expected);
                for row in decode::append(dataset, rows, bytes, locate, options)? {
                    let location = || self.locate(first + row);
                    classes.add(labels[row].as_ref(), location)?;
                }
                first += count;
            }
        }
        Ok(())
    }

    fn locate(&self, row: usize) -> String {
        format!("{}, row {row}", self.path.display())
    }

    /// The image file that a row without bytes names, which must lie beside the parquet file or where the name says.
    fn beside(&self, row: usize, name: Option<&ByteArray>) -> Result<Vec<u8>, DataError> {
        let location = self.locate(row);
        let Some(name) = name else {
            return Err(DataError::CorruptImage {
                location,
                reason: "it is empty".to_owned(),
            });
        };
        let name = String::from_utf8_lossy(name.data()).into_owned();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let path = folder.join(&name);
        if !path.is_file() {
            return Err(DataError::PathOnly {
                location,
                path: name,
            });
        }
        Ok(fs_err::read(path)?)
    }

    fn column(&self, group: &dyn RowGroupReader, column: usize) -> Result<Column, DataError> {
        let broken = |error: ParquetError| broken(&self.path, error.to_string());
        let descriptor = group.metadata().column(column).column_descr();
        Ok(Column {
            full: descriptor.max_def_level(),
            is_text: descriptor.physical_type() == Physical::BYTE_ARRAY,
            reader: group.get_column_reader(column).map_err(broken)?,
        })
    }
}

/// The bytes of an image.
enum Encoded {
    /// In the file.
    Here(ByteArray),
    /// In a file of its own.
    Beside(Vec<u8>),
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes.data(),
            Self::Beside(bytes) => bytes,
        }
    }
}

fn broken(path: &Path, reason: String) -> DataError {
    DataError::BrokenFile {
        path: path.to_path_buf(),
        format: "parquet",
        reason,
    }
}

/// A flat column of a row group.
struct Column {
    /// Definition level of a value that is there.
    full: i16,
    is_text: bool,
    reader: ColumnReader,
}

impl Column {
    fn bytes(&mut self, rows: usize) -> Result<Vec<Option<ByteArray>>, ParquetError> {
        match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(reader) => values(reader, rows, self.full),
            _ => Err(ParquetError::General("a column holds no bytes".to_owned())),
        }
    }

    fn labels(&mut self, rows: usize) -> Result<Vec<Option<Label>>, ParquetError> {
        if self.is_text {
            let name = |name: ByteArray| Label::Name(String::from_utf8_lossy(name.data()).into());
            return Ok(each(self.bytes(rows)?, name));
        }
        let whole = |value: f64| {
            if value.fract() == 0.0 && value.abs() < 9e15 {
                return Ok(value as i64);
            }
            let reason = format!("label {value} is no whole number");
            Err(ParquetError::General(reason))
        };
        let numbers: Vec<Option<i64>> = match &mut self.reader {
            ColumnReader::Int64ColumnReader(reader) => values(reader, rows, self.full)?,
            ColumnReader::Int32ColumnReader(reader) => {
                each(values(reader, rows, self.full)?, i64::from)
            }
            ColumnReader::BoolColumnReader(reader) => {
                each(values(reader, rows, self.full)?, i64::from)
            }
            ColumnReader::FloatColumnReader(reader) => values(reader, rows, self.full)?
                .into_iter()
                .map(|value| value.map(|value| whole(f64::from(value))).transpose())
                .collect::<Result<_, _>>()?,
            ColumnReader::DoubleColumnReader(reader) => values(reader, rows, self.full)?
                .into_iter()
                .map(|value| value.map(whole).transpose())
                .collect::<Result<_, _>>()?,
            _ => {
                let reason = "the label column holds neither numbers nor names";
                return Err(ParquetError::General(reason.to_owned()));
            }
        };
        Ok(each(numbers, Label::Number))
    }
}

fn each<T, U>(values: Vec<Option<T>>, change: impl Fn(T) -> U) -> Vec<Option<U>> {
    values.into_iter().map(|value| value.map(&change)).collect()
}

/// The next rows of a flat column, `None` where any level of the value is null.
fn values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    full: i16,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, ..) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General(format!("{read} of {rows} rows")));
    }
    if levels.is_empty() {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(levels
        .into_iter()
        .map(|level| if level == full { values.next() } else { None })
        .collect())
}

/// `info.features.<column>.names` of the JSON under the key `huggingface`.
fn class_names(metadata: &ParquetMetaData, column: &str) -> Vec<String> {
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
    let names = metadata.info.features.get(column);
    names
        .and_then(|feature| serde_json::from_value(feature.get("names")?.clone()).ok())
        .unwrap_or_default()
}
