//! Matrices in safetensors files. The format's own reader checks that the file holds what its header claims.

use safetensors::{Dtype, SafeTensors};

use super::{Matrix, some_of};

/// Reads the tensor `name`, or the only one.
pub(super) fn read(bytes: &[u8], name: Option<&str>) -> Result<Matrix, String> {
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
    let values = numbers(tensor.dtype(), tensor.data()).ok_or_else(|| {
        format!(
            "{name} holds {:?}; F32, F64, F16 or BF16 is needed",
            tensor.dtype()
        )
    })?;
    Ok(Matrix::new(values, rows, width))
}

fn numbers(kind: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let twos = || data.as_chunks::<2>().0.iter();
    Some(match kind {
        Dtype::F32 => data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F64 => data
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        Dtype::F16 => twos()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::BF16 => twos()
            .map(|b| half::bf16::from_le_bytes(*b).to_f32())
            .collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_claims_more_than_there_is_is_an_error() {
        let claim = |shape: &str, end: &str| {
            let header =
                format!(r#"{{"z":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 16]);
            bytes
        };
        assert!(read(&claim("[2,2]", "16"), None).is_ok());
        for (shape, end) in [
            ("[2,1000000000000]", "8000000000000"),
            ("[4294967296,4294967296]", "16"),
            ("[18446744073709551615,2]", "16"),
        ] {
            assert!(read(&claim(shape, end), None).is_err(), "{shape}");
        }
        assert!(read(&u64::MAX.to_le_bytes(), None).is_err());
    }
}
