//! The whitened stem and dirac initialisation, seen from outside.

use std::collections::HashMap;

use covary_nn::{EncoderConfig, Initialisation, Network, Stem};

use crate::engines::{agree, burn};
use crate::{engine, largest_difference, numbers};

const SIZE: [usize; 2] = [12, 10];

fn config() -> EncoderConfig {
    EncoderConfig {
        stem: Stem::Whitened,
        ..EncoderConfig::named("vgg6", 3)
    }
}

/// Images whose neighbours and colours are alike, as those of photographs are.
fn images(count: usize) -> Vec<f32> {
    let len = SIZE[0] * SIZE[1];
    let mut images = Vec::new();
    for image in 0..count {
        let drawn = numbers(image as u64 + 1, 4 * len);
        for pixel in 0..len {
            let shade = drawn[0] + drawn[1] * (pixel % SIZE[1]) as f32 / SIZE[1] as f32;
            let colour =
                |c: usize| shade + 0.2 * drawn[len + pixel] + 0.1 * drawn[(c + 1) * len + pixel];
            images.extend([colour(0), colour(1), colour(2)]);
        }
    }
    images
}

fn fitted(images: &[f32]) -> Network {
    let mut network = Network::encoder(&config(), SIZE, &engine()).unwrap();
    network.initialise(7, "encoder");
    network.fit_stem(images).unwrap();
    network
}

fn stem_weight(network: &Network) -> Vec<f32> {
    let entry = network.statistics_layout().find("whiten.0.weight").unwrap();
    assert_eq!(entry.shape, [24, 3, 3, 3]);
    network.statistics()[entry.range()].to_vec()
}

/// Second moments of the outputs of the first twelve filters, over all pixels that lie inside with all their taps.
fn second_moments(images: &[f32], weight: &[f32]) -> Vec<f64> {
    let [rows, columns] = SIZE;
    let (mut moments, mut count) = (vec![0.0; 144], 0.0);
    for image in images.chunks_exact(rows * columns * 3) {
        for pixel in 0..rows * columns {
            let (row, column) = (pixel / columns, pixel % columns);
            if row + 1 == rows || column + 1 == columns {
                continue;
            }
            let outputs: Vec<f64> = weight
                .chunks_exact(27)
                .take(12)
                .map(|filter| {
                    let taps = filter.iter().enumerate().filter(|(_, tap)| **tap != 0.0);
                    taps.map(|(at, tap)| {
                        // Tap (1, 1) lies on the pixel itself.
                        let (y, x) = (row + at % 9 / 3 - 1, column + at % 3 - 1);
                        f64::from(*tap) * f64::from(image[(y * columns + x) * 3 + at / 9])
                    })
                    .sum()
                })
                .collect();
            for (at, moment) in moments.iter_mut().enumerate() {
                *moment += outputs[at / 12] * outputs[at % 12];
            }
            count += 1.0;
        }
    }
    moments.iter().map(|moment| moment / count).collect()
}

#[test]
fn outputs_of_a_fitted_stem_are_white_and_come_with_both_signs() {
    let images = images(150);
    let weight = stem_weight(&fitted(&images));
    for (at, moment) in second_moments(&images, &weight).into_iter().enumerate() {
        // λ / (λ + 5e-4), which is 1 but for the smallest directions.
        let range = if at / 12 == at % 12 {
            0.5..1.0001
        } else {
            -1e-3..1e-3
        };
        assert!(range.contains(&moment), "{at}: {moment}");
    }
    let (first, second) = weight.split_at(weight.len() / 2);
    let turned: Vec<f32> = second.iter().map(|value| -value).collect();
    assert_eq!(first, turned);
}

/// The weight is kept with the statistics: nothing trains it, nothing re-estimates it, and files hold it.
#[test]
fn a_fitted_stem_stays_and_is_kept() {
    let images = images(40);
    let mut network = fitted(&images);
    let weight = stem_weight(&network);
    assert!(network.layout().find("whiten.0.weight").is_none());
    network.forward(&images, 2);
    network.reestimate_statistics([images.as_slice()].into_iter());
    assert_eq!(stem_weight(&network), weight);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    network.save(&path, HashMap::new()).unwrap();
    for engine in [engine(), burn()] {
        let mut other = Network::encoder(&config(), SIZE, &engine).unwrap();
        other.infer(&images);
        other.load(&path).unwrap();
        assert_eq!(stem_weight(&other), weight);
        let off = largest_difference(&other.infer(&images), &network.infer(&images));
        assert!(off < 1e-4, "{engine:?}: {off:e}");
    }
}

#[test]
fn engines_agree_behind_a_fitted_stem() {
    let images = images(24);
    let make = |engine: &_| Network::encoder(&config(), SIZE, engine).unwrap();
    agree("a drawn stem", &make, &images);
    let mut kernels = fitted(&images);
    let mut graph = make(&burn());
    graph.initialise(7, "encoder");
    graph.fit_stem(&images).unwrap();
    let (h, expected) = (kernels.forward(&images, 2), graph.forward(&images, 2));
    assert!(largest_difference(&h, &expected) < 1e-4);
    let cotangent = numbers(9, h.len());
    kernels.backward(&cotangent);
    graph.backward(&cotangent);
    assert!(largest_difference(kernels.gradients(), graph.gradients()) < 1e-4);
}

#[test]
fn encoders_without_one_stay_as_they_are_and_broken_images_are_an_error() {
    let mut plain = Network::encoder(&EncoderConfig::named("vgg6", 3), SIZE, &engine()).unwrap();
    let before = plain.statistics().to_vec();
    plain.fit_stem(&[]).unwrap();
    assert_eq!(plain.statistics(), before);
    let mut network = fitted(&images(3));
    let before = stem_weight(&network);
    assert!(network.fit_stem(&[]).is_err());
    assert!(network.fit_stem(&[f32::NAN; 360]).is_err());
    assert_eq!(stem_weight(&network), before);
    // A constant image has one direction and eleven of size zero.
    network.fit_stem(&[0.25; 360]).unwrap();
    assert!(stem_weight(&network).iter().all(|value| value.is_finite()));
}

/// `torch.nn.init.dirac_(weight[:c_in])`; what is left keeps its drawn values.
#[test]
fn dirac_passes_on_the_input_channels_and_leaves_the_other_filters_drawn() {
    let build = |initialisation| {
        let config = EncoderConfig {
            initialisation,
            ..EncoderConfig::named("vgg6", 3)
        };
        let mut network = Network::encoder(&config, SIZE, &engine()).unwrap();
        network.initialise(7, "encoder");
        network
    };
    let networks = [Initialisation::Kaiming, Initialisation::Dirac].map(build);
    for entry in networks[0].layout().entries() {
        let [drawn, dirac] = [0, 1].map(|at: usize| &networks[at].parameters()[entry.range()]);
        if !entry.is_weight() {
            assert_eq!(drawn, dirac);
            continue;
        }
        let (c_in, taps) = (entry.shape[1], 9);
        let expected = drawn.iter().enumerate().map(|(at, drawn)| {
            let (filter, channel, tap) = (at / (c_in * taps), at / taps % c_in, at % taps);
            if filter >= c_in {
                *drawn
            } else {
                f32::from(u8::from(channel == filter && tap == 4))
            }
        });
        assert_eq!(dirac, expected.collect::<Vec<_>>(), "{}", entry.name);
    }
}
