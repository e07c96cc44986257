//! Initial values: each tensor's depend on (seed, its full name, its shape) alone, so that adding a predictor leaves the encoder as it is.
//!
//! - Convolutions: normal with variance `2 / (k² c_out)` (He et al. 2015, fan-out, ReLU), as torchvision's ResNet.
//! - Linear layers: weight and bias uniform in `±1 / √inputs`, PyTorch's default.
//! - Convolutions by dirac: output channel c passes on input channel c, for as many as there are of both; the others as above
//!   (airbench, Jordan 2404.00498).
//! - BatchNorm: γ = 1, β = 0, running mean 0, running variance 1.
//!
//! The stream is `ChaCha8` keyed by a 64-bit FNV-1a hash of name and shape, and by the seed.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

use crate::Initialisation;
use crate::layout::{Layout, LayoutEntry};

/// Fills parameters by the rules above; `prefix` makes names of different networks differ.
pub(crate) fn parameters(
    layout: &Layout,
    seed: u64,
    prefix: &str,
    initialisation: Initialisation,
    values: &mut [f32],
) {
    for entry in layout.entries() {
        let target = &mut values[entry.range()];
        let mut stream = stream(seed, &format!("{prefix}.{}", entry.name), &entry.shape);
        match entry.shape[..] {
            [_, c_in, height, width] => {
                convolution(&entry.shape, &mut stream, target);
                if initialisation == Initialisation::Dirac {
                    dirac(c_in, height * width, target);
                }
            }
            [_, inputs] => uniform(inputs, &mut stream, target),
            _ => match inputs_of_bias(layout, entry) {
                Some(inputs) => uniform(inputs, &mut stream, target),
                None => target.fill(if entry.name.ends_with("weight") {
                    1.0
                } else {
                    0.0
                }),
            },
        }
    }
}

/// Running means 0, variances 1, frozen weights as those of any convolution.
pub(crate) fn statistics(layout: &Layout, seed: u64, prefix: &str, values: &mut [f32]) {
    for entry in layout.entries() {
        let target = &mut values[entry.range()];
        if entry.is_weight() {
            let mut stream = stream(seed, &format!("{prefix}.{}", entry.name), &entry.shape);
            convolution(&entry.shape, &mut stream, target);
        } else {
            target.fill(if entry.name.ends_with("running_var") {
                1.0
            } else {
                0.0
            });
        }
    }
}

fn convolution(shape: &[usize], stream: &mut ChaCha8Rng, target: &mut [f32]) {
    let fan_out = shape[0] * shape[2..].iter().product::<usize>();
    let std = (2.0 / fan_out as f32).sqrt();
    let normal = Normal::new(0.0, std).expect("a standard deviation of a convolution is finite");
    target
        .iter_mut()
        .for_each(|value| *value = normal.sample(stream));
}

/// Makes the first `c_in` filters, or all where there are fewer, pass on one input channel each: 1 at the centre of its taps.
fn dirac(c_in: usize, taps: usize, target: &mut [f32]) {
    for (channel, filter) in target.chunks_exact_mut(c_in * taps).take(c_in).enumerate() {
        filter.fill(0.0);
        filter[channel * taps + taps / 2] = 1.0;
    }
}

fn uniform(inputs: usize, stream: &mut ChaCha8Rng, target: &mut [f32]) {
    let bound = 1.0 / (inputs as f32).sqrt();
    target
        .iter_mut()
        .for_each(|value| *value = stream.random_range(-bound..bound));
}

/// The width of a linear layer's input, for its bias.
fn inputs_of_bias(layout: &Layout, entry: &LayoutEntry) -> Option<usize> {
    let weight = layout.find(&format!("{}.weight", entry.name.strip_suffix(".bias")?))?;
    weight.is_weight().then(|| weight.shape[1])
}

fn stream(seed: u64, name: &str, shape: &[usize]) -> ChaCha8Rng {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let sizes = shape.iter().flat_map(|size| (*size as u64).to_le_bytes());
    for byte in name.bytes().chain(sizes) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&hash.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(names: &[(&str, &[usize])]) -> Layout {
        let mut layout = Layout::default();
        names
            .iter()
            .for_each(|(name, shape)| layout.push(*name, shape));
        layout
    }

    fn drawn(layout: &Layout, seed: u64) -> Vec<f32> {
        let mut values = vec![f32::NAN; layout.len()];
        parameters(layout, seed, "test", Initialisation::Kaiming, &mut values);
        values
    }

    #[test]
    fn convolutions_have_the_variance_of_he_and_linear_layers_the_range_of_pytorch() {
        let layout = layout(&[
            ("conv.weight", &[64, 32, 3, 3]),
            ("0.weight", &[100, 400]),
            ("0.bias", &[100]),
            ("1.weight", &[8]),
            ("1.bias", &[8]),
        ]);
        let values = drawn(&layout, 1);
        let part = |name| &values[layout.find(name).unwrap().range()];
        let conv = part("conv.weight");
        let variance = conv.iter().map(|v| f64::from(v * v)).sum::<f64>() / conv.len() as f64;
        // Relative standard error of a variance of n normal numbers: sqrt(2 / n) = 1 %.
        assert!(
            (variance / (2.0 / (9.0 * 64.0)) - 1.0).abs() < 0.05,
            "{variance}"
        );
        let largest = |name| part(name).iter().fold(0.0_f32, |max, v| max.max(v.abs()));
        assert!(largest("0.weight") <= 0.05 && largest("0.weight") > 0.0499);
        assert!(largest("0.bias") <= 0.05 && largest("0.bias") > 0.04);
        assert!(part("1.weight") == [1.0; 8] && part("1.bias") == [0.0; 8]);
    }

    #[test]
    fn values_depend_on_seed_name_and_shape_and_nothing_else() {
        let alone = layout(&[("b.weight", &[4, 4])]);
        let with_another = layout(&[("a.weight", &[8, 8]), ("b.weight", &[4, 4])]);
        assert_eq!(drawn(&alone, 1), drawn(&with_another, 1)[64..]);
        assert_ne!(drawn(&alone, 1), drawn(&alone, 2));
        assert_ne!(
            drawn(&alone, 1),
            drawn(&layout(&[("c.weight", &[4, 4])]), 1)
        );
    }
}
