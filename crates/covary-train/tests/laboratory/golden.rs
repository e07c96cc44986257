//! Reference values made by `golden/make_golden.py` and `golden/make_trajectory.py`.

use safetensors::{Dtype, SafeTensors};

/// A file of reference values.
pub(crate) struct Golden(Vec<u8>);

impl Golden {
    pub(crate) fn open(name: &str) -> Self {
        let path = format!(
            "{}/../../golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        tensors.names().into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn f64(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors
            .tensor(name)
            .unwrap_or_else(|_| panic!("{name} is missing"));
        match view.dtype() {
            Dtype::F32 => view
                .data()
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
                .collect(),
            Dtype::F64 => view
                .data()
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            Dtype::U8 => view.data().iter().map(|b| f64::from(*b)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) fn f32(&self, name: &str) -> Vec<f32> {
        self.f64(name).into_iter().map(|v| v as f32).collect()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        SafeTensors::deserialize(&self.0)
            .unwrap()
            .tensor(name)
            .unwrap()
            .shape()
            .to_vec()
    }
}
