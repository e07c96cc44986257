//! Matrices in files: `FILE` or `FILE:TENSOR`, as npy, safetensors, or parquet.
//!
//! npy: a two-dimensional array of floats. safetensors: a tensor `[n, d]` of F32, F64, F16 or BF16, named where the file holds several.
//! parquet: a column of lists of numbers, named where there are several, or else all numeric columns together.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err as fs;
use npyz::{NpyFile, Order};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use safetensors::{Dtype, SafeTensors};

/// A matrix read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// `[rows, width]`, row by row.
    pub values: Vec<f32>,
    /// Rows.
    pub rows: usize,
    /// Width.
    pub width: usize,
}

/// Why a matrix could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An ending that says nothing.
    #[error("{} is neither .npy nor .safetensors nor .parquet", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Not the matrix that was asked for.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what there is.
        reason: String,
    },
}

impl Matrix {
    /// Reads `FILE` or `FILE:TENSOR`.
    ///
    /// # Errors
    /// [`MatrixError`] naming the file.
    pub fn read(spec: &str) -> Result<Self, MatrixError> {
        let (path, name) = match spec.rsplit_once(':') {
            Some((path, name)) if !Path::new(spec).exists() => (path, Some(name)),
            _ => (spec, None),
        };
        let path = Path::new(path);
        let ending = path.extension().and_then(|ending| ending.to_str());
        let known = ["npy", "safetensors", "parquet"];
        let Some(ending) = ending.filter(|ending| known.contains(ending)) else {
            return Err(MatrixError::Format { path: path.into() });
        };
        let bytes = fs::read(path).map_err(|source| MatrixError::Read {
            path: path.into(),
            source,
        })?;
        let read = match ending {
            "npy" => read_npy(&bytes, name),
            "safetensors" => read_safetensors(&bytes, name),
            _ => read_parquet(bytes.into(), name),
        };
        read.map_err(|reason| MatrixError::Content {
            path: path.into(),
            reason,
        })
    }
}

fn read_npy(bytes: &[u8], name: Option<&str>) -> Result<Matrix, String> {
    if let Some(name) = name {
        return Err(format!("an npy file has no tensors by name ({name})"));
    }
    let file = NpyFile::new(bytes).map_err(|error| error.to_string())?;
    let &[rows, width] = file.shape() else {
        return Err(format!("an array of shape {:?} is no matrix", file.shape()));
    };
    if file.order() == Order::Fortran {
        return Err("the array is in Fortran order; save numpy.ascontiguousarray of it".into());
    }
    let kind = file.dtype().descr();
    let values = match file.try_data::<f32>() {
        Ok(values) => values.collect::<Result<Vec<_>, _>>(),
        Err(file) => file
            .data::<f64>()
            .map_err(|_| format!("numbers of type {kind} are neither f32 nor f64"))?
            .map(|value| value.map(|value| value as f32))
            .collect(),
    };
    Ok(Matrix {
        values: values.map_err(|error| error.to_string())?,
        rows: rows as usize,
        width: width as usize,
    })
}

fn read_safetensors(bytes: &[u8], name: Option<&str>) -> Result<Matrix, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut names = file.names();
    names.sort_unstable();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [name]) => name,
        (None, names) => {
            return Err(format!(
                "it holds {} tensors; name one as FILE:TENSOR, {}",
                names.len(),
                some_of(names)
            ));
        }
    };
    let tensor = file
        .tensor(name)
        .map_err(|_| format!("there is no tensor {name}, {}", some_of(&names)))?;
    let &[rows, width] = tensor.shape() else {
        return Err(format!(
            "{name} has shape {:?} and is no matrix",
            tensor.shape()
        ));
    };
    let data = tensor.data();
    let values = match tensor.dtype() {
        Dtype::F32 => data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F64 => data
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        Dtype::F16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::BF16 => data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::bf16::from_le_bytes(*b).to_f32())
            .collect(),
        other => {
            return Err(format!(
                "{name} holds {other:?}; F32, F64, F16 or BF16 is needed"
            ));
        }
    };
    Ok(Matrix {
        values,
        rows,
        width,
    })
}

fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let shown = &names[..names.len().min(SHOWN)];
    format!("of {}{more}", shown.join(", "))
}

fn read_parquet(bytes: Bytes, name: Option<&str>) -> Result<Matrix, String> {
    let file = SerializedFileReader::new(bytes).map_err(|error| error.to_string())?;
    let rows = file.get_row_iter(None).map_err(|error| error.to_string())?;
    let (mut values, mut count, mut width) = (Vec::new(), 0, None);
    for row in rows {
        let row = row.map_err(|error| error.to_string())?;
        let before = values.len();
        push_row(&row, name, &mut values).map_err(|reason| format!("row {count}: {reason}"))?;
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
            values,
            rows: count,
            width,
        }),
        _ => Err("there are no numbers in it".into()),
    }
}

/// One row's numbers: those of the column `name`, or of the only list, or of all numeric columns.
fn push_row(row: &Row, name: Option<&str>, values: &mut Vec<f32>) -> Result<(), String> {
    let columns: Vec<(&String, &Field)> = row.get_column_iter().collect();
    if let Some(name) = name {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let field = columns.iter().find(|(column, _)| *column == name);
        let (_, field) =
            field.ok_or_else(|| format!("there is no column {name}, {}", some_of(&names)))?;
        return push_field(field, values)
            .ok_or_else(|| format!("column {name} is no list of numbers"));
    }
    let lists: Vec<_> = columns
        .iter()
        .filter(|(_, field)| matches!(field, Field::ListInternal(_)))
        .collect();
    match lists.as_slice() {
        [(name, field)] => {
            push_field(field, values).ok_or_else(|| format!("column {name} is no list of numbers"))
        }
        [] => {
            columns.iter().for_each(|(_, field)| {
                push_field(field, values);
            });
            Ok(())
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!(
                "several columns hold lists; name one as FILE:COLUMN, {}",
                some_of(&names)
            ))
        }
    }
}

fn push_field(field: &Field, values: &mut Vec<f32>) -> Option<()> {
    values.push(match field {
        Field::ListInternal(list) => {
            let mut elements = list.elements().iter();
            return elements.try_for_each(|element| push_field(element, values));
        }
        Field::Float(value) => *value,
        Field::Double(value) => *value as f32,
        Field::Float16(value) => value.to_f32(),
        _ => return None,
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let spec = path.display().to_string();
        (folder, spec)
    }

    fn npy(kind: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn npy_of_both_float_kinds_is_read_and_others_are_named() {
        let single: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let double: Vec<u8> = [1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        for (kind, data) in [("<f4", &single), ("<f8", &double)] {
            let (_folder, spec) = file("z.npy", &npy(kind, "False", "(3, 2)", data));
            let matrix = Matrix::read(&spec).unwrap();
            assert_eq!((matrix.rows, matrix.width), (3, 2));
            assert_eq!(matrix.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        }
        for (bytes, word) in [
            (
                npy("<i4", "False", "(3, 2)", &single),
                "neither f32 nor f64",
            ),
            (npy("<f4", "True", "(3, 2)", &single), "Fortran"),
            (npy("<f4", "False", "(6,)", &single), "no matrix"),
        ] {
            let (_folder, spec) = file("z.npy", &bytes);
            let error = Matrix::read(&spec).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_safetensors_file_of_many_tensors_asks_for_a_name() {
        let golden = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../golden/metrics.safetensors"
        );
        let error = Matrix::read(golden).unwrap_err().to_string();
        assert!(error.contains("FILE:TENSOR"), "{error}");
        let matrix = Matrix::read(&format!("{golden}:isotropic.z")).unwrap();
        assert_eq!((matrix.rows, matrix.width), (512, 64));
        let error = Matrix::read(&format!("{golden}:isotropik.z")).unwrap_err();
        assert!(
            error.to_string().contains("no tensor isotropik.z"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_ending_and_a_missing_file_are_told_apart() {
        assert!(matches!(
            Matrix::read("z.csv"),
            Err(MatrixError::Format { .. })
        ));
        assert!(matches!(
            Matrix::read("missing.npy"),
            Err(MatrixError::Read { .. })
        ));
    }
}
