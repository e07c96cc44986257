//! What the memory of a run comes to at least, by arithmetic on its configuration alone, so that sizes that no machine holds are refused
//! before anything is allocated.
//!
//! ```text
//! parameters x 4 bytes x (value, gradient, the optimizer's averages, a momentum target's copy)
//!   + 2 views x batch_size x (pixels x 3 x 4 bytes + activations of the encoder's convolutions x 2 bytes)
//! ```
//!
//! It is a lower bound: matrices of the loss, buffers of kernels, the images and the copy that a checkpoint takes come on top.

use covary_loss::method::{PredictorKind, TargetKind};
use covary_nn::ENCODERS;

use super::TrainConfig;
use crate::TrainError;
use crate::optim::OptimizerName;

/// Sides and batches that recipes use: of what is out of proportion, the key that is farther from them is named.
const USUAL: (f64, f64) = (32.0, 256.0);
/// Layers of a projector above which their number is named instead of their width.
const MANY_LAYERS: usize = 16;

/// Bytes for which one key answers.
struct Part {
    key: &'static str,
    value: usize,
    bytes: f64,
}

/// Checks that a machine with so many bytes of memory can hold a run.
///
/// # Errors
/// [`TrainError::TooLarge`] naming the key that answers for most of it.
pub(crate) fn check(config: &TrainConfig, memory: f64) -> Result<(), TrainError> {
    let parts = parts(config);
    let needed: f64 = parts.iter().map(|part| part.bytes).sum();
    if needed <= memory {
        return Ok(());
    }
    let largest = parts
        .iter()
        .max_by(|a, b| a.bytes.total_cmp(&b.bytes))
        .expect("a run has parts");
    Err(TrainError::TooLarge {
        key: largest.key,
        value: largest.value,
        needed: bytes(needed),
        memory: bytes(memory),
    })
}

fn parts(config: &TrainConfig) -> Vec<Part> {
    let averages = match config.optimizer.name {
        OptimizerName::Adamw => 2.0,
        OptimizerName::Sgd | OptimizerName::Lars | OptimizerName::Muon => 1.0,
    };
    let target = match config.target.kind {
        TargetKind::Shared => 0.0,
        TargetKind::Momentum => 1.0,
    };
    let moved = 4.0 * (2.0 + averages);
    let online_and_target = moved + 4.0 * target;

    let side = config.augment.size as f64;
    let images = 2.0 * config.batch_size as f64;
    let (parameters, activations) = encoder(config, side);
    let projector = &config.projector;
    let (hidden, dim) = (projector.hidden as f64, projector.dim as f64);
    let features = features(config);
    let inner = match projector.layers {
        1 => 0.0,
        layers => features * hidden + (layers - 2) as f64 * hidden * hidden,
    };
    let into_last = if projector.layers == 1 {
        features
    } else {
        hidden
    };
    let predictor = match config.predictor.kind {
        PredictorKind::None => 0.0,
        PredictorKind::Linear => dim * dim,
        PredictorKind::Mlp => 2.0 * dim * config.predictor.hidden as f64,
    };
    let is_batch = config.batch_size as f64 / USUAL.1 > (side / USUAL.0).powi(2);
    let is_deep = projector.layers > MANY_LAYERS;
    let part = |key, value, bytes| Part { key, value, bytes };
    vec![
        part(
            "encoder.width",
            config.encoder.width,
            parameters * online_and_target,
        ),
        if is_deep {
            part(
                "projector.layers",
                projector.layers,
                inner * online_and_target,
            )
        } else {
            part(
                "projector.hidden",
                projector.hidden,
                inner * online_and_target,
            )
        },
        part(
            "projector.dim",
            projector.dim,
            into_last * dim * online_and_target,
        ),
        match config.predictor.kind {
            PredictorKind::Mlp if config.predictor.hidden > projector.dim => part(
                "predictor.hidden",
                config.predictor.hidden,
                predictor * moved,
            ),
            _ => part("projector.dim", projector.dim, predictor * moved),
        },
        if is_batch {
            part(
                "batch_size",
                config.batch_size,
                images * (side * side * 12.0 + 2.0 * activations),
            )
        } else {
            part(
                "augment.size",
                config.augment.size,
                images * (side * side * 12.0 + 2.0 * activations),
            )
        },
    ]
}

/// Channels of the encoder's stages.
fn stages(config: &TrainConfig) -> Vec<f64> {
    let own = config.encoder.channels.iter().map(|c| *c as f64);
    if !config.encoder.channels.is_empty() {
        return own.collect();
    }
    let known = ENCODERS
        .iter()
        .find(|encoder| encoder.name == config.encoder.name);
    let factors = known.map_or(&[][..], |encoder| encoder.channels);
    let width = config.encoder.width as f64;
    factors
        .iter()
        .map(|factor| *factor as f64 * width)
        .collect()
}

