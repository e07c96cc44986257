//! Matrices in parquet files: a column of lists of numbers, or numeric columns side by side.
//!
//! Of several plain columns those of floats are taken, or of integers where there are no floats. Columns that are called as labels and row
//! numbers are (`label`, `id`, ...) are never taken unasked, and are named as left out.

use bytes::Bytes;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::{Matrix, some_of};

/// Names that say that a column is no part of an embedding.
const OTHERS: [&str; 10] = [
    "label",
    "labels",
    "target",
    "targets",
    "class",
    "y",
    "id",
    "idx",
    "index",
    "__index_level_0__",
];
/// Numbers that a file may hold: 4 GiB in memory. Repeated values take next to no room in a file.
const MOST_NUMBERS: i64 = 1 << 30;

/// Reads the column `name`, or the only one of lists, or the numeric ones.
pub(super) fn read(bytes: Bytes, name: Option<&str>) -> Result<Matrix, String> {
    let file = SerializedFileReader::new(bytes).map_err(|error| error.to_string())?;
    check_size(file.metadata())?;
    let (columns, left_out) = match name {
        Some(name) => (vec![name.to_owned()], Vec::new()),
        None => choose(file.metadata())?,
    };
    let rows = file.get_row_iter(None).map_err(|error| error.to_string())?;
    let (mut values, mut count, mut width) = (Vec::new(), 0, None);
    for row in rows {
        let row = row.map_err(|error| error.to_string())?;
        let before = values.len();
        push_row(&row, &columns, &mut values).map_err(|reason| format!("row {count}: {reason}"))?;
        let found = values.len() - before;
        if *width.get_or_insert(found) != found {
            return Err(format!(
                "row {count} has {found} numbers, those before it {}",
                width.unwrap_or(0)
            ));
        }
        count += 1;
    }
    match width {
        Some(width) if width > 0 => Ok(Matrix {
            left_out,
            ..Matrix::new(values, count, width)
        }),
        _ => Err("there are no numbers in it".into()),
    }
}

fn check_size(metadata: &ParquetMetaData) -> Result<(), String> {
    let columns = metadata
        .row_groups()
        .iter()
        .flat_map(parquet::file::metadata::RowGroupMetaData::columns);
    let numbers = columns.fold(0_i64, |sum, column| {
        sum.saturating_add(column.num_values().max(0))
    });
    if numbers > MOST_NUMBERS {
        return Err(format!(
            "it claims {numbers} values; at most {MOST_NUMBERS} are read"
        ));
    }
    Ok(())
}

/// The columns that make the matrix, and those that do not.
fn choose(metadata: &ParquetMetaData) -> Result<(Vec<String>, Vec<String>), String> {
    let schema = metadata.file_metadata().schema_descr();
    let (mut lists, mut floats, mut integers, mut left_out) = (vec![], vec![], vec![], vec![]);
    for column in schema.columns() {
        let name = column.path().parts().first().cloned().unwrap_or_default();
        let half = matches!(column.logical_type_ref(), Some(LogicalType::Float16));
        match column.physical_type() {
            _ if OTHERS.contains(&name.to_lowercase().as_str()) => left_out.push(name),
            _ if column.max_rep_level() > 0 => lists.push(name),
            Physical::FLOAT | Physical::DOUBLE => floats.push(name),
            Physical::FIXED_LEN_BYTE_ARRAY if half => floats.push(name),
            Physical::INT32 | Physical::INT64 => integers.push(name),
            _ => left_out.push(name),
        }
    }
    if lists.len() > 1 {
        let names: Vec<&str> = lists.iter().map(String::as_str).collect();
        return Err(format!(
            "several columns hold lists; name one as FILE:COLUMN, {}",
            some_of(&names)
        ));
    }
    let kinds = [lists, floats, integers];
    let chosen = kinds.iter().position(|names| !names.is_empty());
    let mut columns = Vec::new();
    for (kind, names) in kinds.into_iter().enumerate() {
        if Some(kind) == chosen {
            columns = names;
        } else {
            left_out.extend(names);
        }
    }
    Ok((columns, left_out))
}

fn push_row(row: &Row, columns: &[String], values: &mut Vec<f32>) -> Result<(), String> {
    let mut fields = row.get_column_iter();
    let mut seen: Vec<&str> = Vec::new();
    for name in columns {
        let field = fields
            .by_ref()
            .inspect(|(found, _)| seen.push(found))
            .find(|(found, _)| *found == name)
            .map(|(_, field)| field);
        let field =
            field.ok_or_else(|| format!("there is no column {name}, {}", some_of(&seen)))?;
        push_field(field, values).map_err(|what| format!("column {name} holds {what}"))?;
    }
    Ok(())
}

/// Appends a number, or the numbers of a list; says what else it is.
fn push_field(field: &Field, values: &mut Vec<f32>) -> Result<(), &'static str> {
    values.push(match field {
        Field::ListInternal(list) => {
            let mut elements = list.elements().iter();
            return elements.try_for_each(|element| push_field(element, values));
        }
        Field::Float(value) => *value,
        Field::Double(value) => *value as f32,
        Field::Float16(value) => value.to_f32(),
        Field::Byte(value) => f32::from(*value),
        Field::Short(value) => f32::from(*value),
        Field::Int(value) => *value as f32,
        Field::Long(value) => *value as f32,
        Field::UByte(value) => f32::from(*value),
        Field::UShort(value) => f32::from(*value),
        Field::UInt(value) => *value as f32,
        Field::ULong(value) => *value as f32,
        Field::Null => return Err("nothing (null)"),
        _ => return Err("what is neither a number nor a list of numbers"),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::data_type::{DoubleType, FloatType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Three rows of `a`, `b`, `label` (double) and `id`; `a` of the first row may be null.
    fn file(a: &[f32], levels: &[i16]) -> Bytes {
        let schema = "message m { optional float a; required float b; required double label; required int64 id; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::default());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<FloatType>()
            .write_batch(a, Some(levels), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<FloatType>()
            .write_batch(&[4.0, 5.0, 6.0], None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<DoubleType>()
            .write_batch(&[0.0, 1.0, 2.0], None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int64Type>()
            .write_batch(&[7, 8, 9], None, None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes.into()
    }

    #[test]
    fn labels_and_row_numbers_are_no_part_of_an_embedding() {
        let matrix = read(file(&[1.0, 2.0, 3.0], &[1, 1, 1]), None).unwrap();
        assert_eq!((matrix.rows, matrix.width), (3, 2));
        assert_eq!(matrix.values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(matrix.left_out, ["label", "id"]);
        let named = read(file(&[1.0, 2.0, 3.0], &[1, 1, 1]), Some("label")).unwrap();
        assert_eq!((named.width, named.values), (1, vec![0.0, 1.0, 2.0]));
    }

    #[test]
    fn a_null_and_a_missing_column_are_named() {
        let error = read(file(&[2.0, 3.0], &[0, 1, 1]), None).unwrap_err();
        assert_eq!(error, "row 0: column a holds nothing (null)");
        let error = read(file(&[1.0, 2.0, 3.0], &[1, 1, 1]), Some("c")).unwrap_err();
        assert!(error.contains("no column c, of a, b, label, id"), "{error}");
    }
}
