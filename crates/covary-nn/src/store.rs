//! Networks as safetensors files under PyTorch's names, with BatchNorm's `num_batches_tracked`, so that
//! `load_state_dict(strict=True)` of the same module takes them.

use std::collections::HashMap;
use std::path::Path;

use fs_err as fs;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::layout::{Layout, LayoutEntry};
use crate::seal::{Seal, check_safetensors, sealed_safetensors};
use crate::{Network, NnError, write_atomically};

const COUNTER: &str = "num_batches_tracked";

/// What a file of weights said beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Whether it holds a digest of its bytes, which they then have.
    pub seal: Seal,
    /// Its metadata.
    pub metadata: HashMap<String, String>,
}

impl Network {
    /// Writes parameters and running statistics, with a digest in the metadata ([`crate::Seal`]); the file appears when it is complete. Equal networks give equal bytes.
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
        let bytes = sealed_safetensors(views.collect(), metadata).expect("names are unique");
        write_atomically(path, &bytes).map_err(|source| NnError::Io {
            path: path.into(),
            source,
        })
    }

    /// Reads parameters and running statistics by name.
    ///
    /// # Errors
    /// [`NnError::Io`] when the file cannot be read; [`NnError::File`] when it is not safetensors, is not what its digest says, lacks a
    /// tensor, has one more, or has one of another shape or type. The network is then as before.
    pub fn load(&mut self, path: &Path) -> Result<Loaded, NnError> {
        let bytes = fs::read(path).map_err(|source| NnError::Io {
            path: path.into(),
            source,
        })?;
        let broken = |reason: String| NnError::File {
            path: path.into(),
            reason,
        };
        let seal = check_safetensors(&bytes).map_err(|error| broken(error.to_string()))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
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
        Ok(Loaded {
            seal,
            metadata: header.metadata().clone().unwrap_or_default(),
        })
    }
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
