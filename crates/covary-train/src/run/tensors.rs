//! Matrices as a safetensors file.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

/// Writes f32 matrices of one shape under their names, whole or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[(&str, &[f32])],
    shape: [usize; 2],
) -> std::io::Result<()> {
    let views = tensors.iter().map(|(name, values)| {
        let bytes = bytemuck::cast_slice(values);
        let view =
            TensorView::new(Dtype::F32, shape.into(), bytes).map_err(std::io::Error::other)?;
        Ok((*name, view))
    });
    let views: Vec<_> = views.collect::<std::io::Result<_>>()?;
    let bytes = safetensors::serialize(views, None).map_err(std::io::Error::other)?;
    covary_nn::write_atomically(path, &bytes)
}
