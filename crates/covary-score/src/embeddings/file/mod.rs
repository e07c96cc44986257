//! Matrices in files: `FILE` or `FILE:TENSOR`, as npy, safetensors, or parquet.
//!
//! npy: a two-dimensional array of floats or integers. safetensors: a tensor `[n, d]` of F32, F64, F16 or BF16, named where the file holds
//! several. parquet: a column of lists of numbers, named where there are several, or else the numeric columns together.

mod columns;
mod npy;
mod tensors;

use std::path::{Path, PathBuf};

use fs_err as fs;

/// A matrix read from a file; every number is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// `[rows, width]`, row by row.
    pub values: Vec<f32>,
    /// Rows.
    pub rows: usize,
    /// Width.
    pub width: usize,
    /// Columns of the file that are no part of the matrix.
    pub left_out: Vec<String>,
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
    fn new(values: Vec<f32>, rows: usize, width: usize) -> Self {
        Self {
            values,
            rows,
            width,
            left_out: Vec::new(),
        }
    }

    /// The matrix itself, or where it holds what is no finite f32.
    fn finite(self) -> Result<Self, String> {
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(self),
            Some(at) => Err(format!(
                "row {}, column {} is {} (counted from 0); every number must be finite in 32 bits",
                at / self.width,
                at % self.width,
                self.values[at]
            )),
        }
    }

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
        let ending = ending.map(str::to_lowercase);
        let known = ["npy", "safetensors", "parquet"];
        let Some(ending) = ending.filter(|ending| known.contains(&ending.as_str())) else {
            return Err(MatrixError::Format { path: path.into() });
        };
        let bytes = fs::read(path).map_err(|source| MatrixError::Read {
            path: path.into(),
            source,
        })?;
        let read = match ending.as_str() {
            "npy" => npy::read(&bytes, name),
            "safetensors" => tensors::read(&bytes, name),
            _ => columns::read(bytes.into(), name),
        };
        read.and_then(Self::finite)
            .map_err(|reason| MatrixError::Content {
                path: path.into(),
                reason,
            })
    }
}

fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let shown = &names[..names.len().min(SHOWN)];
    format!("of {}{more}", shown.join(", "))
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

    #[test]
    fn a_number_that_is_not_finite_is_named_with_file_and_row() {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}";
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        for (value, told) in [(f64::NAN, "is NaN"), (1e300, "is inf")] {
            let numbers = [0.0, 1.0, 2.0, 3.0, 4.0, value];
            let data = numbers.iter().flat_map(|x| x.to_le_bytes());
            let file_bytes: Vec<u8> = bytes.iter().copied().chain(data).collect();
            let (_folder, spec) = file("z.NPY", &file_bytes);
            let error = Matrix::read(&spec).unwrap_err().to_string();
            assert!(error.starts_with(&spec), "{error}");
            assert!(
                error.contains("row 1, column 2") && error.contains(told),
                "{error}"
            );
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
