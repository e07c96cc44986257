//! Averaged weights: their recursion, that a moving one changes no bit of training, and that they are what is scored.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use covary_data::ViewBatch;
use covary_kernels::{Isa, Precision};
use covary_nn::{EncoderConfig, EngineConfig, Network};
use covary_train::Pretraining;
use covary_train::config::{DeviceChoice, TrainConfig};
use covary_train::run::{Checkpoint, RunFolder};
use covary_train::trainer::TrainState;

use crate::contracts::numbers;

fn config(average: &str) -> TrainConfig {
    let text = format!(
        "epochs = 2\nbatch_size = 16\nprecision = \"f32\"\n{average}\n[data]\npath = \"synthetic:96\"\n\
         [augment]\nsize = 16\n[encoder]\nwidth = 4\n[projector]\nhidden = 16\ndim = 8\n[monitor]\nimages = 32\n"
    );
    TrainConfig::parse("test", &text).unwrap()
}

fn trained(average: &str, folder: &Path) -> Checkpoint {
    let mut pretraining = Pretraining::prepare(config(average)).unwrap();
    let stop = AtomicBool::new(false);
    let run = RunFolder::create(folder).unwrap();
    pretraining.run(&run, &stop, &mut |_| {}).unwrap();
    Checkpoint::load(&folder.join("checkpoint.safetensors")).unwrap()
}

#[test]
fn a_moving_average_follows_its_recursion() {
    let isa = Isa::choose(None).unwrap();
    let engine = DeviceChoice::Cpu.engine(isa, Precision::F32).unwrap();
    let config = config("optimizer.average = { kind = \"ema\", decay = 0.3 }");
    let mut state = TrainState::new(&config, &engine, isa, 10).unwrap();
    let mut average: Vec<f64> = state
        .model
        .encoder
        .parameters()
        .iter()
        .map(|p| f64::from(*p))
        .collect();
    for (step, decay) in [(1, 2.0 / 11.0), (2, 0.25), (3, 0.3), (4, 0.3)] {
        let views = [ViewBatch {
            size: 16,
            views: 2,
            values: numbers(step, 2 * 16 * 16 * 16 * 3),
        }];
        state.train_step(&views, false).unwrap();
        for (average, p) in average.iter_mut().zip(state.model.encoder.parameters()) {
            *average = decay * *average + (1.0 - decay) * f64::from(*p);
        }
    }
    for (found, expected) in state.checkpoint().vectors["average.encoder"]
        .iter()
        .zip(&average)
    {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-6,
            "{found} {expected}"
        );
    }
}

#[test]
fn a_moving_average_changes_no_bit_of_training_and_is_what_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    let mut averaged = trained("optimizer.average = { kind = \"ema\", decay = 0.5 }", &with);
    let plain = trained("", &without);
    let average = averaged.vectors.remove("average.encoder").unwrap();
    averaged
        .vectors
        .retain(|name, _| !name.starts_with("average."));
    assert!(
        averaged.vectors == plain.vectors,
        "the average changes what is trained"
    );

    let engine = EngineConfig::Kernels {
        isa: Isa::choose(None).unwrap(),
        precision: Precision::F32,
    };
    let sizes = EncoderConfig::named("resnet18", 4);
    let mut encoder = Network::encoder(&sizes, [16, 16], &engine).unwrap();
    encoder.load(&with.join("encoder.safetensors")).unwrap();
    assert_eq!(encoder.parameters(), average);
    assert_ne!(encoder.parameters(), plain.vectors["encoder.parameters"]);
    // Re-estimated on the clean images: far from what training's views left after twelve steps.
    let (found, left) = (encoder.statistics(), &plain.vectors["encoder.statistics"]);
    assert!(found.iter().all(|value| value.is_finite()));
    assert_ne!(found, left.as_slice());
}

#[test]
fn a_lookahead_that_keeps_nothing_is_plain_training() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, average: &str| trained(average, &folder.path().join(name));
    let nothing = of(
        "nothing",
        "optimizer.average = { kind = \"lookahead\", decay = 0.0, every = 3 }",
    );
    let plain = of("plain", "");
    assert_eq!(
        nothing.vectors["encoder.parameters"],
        plain.vectors["encoder.parameters"]
    );
    assert_eq!(
        nothing.vectors["average.encoder"],
        plain.vectors["encoder.parameters"]
    );
    let slow = of(
        "slow",
        "optimizer.average = { kind = \"lookahead\", decay = 0.5, every = 3, power = 0.0 }",
    );
    assert_ne!(
        slow.vectors["encoder.parameters"],
        plain.vectors["encoder.parameters"]
    );
    assert_eq!(
        slow.vectors["average.encoder"],
        slow.vectors["encoder.parameters"]
    );
}