/// Width of the representation.
fn features(config: &TrainConfig) -> f64 {
    match config.encoder.expand {
        0 => stages(config).last().copied().unwrap_or_default(),
        expand => expand as f64,
    }
}

/// Weights of the encoder's convolutions, and numbers that come out of them for one image; of encoders other than a plain `ResNet`,
/// only those that lead from one stage to the next.
fn encoder(config: &TrainConfig, side: f64) -> (f64, f64) {
    let is_plain = config.encoder.channels.is_empty();
    if !(is_plain && ["resnet18", "resnet34"].contains(&&*config.encoder.name)) {
        let stages = stages(config);
        let pairs = stages.iter().zip(stages.iter().skip(1));
        let weights = pairs.map(|(inputs, outputs)| 9.0 * inputs * outputs).sum();
        let first = stages.first().copied().unwrap_or_default();
        return (weights, side * side * first);
    }
    let blocks: [f64; 4] = match &*config.encoder.name {
        "resnet34" => [3.0, 4.0, 6.0, 3.0],
        _ => [2.0, 2.0, 2.0, 2.0],
    };
    let mut channels = config.encoder.width as f64;
    let mut pixels = side * side;
    let (mut weights, mut outputs) = (27.0 * channels, pixels * channels);
    for (stage, blocks) in blocks.into_iter().enumerate() {
        let inputs = channels;
        if stage > 0 {
            channels *= 2.0;
            pixels /= 4.0;
        }
        weights += 9.0 * channels * (inputs + (2.0 * blocks - 1.0) * channels);
        outputs += 2.0 * blocks * pixels * channels;
    }
    (weights, outputs)
}

/// Bytes as a reader takes them in: `24 GB`, `1.2 TB`.
fn bytes(bytes: f64) -> String {
    let (value, unit) = [(1e15, "PB"), (1e12, "TB"), (1e9, "GB")]
        .into_iter()
        .find(|(scale, _)| bytes >= *scale)
        .map_or((bytes / 1e6, "MB"), |(scale, unit)| (bytes / scale, unit));
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Memory that this process may take: the machine's, or what its control group is limited to. None where the system does not tell.
pub(crate) fn memory() -> Option<f64> {
    let mut system = sysinfo::System::new().ok()?;
    let () = system.refresh_memory();
    let limit = system
        .cgroup_limits()
        .map_or(u64::MAX, |limits| limits.total_memory);
    let memory = system.total_memory().min(limit);
    (memory > 0).then_some(memory as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_holds_is_named_and_what_is_usual_passes() {
        let config = |set: &str| TrainConfig::resolve("narrow", &[set.to_owned()]).unwrap();
        for set in [
            "projector.dim=100000000",
            "projector.hidden=100000000",
            "projector.layers=1000000000",
            "encoder.width=1000000",
            "augment.size=4096",
            "batch_size=1000000000000",
            "batch_size=9000000000000000000",
        ] {
            let error = check(&config(set), 24e9).unwrap_err().to_string();
            let named = set.replace('=', " = ");
            assert!(
                error.starts_with(&named) && error.contains("24 GB"),
                "{set}: {error}"
            );
        }
        check(&config("encoder.width=64"), 24e9).unwrap();
        check(&config("seed=1"), 2e9).unwrap();
    }

    #[test]
    fn the_estimate_counts_weights_and_outputs_of_a_resnet_18_layer_by_layer() {
        let mut config = TrainConfig::resolve("narrow", &[]).unwrap();
        config.encoder.width = 64;
        let stem = 27.0 * 64.0;
        let stages = 9.0 * (4.0 * 64.0 * 64.0)
            + 9.0 * (64.0 * 128.0 + 3.0 * 128.0 * 128.0)
            + 9.0 * (128.0 * 256.0 + 3.0 * 256.0 * 256.0)
            + 9.0 * (256.0 * 512.0 + 3.0 * 512.0 * 512.0);
        let (weights, outputs) = encoder(&config, 32.0);
        assert_eq!(weights as u64, (stem + stages) as u64);
        // 64 channels at 32x32 five times, 128 at 16x16, 256 at 8x8, 512 at 4x4 four times each.
        let by_hand = 5 * 65_536 + 4 * (32_768 + 16_384 + 8_192);
        assert_eq!(outputs as u64, by_hand);
    }
}
