//! Networks against float64 references made with PyTorch, against naive arithmetic, and against their own files.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod encoders;
mod engines;
mod stem;

use std::collections::HashMap;

use burn::tensor::Device;
use covary_kernels::{Isa, Precision};
use covary_nn::{EncoderConfig, EngineConfig, MlpConfig, Network, NnError, Norm};
use safetensors::{Dtype, SafeTensors};

struct Golden(Vec<u8>);

impl Golden {
    fn open(name: &str) -> Self {
        let path = format!(
            "{}/../../golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        Self(std::fs::read(path).unwrap())
    }

    fn get(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors.tensor(name).unwrap();
        match view.dtype() {
            Dtype::F32 => view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            Dtype::F64 => view
                .data()
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()) as f32)
                .collect(),
            other => panic!("{name} is {other:?}"),
        }
    }
}

fn to_nhwc(nchw: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; nchw.len()];
    for (image, out) in nchw.chunks_exact(3072).zip(out.chunks_exact_mut(3072)) {
        for (i, value) in image.iter().enumerate() {
            out[i % 1024 * 3 + i / 1024] = *value;
        }
    }
    out
}

fn golden_encoder(golden: &Golden, engine: &EngineConfig) -> Network {
    let (config, size) = (EncoderConfig::named("resnet18", 8), [32, 32]);
    let mut network = Network::encoder(&config, size, engine).unwrap();
    let fill = |layout: &covary_nn::Layout, values: &mut [f32]| {
        for entry in layout.entries() {
            values[entry.range()].copy_from_slice(&golden.get(&format!("state.{}", entry.name)));
        }
    };
    fill(&network.layout().clone(), network.parameters_mut());
    fill(
        &network.statistics_layout().clone(),
        network.statistics_mut(),
    );
    network
}

