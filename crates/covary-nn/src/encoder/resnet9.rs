//! `ResNet-9` (Page 2018, "How to train your ResNet"): four convolutions, max-pools behind the last three, a residual block behind the second
//! and the fourth.
//!
//! Max-pools come between convolution and BatchNorm, and the residual block is He's basic block, which adds its input before the last
//! ReLU; Page's adds it behind. Names are those of `Sequential` modules with a basic block in them: `prep.0.weight`, `layer1.0.weight`,
//! `layer1.2.weight` (BatchNorm), `layer1.4.conv1.weight`, ....

use super::Encoder;
use super::plan::LayerSpec;

pub(super) const RESNET9: Encoder = Encoder {
    name: "resnet9",
    about: "ResNet-9 with max-pools; width, or channels of 4 convolutions",
    channels: &[1, 2, 4, 8],
    layers,
};

fn layers(channels: &[usize]) -> Vec<LayerSpec> {
    let mut layers = vec![LayerSpec::sequential("prep", &mut 0, channels[0], false)];
    for (index, &c_out) in channels[1..].iter().enumerate() {
        let (prefix, mut next) = (format!("layer{}", index + 1), 0);
        layers.push(LayerSpec::sequential(&prefix, &mut next, c_out, true));
        if index != 1 {
            layers.push(LayerSpec::Residual {
                prefix: format!("{prefix}.{next}"),
                c_out,
                stride: 1,
            });
        }
    }
    layers
}
