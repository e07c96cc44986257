//! A ResNet of basic blocks (He et al. 2016) from Burn's operations, in the order of its layout.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::ResNetConfig;
use crate::graph::Walk;

/// Images to representations.
///
/// # Shapes
/// - images: `[n, rows * columns * 3]`, NHWC → `[n, 8 * width]`
pub(crate) fn pass(config: &ResNetConfig, walk: &mut Walk<'_>, images: Tensor<2>) -> Tensor<2> {
    let n = images.dims()[0];
    let images = images
        .reshape([n, config.rows, config.columns, 3])
        .permute([0, 3, 1, 2]);
    let mut x = relu(conv_norm(walk, images, 1));
    for (stage, &count) in config.blocks.iter().enumerate() {
        for block in 0..count {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            x = basic_block(walk, x, stride);
        }
    }
    x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
}

/// `relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`; the shortcut is a convolution where the size changes.
fn basic_block(walk: &mut Walk<'_>, x: Tensor<4>, stride: usize) -> Tensor<4> {
    let inner = relu(conv_norm(walk, x.clone(), stride));
    let outer = conv_norm(walk, inner, 1);
    let shortcut = if stride == 1 {
        x
    } else {
        conv_norm(walk, x, stride)
    };
    relu(outer + shortcut)
}

fn conv_norm(walk: &mut Walk<'_>, x: Tensor<4>, stride: usize) -> Tensor<4> {
    let weight = walk.parameter::<4>();
    let padding = weight.dims()[2] / 2;
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    let y = conv2d(x, weight, None, options);
    walk.norm(y, true)
}
