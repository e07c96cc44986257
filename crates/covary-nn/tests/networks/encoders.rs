//! The encoders against Burn's operations, against slopes, and in groups of views of several sizes.

use std::collections::HashSet;

use covary_kernels::{Isa, Precision};
use covary_nn::{ENCODERS, EncoderConfig, EngineConfig, Initialisation, Network, NnError, Stem};

use crate::engines::{agree, burn};
use crate::{cosine, engine, largest_difference, numbers};

/// Every encoder at width 2, and each with what can be added to it.
fn choices() -> Vec<EncoderConfig> {
    let mut found = Vec::new();
    for encoder in ENCODERS {
        let plain = EncoderConfig::named(encoder.name, 2);
        let channels = (0..encoder.channels.len()).map(|stage| 2 + 3 * stage);
        let tapered = EncoderConfig {
            channels: channels.rev().collect(),
            expand: 19,
            stem: Stem::Whitened,
            initialisation: Initialisation::Dirac,
            ..plain.clone()
        };
        found.extend([plain, tapered]);
    }
    found
}

fn build(config: &EncoderConfig, size: [usize; 2], engine: &EngineConfig) -> Network {
    let mut network = Network::encoder(config, size, engine).unwrap();
    network.initialise(1, "encoder");
    network
}

#[test]
fn every_encoder_agrees_on_both_engines() {
    for config in choices() {
        for [rows, columns] in [[16, 16], [9, 14]] {
            agree(
                &format!("{config:?} {rows}x{columns}"),
                &|engine| Network::encoder(&config, [rows, columns], engine).unwrap(),
                &numbers(8, 2 * 12 * rows * columns * 3),
            );
        }
    }
}

/// Two views of 32 pixels and three of 16, forward before either goes back: gradients are the sum, as of networks of one size each.
#[test]
fn groups_of_several_sizes_add_up_as_separate_networks_do() {
    let config = EncoderConfig::named("vgg6", 3);
    let (large, small) = (
        numbers(1, 2 * 4 * 32 * 32 * 3),
        numbers(2, 3 * 4 * 16 * 16 * 3),
    );
    for engine in [engine(), burn()] {
        let mut together = build(&config, [32, 32], &engine);
        let h_large = together.forward_group(0, 32, &large, 2);
        let h_small = together.forward_group(1, 16, &small, 3);
        let (d_large, d_small) = (numbers(3, h_large.len()), numbers(4, h_small.len()));
        // An evaluation between the passes changes no tape.
        together.forward_untracked_sized(16, &small[..16 * 16 * 3 * 4], 1);
        together.backward_group(0, &d_large);
        together.backward_group(1, &d_small);

        let mut first = build(&config, [32, 32], &engine);
        assert_eq!(first.forward(&large, 2), h_large);
        first.backward(&d_large);
        let mut second = build(&config, [16, 16], &engine);
        assert_eq!(second.forward(&small, 3), h_small);
        second.backward(&d_small);
        let sum: Vec<f32> = first
            .gradients()
            .iter()
            .zip(second.gradients())
            .map(|(a, b)| a + b)
            .collect();
        let off = largest_difference(together.gradients(), &sum);
        assert!(off < 1e-5, "{engine:?}: {off:e}");
    }
}

