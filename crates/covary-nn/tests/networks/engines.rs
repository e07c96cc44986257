//! The two engines, kernels and Burn's operations, share nothing but parameters: where they agree, neither is wrong alone.

use burn::tensor::Device;
use covary_nn::{EncoderConfig, EngineConfig, MlpConfig, Network, Norm};

use crate::{engine, largest_difference, numbers, small_encoder};

/// Burn's engine on each device that the features of this build bring.
pub(crate) fn on_every_device() -> Vec<EngineConfig> {
    let devices = [
        Device::flex(),
        #[cfg(feature = "wgpu")]
        Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        Device::cuda(0),
    ];
    devices.map(EngineConfig::Burn).into()
}

pub(crate) fn burn() -> EngineConfig {
    EngineConfig::Burn(Device::flex())
}

pub(crate) fn agree(what: &str, make: &dyn Fn(&EngineConfig) -> Network, input: &[f32]) {
    let initialised = |engine: &EngineConfig| {
        let mut network = make(engine);
        network.initialise(4, "network");
        network
    };
    for device in on_every_device() {
        let networks = [initialised(&engine()), initialised(&device)];
        compare(&format!("{what} on {device:?}"), networks, input);
    }
}

/// Two views through both networks: outputs of training and eval mode, running statistics and all gradients agree.
fn compare(what: &str, [mut kernels, mut burn]: [Network; 2], input: &[f32]) {
    let near = |part: &str, burn: &[f32], kernels: &[f32]| {
        let off = if kernels.is_empty() && burn.is_empty() {
            0.0
        } else {
            largest_difference(burn, kernels)
        };
        assert!(off < 1e-4, "{what}: {part} is off by {off:e}");
    };
    near(
        "untracked",
        &burn.forward_untracked(input, 2),
        &kernels.forward_untracked(input, 2),
    );
    let out = kernels.forward(input, 2);
    near("training", &burn.forward(input, 2), &out);
    near("statistics", burn.statistics(), kernels.statistics());
    let cotangent = numbers(9, out.len());
    near(
        "input gradient",
        &burn.backward(&cotangent),
        &kernels.backward(&cotangent),
    );
    near("gradients", burn.gradients(), kernels.gradients());
    near("eval", &burn.infer(input), &kernels.infer(input));
}

#[test]
fn heads_of_every_kind_agree_on_both_engines() {
    let norms = [
        Norm::None,
        Norm::Batch,
        Norm::BatchAffineFree,
        Norm::Layer,
        Norm::LayerAffineFree,
    ];
    for hidden_norm in norms {
        for output_norm in norms {
            for output_bias in [true, false] {
                for sizes in [vec![11, 19, 33, 5], vec![11, 7]] {
                    let config = MlpConfig {
                        sizes,
                        hidden_norm,
                        output_norm,
                        output_bias,
                    };
                    agree(
                        &format!("{config:?}"),
                        &|engine| Network::mlp(&config, engine).unwrap(),
                        &numbers(8, 2 * 24 * 11),
                    );
                }
            }
        }
    }
}

#[test]
fn encoders_of_odd_sizes_agree_on_both_engines() {
    for (name, width, rows, columns) in [("resnet18", 3, 9, 13), ("resnet34", 2, 16, 8)] {
        let config = EncoderConfig::named(name, width);
        agree(
            name,
            &|engine| Network::encoder(&config, [rows, columns], engine).unwrap(),
            &numbers(8, 2 * 12 * rows * columns * 3),
        );
    }
}

#[test]
fn changed_parameters_reach_the_next_pass_and_gradients_add_up() {
    let input = numbers(3, 2 * 4 * 9 * 12 * 3);
    let mut network = small_encoder(&burn());
    let mut other = small_encoder(&burn());
    network.infer(&input);
    network.parameters_mut().iter_mut().for_each(|p| *p *= 0.5);
    let halved: Vec<f32> = other.parameters().iter().map(|p| p * 0.5).collect();
    other.parameters_mut().copy_from_slice(&halved);
    assert_eq!(network.infer(&input), other.infer(&input));

    let out = network.forward(&input, 2);
    let cotangent = numbers(4, out.len());
    network.backward(&cotangent);
    let once = network.gradients().to_vec();
    network.forward(&input, 2);
    network.backward(&cotangent);
    let twice: Vec<f32> = once.iter().map(|g| 2.0 * g).collect();
    assert!(once.iter().any(|g| *g != 0.0));
    assert!(largest_difference(network.gradients(), &twice) < 1e-6);
}

/// `initialise` depends on names and shapes alone, so the engine has no say in where training starts.
#[test]
fn engines_start_from_the_same_parameters_and_read_each_other_s_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    let kernels = small_encoder(&engine());
    let mut burn = small_encoder(&burn());
    assert_eq!(kernels.parameters(), burn.parameters());
    burn.parameters_mut()[7] += 1.0;
    let input = numbers(3, 4 * 9 * 12 * 3);
    let before = burn.infer(&input);
    kernels
        .save(&path, std::collections::HashMap::new())
        .unwrap();
    burn.load(&path).unwrap();
    assert_eq!(kernels.parameters(), burn.parameters());
    assert_ne!(before, burn.infer(&input));
}

#[test]
fn thread_counts_do_not_change_a_bit_on_flex() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let config = EncoderConfig::named("resnet18", 8);
            let mut network = Network::encoder(&config, [16, 16], &burn()).unwrap();
            network.initialise(2, "encoder");
            let out = network.forward(&numbers(1, 2 * 48 * 768), 2);
            network.backward(&numbers(2, out.len()));
            (
                out,
                network.gradients().to_vec(),
                network.statistics().to_vec(),
            )
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}

#[test]
fn the_device_may_have_autodiff_enabled_already() {
    let input = numbers(3, 2 * 4 * 9 * 12 * 3);
    let mut plain = small_encoder(&burn());
    let mut tracked = small_encoder(&EngineConfig::Burn(Device::flex().autodiff()));
    let out = plain.forward(&input, 2);
    assert_eq!(out, tracked.forward(&input, 2));
    plain.backward(&out);
    tracked.backward(&out);
    assert_eq!(plain.gradients(), tracked.gradients());
    assert_eq!(plain.infer(&input), tracked.infer(&input));
}
