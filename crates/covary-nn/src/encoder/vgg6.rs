//! A plain network of six 3x3 convolutions in three groups, the first of each group with a max-pool of 2x2 pixels; the network of airbench
//! (Jordan, "94% on CIFAR-10 in 3.29 seconds", 2404.00498), which at width 64 has 64, 256 and 256 channels.
//!
//! Here every convolution is padded, so that images of 32 pixels have maps of 32, 16, 8 and 4: airbench's first convolution of 2x2 taps
//! leaves 31, 15, 7 and 3, which tiles do not fit. ReLU takes the place of GELU, the mean over pixels that of its last max-pool.
//! Names are those of torchvision's VGG, a `Sequential` of all modules: `features.0.weight` (convolution), `features.2.weight` (BatchNorm
//! behind the max-pool), `features.4.weight` (second convolution), ....

use super::Encoder;
use super::plan::LayerSpec;

pub(super) const VGG6: Encoder = Encoder {
    name: "vgg6",
    about: "six convolutions, three max-pools, as airbench; width, or channels of 3 groups",
    channels: &[1, 4, 4],
    layers,
};

fn layers(channels: &[usize]) -> Vec<LayerSpec> {
    let mut next = 0;
    let convolutions = channels
        .iter()
        .flat_map(|&c_out| [(c_out, true), (c_out, false)]);
    convolutions
        .map(|(c_out, pool)| LayerSpec::sequential("features", &mut next, c_out, pool))
        .collect()
}