#[test]
fn gradients_of_every_encoder_are_the_slopes_of_its_output() {
    for config in choices() {
        let mut network = build(&config, [8, 8], &engine());
        let input = numbers(5, 2 * 24 * 8 * 8 * 3);
        let h = network.forward(&input, 2);
        let cotangent = numbers(6, h.len());
        network.backward(&cotangent);
        let gradients = network.gradients().to_vec();
        let scale = gradients.iter().fold(0.0_f32, |max, g| max.max(g.abs()));
        let objective = |network: &mut Network| -> f64 {
            let h = network.forward_untracked(&input, 2);
            let products = h.iter().zip(&cotangent);
            products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        // A ReLU or a max-pool that changes sides within the step bends a slope, so steps are small and a few may be off.
        let (step, mut off, mut tried) = (2e-4_f32, 0, 0);
        for at in (0..gradients.len()).step_by(gradients.len() / 40 + 1) {
            let original = network.parameters()[at];
            let [up, down] = [step, -step].map(|step| {
                network.parameters_mut()[at] = original + step;
                objective(&mut network)
            });
            network.parameters_mut()[at] = original;
            let slope = (up - down) / (2.0 * f64::from(step));
            tried += 1;
            off += usize::from((f64::from(gradients[at]) - slope).abs() > 0.03 * f64::from(scale));
        }
        assert!(
            off * 10 <= tried,
            "{config:?}: {off} of {tried} slopes are off"
        );
    }
}

#[test]
fn vgg6_has_the_same_bits_on_any_number_of_threads_and_points_where_f32_does() {
    let config = EncoderConfig {
        expand: 40,
        ..EncoderConfig::named("vgg6", 16)
    };
    let run = |threads, precision| {
        let isa = Isa::choose(None).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let mut network = build(&config, [16, 16], &EngineConfig::Kernels { isa, precision });
            let h = network.forward(&numbers(1, 2 * 21 * 768), 2);
            network.backward(&numbers(2, h.len()));
            let statistics = network.statistics().to_vec();
            (h, network.gradients().to_vec(), statistics)
        })
    };
    let both = [Precision::F32, Precision::Bf16].map(|precision| {
        let one = run(1, precision);
        assert!(
            one == run(2, precision) && one == run(3, precision),
            "{precision:?}"
        );
        one
    });
    let cosine = cosine(&both[0].1, &both[1].1);
    assert!(cosine > 0.95 && cosine < 1.0, "{cosine}");
}

/// Sums of `channels in * channels out * taps * pixels`, written out.
#[test]
fn multiply_adds_are_those_of_the_convolutions_written_out() {
    let of = |config: &EncoderConfig, side: usize| config.multiply_adds([side; 2]).unwrap();
    let vgg = EncoderConfig::named("vgg6", 64);
    let expected = |images: u64| {
        let groups = [(3, 64, 1024), (64, 256, 256), (256, 256, 64)];
        let convolutions = groups.map(|(c_in, c_out, pixels): (u64, u64, u64)| {
            9 * (c_in * c_out * pixels + c_out * c_out * pixels / 4) / images
        });
        convolutions.iter().sum::<u64>()
    };
    assert_eq!(of(&vgg, 32), expected(1));
    assert_eq!(of(&vgg, 16), expected(4));
    let expanded = EncoderConfig {
        expand: 512,
        ..vgg.clone()
    };
    assert_eq!(of(&expanded, 32) - of(&vgg, 32), 256 * 512 * 16);
    // torchvision's ResNet-18 with this stem has 555 million at width 64 (He et al. count 1.8 billion at 224 pixels with another stem).
    assert_eq!(
        of(&EncoderConfig::named("resnet18", 64), 32) / 1_000_000,
        555
    );
}

#[test]
fn names_are_distinct_and_those_of_pytorch_s_modules() {
    for config in choices() {
        let network = build(&config, [16, 16], &engine());
        let entries = network.layout().entries();
        let names: HashSet<_> = entries.iter().map(|entry| &entry.name).collect();
        assert_eq!(names.len(), entries.len());
    }
    let network = build(&EncoderConfig::named("vgg6", 4), [16, 16], &engine());
    let shape = |name: &str| network.layout().find(name).unwrap().shape.clone();
    assert_eq!(shape("features.0.weight"), [4, 3, 3, 3]);
    assert_eq!(shape("features.2.weight"), [4]);
    assert_eq!(shape("features.4.weight"), [4, 4, 3, 3]);
    assert_eq!(shape("features.7.weight"), [16, 4, 3, 3]);
    assert_eq!(shape("features.18.weight"), [16, 16, 3, 3]);
    assert_eq!(shape("features.19.bias"), [16]);
}

#[test]
fn choices_that_make_no_encoder_are_told() {
    let refused = |name, width, size| {
        let config = EncoderConfig::named(name, width);
        Network::encoder(&config, size, &engine()).unwrap_err()
    };
    let unknown = refused("resnet19", 4, [32, 32]);
    assert!(matches!(unknown, NnError::UnknownEncoder(_)));
    assert!(unknown.to_string().contains("resnet34"), "{unknown}");
    for (width, size) in [(0, [32, 32]), (4, [7, 32])] {
        let error = refused("resnet18", width, size);
        assert!(matches!(error, NnError::Size { .. }), "{error}");
    }
    let mut config = EncoderConfig::named("vgg6", 4);
    config.channels = vec![4, 8];
    let error = Network::encoder(&config, [32, 32], &engine()).unwrap_err();
    assert!(
        matches!(error, NnError::Channels { stages: 3, .. }),
        "{error}"
    );
}