fn largest_difference(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
    actual
        .iter()
        .zip(expected)
        .fold(0.0_f32, |max, (a, e)| max.max((a - e).abs()))
        / scale
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn encoder_agrees_with_torchvision_on_every_engine() {
    let golden = Golden::open("encoder");
    let images = to_nhwc(&golden.get("input"));
    let precision = Precision::F32;
    let kernels = Isa::available()
        .into_iter()
        .map(|isa| EngineConfig::Kernels { isa, precision });
    for engine in kernels.chain(engines::on_every_device()) {
        println!("engine: {engine:?}");
        let mut network = golden_encoder(&golden, &engine);
        let near = |what: &str, actual: &[f32], expected: &[f32]| {
            let off = largest_difference(actual, expected);
            assert!(
                off < 1e-4,
                "{engine:?}: {what} is off by {off:e} of its largest entry"
            );
        };
        near(
            "eval",
            &network.infer(&images),
            &golden.get("features_eval"),
        );
        near(
            "train",
            &network.forward(&images, 1),
            &golden.get("features_train"),
        );
        let statistics = network.statistics_layout().clone();
        for name in [
            "bn1.running_mean",
            "bn1.running_var",
            "layer4.1.bn2.running_mean",
            "layer4.1.bn2.running_var",
        ] {
            let range = statistics.find(name).unwrap().range();
            near(
                name,
                &network.statistics()[range],
                &golden.get(&format!("after.{name}")),
            );
        }
        network.backward(&golden.get("cotangent"));
        for entry in network.layout().entries() {
            near(
                &entry.name,
                &network.gradients()[entry.range()],
                &golden.get(&format!("grad.{}", entry.name)),
            );
        }
    }
}

/// bf16 keeps 8 bits, so single entries wander by percents after 18 layers; what trains is the direction of the whole gradient. PyTorch's
/// bf16 autocast of the same network has cosine 0.931 here, and representations off by 0.018.
#[test]
fn bf16_gradients_point_where_f32_ones_do() {
    let golden = Golden::open("encoder");
    let images = to_nhwc(&golden.get("input"));
    for isa in Isa::available() {
        let precision = Precision::Bf16;
        let mut network = golden_encoder(&golden, &EngineConfig::Kernels { isa, precision });
        let off = largest_difference(&network.forward(&images, 1), &golden.get("features_train"));
        assert!(
            off < 0.05,
            "{}: representations are off by {off}",
            isa.name()
        );
        network.backward(&golden.get("cotangent"));
        let expected: Vec<f32> = network
            .layout()
            .entries()
            .iter()
            .flat_map(|entry| golden.get(&format!("grad.{}", entry.name)))
            .collect();
        let cosine = cosine(network.gradients(), &expected);
        assert!(cosine > 0.92, "{}: cosine {cosine}", isa.name());
    }
}

fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn engine() -> EngineConfig {
    EngineConfig::Kernels {
        isa: Isa::choose(None).unwrap(),
        precision: Precision::F32,
    }
}

fn head(output_norm: Norm, engine: &EngineConfig) -> Network {
    let config = MlpConfig {
        sizes: vec![6, 9, 7, 5],
        hidden_norm: Norm::Batch,
        output_norm,
        output_bias: true,
    };
    let mut network = Network::mlp(&config, engine).unwrap();
    network.initialise(3, "projector");
    network
}

fn small_encoder(engine: &EngineConfig) -> Network {
    let (config, size) = (EncoderConfig::named("resnet18", 4), [9, 12]);
    let mut network = Network::encoder(&config, size, engine).unwrap();
    network.initialise(1, "encoder");
    network
}

type Maker = fn(&EngineConfig) -> Network;

#[test]
fn two_views_in_one_call_are_two_calls_one_after_the_other() {
    let makers: [(Maker, usize); 2] = [
        (|engine| head(Norm::BatchAffineFree, engine), 6),
        (small_encoder, 9 * 12 * 3),
    ];
    for engine in [engine(), EngineConfig::Burn(Device::flex())] {
        for (make, width) in makers {
            let (mut together, mut apart) = (make(&engine), make(&engine));
            let input = numbers(1, 2 * 5 * width);
            let (a, b) = input.split_at(input.len() / 2);
            let out = together.forward(&input, 2);
            let gradient = numbers(2, out.len());
            together.backward(&gradient);
            let mut expected = apart.forward(a, 1);
            apart.backward(&gradient[..out.len() / 2]);
            expected.extend(apart.forward(b, 1));
            apart.backward(&gradient[out.len() / 2..]);
            assert_eq!(out, expected);
            assert_eq!(together.statistics(), apart.statistics());
            assert!(largest_difference(together.gradients(), apart.gradients()) < 1e-5);
        }
    }
}

/// The loss `Σ cotangent · out`, whose gradients `backward` gives.
fn objective(network: &mut Network, input: &[f32], cotangent: &[f32]) -> f64 {
    let out = network.forward_untracked(input, 2);
    out.iter()
        .zip(cotangent)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

#[test]
fn gradients_of_a_head_are_the_slopes_of_its_output() {
    for norm in [
        Norm::None,
        Norm::Batch,
        Norm::BatchAffineFree,
        Norm::Layer,
        Norm::LayerAffineFree,
    ] {
        let mut network = head(norm, &engine());
        let input = numbers(5, 2 * 32 * 6);
        let cotangent = numbers(6, 2 * 32 * 5);
        network.forward(&input, 2);
        let input_gradient = network.backward(&cotangent);
        let gradients = network.gradients().to_vec();
        assert_eq!(
            network.input_gradient(&cotangent),
            Some(input_gradient.clone())
        );
        assert_eq!(network.gradients(), gradients);
        let step = 1e-3_f32;
        let slope = |network: &mut Network, input: &[f32], at: usize| {
            let original = network.parameters()[at];
            network.parameters_mut()[at] = original + step;
            let up = objective(network, input, &cotangent);
            network.parameters_mut()[at] = original - step;
            let down = objective(network, input, &cotangent);
            network.parameters_mut()[at] = original;
            (up - down) / (2.0 * f64::from(step))
        };
        let scale = gradients.iter().fold(0.0_f32, |max, g| max.max(g.abs()));
        for at in (0..gradients.len()).step_by(3) {
            let expected = slope(&mut network, &input, at);
            assert!(
                (f64::from(gradients[at]) - expected).abs() < 0.02 * f64::from(scale),
                "{norm:?} {at}: {} {expected}",
                gradients[at]
            );
        }
        for at in (0..input.len()).step_by(7) {
            let (mut up, mut down) = (input.clone(), input.clone());
            up[at] += step;
            down[at] -= step;
            let expected = (objective(&mut network, &up, &cotangent)
                - objective(&mut network, &down, &cotangent))
                / (2.0 * f64::from(step));
            let scale = input_gradient
                .iter()
                .fold(0.0_f32, |max, g| max.max(g.abs()));
            assert!(
                (f64::from(input_gradient[at]) - expected).abs() < 0.02 * f64::from(scale),
                "{norm:?} input {at}"
            );
        }
    }
}

#[test]
fn an_affine_free_output_has_zero_mean_and_unit_variance_in_each_view() {
    let mut network = head(Norm::BatchAffineFree, &engine());
    let out = network.forward(&numbers(1, 2 * 16 * 6), 2);
    for view in out.chunks_exact(16 * 5) {
        for column in 0..5 {
            let values: Vec<f64> = view
                .iter()
                .skip(column)
                .step_by(5)
                .map(|v| f64::from(*v))
                .collect();
            let mean = values.iter().sum::<f64>() / 16.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 16.0;
            assert!(
                mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-2,
                "{mean} {variance}"
            );
        }
    }
}

#[test]
fn thread_counts_do_not_change_a_bit() {
    for precision in [Precision::F32, Precision::Bf16] {
        let run = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| {
                    let (config, size) = (EncoderConfig::named("resnet18", 5), [16, 16]);
                    let isa = Isa::choose(None).unwrap();
                    let mut network =
                        Network::encoder(&config, size, &EngineConfig::Kernels { isa, precision })
                            .unwrap();
                    network.initialise(2, "encoder");
                    let out = network.forward(&numbers(1, 2 * 21 * 768), 2);
                    network.backward(&numbers(2, out.len()));
                    (
                        out,
                        network.gradients().to_vec(),
                        network.statistics().to_vec(),
                    )
                })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{precision:?}");
    }
}

fn wide_head(isa: Isa, precision: Precision) -> Network {
    let config = MlpConfig {
        sizes: vec![64, 150, 150, 70],
        hidden_norm: Norm::Batch,
        output_norm: Norm::None,
        output_bias: true,
    };
    let mut network = Network::mlp(&config, &EngineConfig::Kernels { isa, precision }).unwrap();
    network.initialise(3, "projector");
    network
}

/// Units near zero pass their ReLU in one precision and not in the other, so single entries differ; directions hold.
#[test]
fn bf16_heads_point_where_f32_ones_do_on_every_instruction_set() {
    let input = numbers(1, 2 * 40 * 64);
    for isa in Isa::available() {
        let run = |precision| {
            let mut network = wide_head(isa, precision);
            let out = network.forward(&input, 2);
            let input_gradient = network.backward(&numbers(2, out.len()));
            [out, input_gradient, network.gradients().to_vec()]
        };
        let results = run(Precision::F32).into_iter().zip(run(Precision::Bf16));
        for (what, (single, half)) in ["output", "input gradient", "gradients"]
            .into_iter()
            .zip(results)
        {
            let cosine = cosine(&single, &half);
            assert!(
                cosine > 0.99 && single != half,
                "{}: cosine of {what} is {cosine}",
                isa.name()
            );
        }
    }
}

#[test]
fn heads_follow_their_parameters() {
    let input = numbers(1, 2 * 40 * 64);
    for isa in Isa::available() {
        let mut network = wide_head(isa, Precision::Bf16);
        network.forward(&input, 2);
        network.backward(&numbers(2, 2 * 40 * 70));
        let mut fresh = wide_head(isa, Precision::Bf16);
        for network in [&mut network, &mut fresh] {
            network
                .parameters_mut()
                .iter_mut()
                .for_each(|parameter| *parameter += 0.1);
        }
        assert_eq!(network.forward(&input, 2), fresh.forward(&input, 2));
        assert_eq!(
            network.backward(&numbers(3, 2 * 40 * 70)),
            fresh.backward(&numbers(3, 2 * 40 * 70))
        );
    }
}

#[test]
fn heads_are_the_same_bits_for_any_number_of_threads() {
    for precision in [Precision::F32, Precision::Bf16] {
        let run = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| {
                    let mut network = wide_head(Isa::choose(None).unwrap(), precision);
                    let out = network.forward(&numbers(1, 2 * 131 * 64), 2);
                    let input_gradient = network.backward(&numbers(2, out.len()));
                    (
                        out,
                        input_gradient,
                        network.gradients().to_vec(),
                        network.statistics().to_vec(),
                    )
                })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{precision:?}");
    }
}

