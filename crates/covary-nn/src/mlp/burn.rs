//! An MLP head from Burn's operations, in the order of its layout.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::linear;

use super::LayerPlan;
use crate::walk::Walk;

/// Rows through all layers.
///
/// # Shapes
/// - x: `[n, in]` → `[n, out]`
pub(crate) fn pass(layers: &[LayerPlan], walk: &mut Walk<'_>, x: Tensor<2>) -> Tensor<2> {
    layers.iter().fold(x, |x, layer| {
        let weight = walk.parameter::<2>();
        let bias = layer.bias.then(|| walk.parameter::<1>());
        let mut y = linear(x, weight.transpose(), bias);
        if let Some(norm) = layer.norm {
            y = if norm.of_rows {
                walk.layer_norm(y, norm.affine)
            } else {
                walk.norm(y, norm.affine)
            };
        }
        if layer.relu { relu(y) } else { y }
    })
}
