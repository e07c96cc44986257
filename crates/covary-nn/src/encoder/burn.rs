//! An encoder from Burn's operations, in the order of its layout.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use covary_kernels::BlockGeometry;

use super::plan::{COLOURS, ConvPlan, LayerPlan, Plan};
use crate::walk::Walk;

/// Images to representations.
///
/// # Shapes
/// - images: `[n, rows * columns * 3]`, NHWC → `[n, features]`
pub(crate) fn pass(plan: &Plan, walk: &mut Walk<'_>, images: Tensor<2>) -> Tensor<2> {
    let (n, [rows, columns]) = (images.dims()[0], plan.size);
    let images = images
        .reshape([n, rows, columns, COLOURS])
        .permute([0, 3, 1, 2]);
    let x = plan.layers.iter().fold(images, |x, layer| match layer {
        LayerPlan::Conv(conv) => conv_block(walk, x, conv),
        LayerPlan::Residual { geometry, .. } => basic_block(walk, x, geometry),
    });
    x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

fn conv_block(walk: &mut Walk<'_>, x: Tensor<4>, plan: &ConvPlan) -> Tensor<4> {
    let weight = if plan.frozen {
        walk.frozen()
    } else {
        walk.parameter()
    };
    let mut y = convolve(x, weight, 1);
    if plan.pool {
        y = max_pool2d(y, MaxPoolOptions::new([2; 2]));
    }
    relu(walk.norm(y, true))
}

/// `relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`; the shortcut is a convolution where the size changes.
fn basic_block(walk: &mut Walk<'_>, x: Tensor<4>, geometry: &BlockGeometry) -> Tensor<4> {
    let inner = relu(conv_norm(walk, x.clone(), geometry.stride));
    let outer = conv_norm(walk, inner, 1);
    let shortcut = if geometry.has_projection() {
        conv_norm(walk, x, geometry.stride)
    } else {
        x
    };
    relu(outer + shortcut)
}

fn conv_norm(walk: &mut Walk<'_>, x: Tensor<4>, stride: usize) -> Tensor<4> {
    let weight = walk.parameter::<4>();
    let y = convolve(x, weight, stride);
    walk.norm(y, true)
}

fn convolve(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let padding = weight.dims()[2] / 2;
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    conv2d(x, weight, None, options)
}