#[test]
fn reestimated_statistics_of_one_batch_make_eval_equal_training() {
    let (config, size) = (EncoderConfig::named("resnet18", 4), [8, 8]);
    let mut network = Network::encoder(&config, size, &engine()).unwrap();
    network.initialise(2, "encoder");
    let batch = numbers(1, 64 * 192);
    network.reestimate_statistics([batch.as_slice()].into_iter());
    let eval = network.infer(&batch);
    // Running variances are unbiased, those of the batch biased: 1 / 63 apart at one pixel an image.
    assert!(largest_difference(&eval, &network.forward(&batch, 1)) < 0.05);
}

#[test]
fn equal_networks_give_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let (config, size) = (EncoderConfig::named("resnet18", 4), [32, 32]);
    let mut network = Network::encoder(&config, size, &engine()).unwrap();
    network.initialise(2, "encoder");
    let file = |name: &str| {
        // Each map has an order of its own.
        let metadata = (0..8).map(|key| (format!("key {key}"), "value".to_owned()));
        let path = folder.path().join(name);
        network.save(&path, metadata.collect()).unwrap();
        std::fs::read(path).unwrap()
    };
    let bytes = file("a");
    assert!(bytes == file("b"));
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let own = metadata.keys().filter(|key| key.starts_with("key "));
    assert_eq!(
        (own.count(), metadata.len()),
        (8, 10),
        "eight, the digest and its convention"
    );
}

#[test]
fn a_network_reads_back_its_own_file_and_names_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    let (config, size) = (EncoderConfig::named("resnet18", 4), [32, 32]);
    let mut network = Network::encoder(&config, size, &engine()).unwrap();
    network.initialise(2, "encoder");
    network.save(&path, HashMap::new()).unwrap();
    let mut other = Network::encoder(&config, size, &engine()).unwrap();
    other.load(&path).unwrap();
    assert_eq!(other.parameters(), network.parameters());
    let wide = EncoderConfig::named("resnet18", 5);
    let mut wider = Network::encoder(&wide, size, &engine()).unwrap();
    let error = wider.load(&path).unwrap_err();
    assert!(
        matches!(error, NnError::File { .. }) && error.to_string().contains("conv1.weight"),
        "{error}"
    );
}
