//! Networks as safetensors files under PyTorch's names, with BatchNorm's `num_batches_tracked`, so that
//! `load_state_dict(strict=True)` of the same module takes them.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use fs_err as fs;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::layout::{Layout, LayoutEntry};
use crate::{Network, NnError};

const COUNTER: &str = "num_batches_tracked";

impl Network {
    /// Writes parameters and running statistics; the file appears when it is complete. Equal networks give equal bytes.
    ///
    /// # Errors
    /// [`NnError::Io`] when it cannot be written.
    pub fn save(&self, path: &Path, metadata: HashMap<String, String>) -> Result<(), NnError> {
        let zero = 0_i64.to_le_bytes();
        let mut views = Vec::new();
        for (layout, values) in [
            (self.layout(), self.parameters()),
            (self.statistics_layout(), self.statistics()),
        ] {
            for entry in layout.entries() {
                let bytes = bytemuck::cast_slice(&values[entry.range()]);
                views.push((
                    entry.name.clone(),
                    TensorView::new(Dtype::F32, entry.shape.clone(), bytes),
                ));
                if let Some(norm) = entry.name.strip_suffix("running_var") {
                    views.push((
                        format!("{norm}{COUNTER}"),
                        TensorView::new(Dtype::I64, vec![], &zero),
                    ));
                }
            }
        }
        let views = views
            .into_iter()
            .map(|(name, view)| (name, view.expect("a layout's shapes count its numbers")));
        let mut bytes = safetensors::serialize(views, Some(metadata)).expect("names are unique");
        sort_header(&mut bytes);
        write_atomically(path, &bytes).map_err(|source| NnError::Io {
            path: path.into(),
            source,
        })
    }

    /// Reads parameters and running statistics by name.
    ///
    /// # Errors
    /// [`NnError::Io`] when the file cannot be read; [`NnError::File`] when it is not safetensors, lacks a tensor, has one more, or
    /// has one of another shape or type. The network is then as before.
    pub fn load(&mut self, path: &Path) -> Result<(), NnError> {
        let bytes = fs::read(path).map_err(|source| NnError::Io {
            path: path.into(),
            source,
        })?;
        let broken = |reason: String| NnError::File {
            path: path.into(),
            reason,
        };
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
        let known = |name: &str| {
            name.ends_with(COUNTER)
                || self.layout().find(name).is_some()
                || self.statistics_layout().find(name).is_some()
        };
        if let Some(name) = tensors.names().into_iter().find(|name| !known(name)) {
            return Err(broken(format!("the network has no tensor {name}")));
        }
        let read = |layout: &Layout| -> Result<Vec<f32>, NnError> {
            let mut values = Vec::with_capacity(layout.len());
            for entry in layout.entries() {
                values.extend(read_tensor(&tensors, entry).map_err(broken)?);
            }
            Ok(values)
        };
        let (parameters, statistics) = (read(self.layout())?, read(self.statistics_layout())?);
        self.parameters_mut().copy_from_slice(&parameters);
        self.statistics_mut().copy_from_slice(&statistics);
        Ok(())
    }
}

/// Sorts the keys of a safetensors header, which come in a hash map's order. The header keeps its length.
fn sort_header(bytes: &mut [u8]) {
    let (length, rest) = bytes.split_at_mut(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let header = &mut rest[..length as usize];
    let entries: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(header).expect("safetensors writes JSON objects");
    let sorted = serde_json::to_vec(&entries).expect("what was JSON is JSON");
    header.fill(b' ');
    header[..sorted.len()].copy_from_slice(&sorted);
}

fn read_tensor(tensors: &SafeTensors<'_>, entry: &LayoutEntry) -> Result<Vec<f32>, String> {
    let name = &entry.name;
    let view = tensors
        .tensor(name)
        .map_err(|_| format!("tensor {name} is missing"))?;
    if view.shape() != entry.shape || view.dtype() != Dtype::F32 {
        return Err(format!(
            "{name} is {:?} {:?}, not F32 {:?}",
            view.dtype(),
            view.shape(),
            entry.shape
        ));
    }
    Ok(view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}

/// Writes a file whole or not at all: beside it first, synced, then renamed over it. Who may read it follows the umask, as of any file.
///
/// # Errors
/// When it cannot be written; what was there before is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, b"text").unwrap();
        std::fs::write(&plain, b"text").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
