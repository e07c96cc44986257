//! `ResNets` of basic blocks (He et al. 2016) for small images: 3x3 convolution with stride 1 and padding 1, no pooling, four stages.
//!
//! Names and order are torchvision's, without the classifier: `conv1.weight`, `bn1.weight`, ..., `layer4.1.bn2.bias`.

use super::Encoder;
use super::plan::LayerSpec;

const CHANNELS: &[usize] = &[1, 2, 4, 8];

pub(super) const RESNET18: Encoder = Encoder {
    name: "resnet18",
    about: "ResNet-18, first convolution 3x3 and no pooling; width, or channels of 4 stages",
    channels: CHANNELS,
    layers: |channels| layers([2, 2, 2, 2], channels),
};

pub(super) const RESNET34: Encoder = Encoder {
    name: "resnet34",
    about: "ResNet-34, likewise",
    channels: CHANNELS,
    layers: |channels| layers([3, 4, 6, 3], channels),
};

/// The first convolution, then `blocks` blocks of each stage; the first block of a later stage halves the map.
fn layers(blocks: [usize; 4], channels: &[usize]) -> Vec<LayerSpec> {
    let mut layers = vec![LayerSpec::Conv {
        conv: "conv1".into(),
        norm: "bn1".into(),
        c_out: channels[0],
        kernel: 3,
        pool: false,
        frozen: false,
    }];
    for (stage, (&count, &c_out)) in blocks.iter().zip(channels).enumerate() {
        layers.extend((0..count).map(|block| LayerSpec::Residual {
            prefix: format!("layer{}.{block}", stage + 1),
            c_out,
            stride: if stage > 0 && block == 0 { 2 } else { 1 },
        }));
    }
    layers
}
