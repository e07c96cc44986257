//! Six optimizer steps of four methods from the reference's weights on its views, against PyTorch in float64: losses and displacement
//! no further away than ten times what the same steps in PyTorch's float32 are, plus 1e-5 of their size.
#![expect(
    clippy::print_stdout,
    reason = "how far off says more than that it is near"
)]

use covary_data::ViewBatch;
use covary_kernels::{Isa, Precision};
use covary_nn::{EngineConfig, Network};
use covary_train::config::TrainConfig;
use covary_train::trainer::TrainState;

use crate::golden::Golden;

const BATCH: usize = 64;

fn recipe(method: &str) -> String {
    let (preset, optimizer, more) = match method {
        "vicreg" => (
            "vicreg@official",
            "name = \"adamw\"\nlr = 1e-5\nweight_decay = 1.0",
            "",
        ),
        "tico" => (
            "tico@lightly",
            "name = \"sgd\"\nlr = 1e-4\nweight_decay = 0.1",
            "[target]\ndecay = 0.99\nfinal_decay = 0.99",
        ),
        "simsiam" => (
            "simsiam",
            "name = \"sgd\"\nlr = 1e-4\nweight_decay = 0.0",
            "[predictor]\nhidden = 8",
        ),
        "barlow" => (
            "barlow-twins@official",
            "name = \"lars\"\nlr = 1e-3\nweight_decay = 0.1",
            "",
        ),
        other => panic!("{other}"),
    };
    format!(
        "method = \"{preset}\"\nbatch_size = {BATCH}\n[encoder]\nwidth = 8\n[projector]\nhidden = 64\ndim = 16\n[optimizer]\n{optimizer}\n{more}\n"
    )
}

fn fill(network: &mut Network, golden: &Golden, prefix: &str) {
    for entry in network.layout().clone().entries() {
        network.parameters_mut()[entry.range()]
            .copy_from_slice(&golden.f32(&format!("{prefix}.{}", entry.name)));
    }
    for entry in network.statistics_layout().clone().entries() {
        network.statistics_mut()[entry.range()]
            .copy_from_slice(&golden.f32(&format!("{prefix}.{}", entry.name)));
    }
}

fn views(golden: &Golden, step: usize) -> [ViewBatch; 1] {
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
    let pixels = golden.f64("views");
    let len = 2 * BATCH * 32 * 32 * 3;
    let of_step = pixels[step * len..(step + 1) * len].iter().enumerate();
    [ViewBatch {
        size: 32,
        views: 2,
        values: of_step
            .map(|(i, value)| ((value / 255.0 - mean[i % 3]) / std[i % 3]) as f32)
            .collect(),
    }]
}

/// Steps of constant learning rate: six steps at the top of a schedule too long to fall.
const FOREVER: u64 = 1 << 40;

fn follow(golden: &Golden, method: &str, isa: Isa) {
    let text = format!("{}[schedule]\nwarmup = 0.0\n", recipe(method));
    let config = TrainConfig::parse("test", &text).unwrap();
    let engine = EngineConfig::Kernels {
        isa,
        precision: Precision::F32,
    };
    let mut state = TrainState::new(&config, &engine, isa, FOREVER).unwrap();
    let mut init = Vec::new();
    for (name, network) in state.model.networks_mut() {
        let part = name.strip_prefix("target.").unwrap_or(name);
        fill(network, golden, &format!("{method}.init.{part}"));
    }
    for (_, network) in state.model.trained_mut() {
        init.extend(network.parameters().iter().map(|p| f64::from(*p)));
    }

    let (losses, losses_f32) = (
        golden.f64(&format!("{method}.losses")),
        golden.f64(&format!("{method}.losses_f32")),
    );
    let worst = losses
        .iter()
        .zip(&losses_f32)
        .fold(0.0_f64, |max, (a, b)| max.max((a - b).abs()));
    for (step, &expected) in losses.iter().enumerate() {
        let report = state.train_step(&views(golden, step), false).unwrap();
        let off = (report.evaluation.total - expected).abs();
        let bound = 10.0 * worst + 1e-5 * expected.abs();
        assert!(
            off <= bound,
            "{method} step {step}: loss {} is off by {off:e} from {}, bound {bound:e}",
            report.evaluation.total,
            expected
        );
    }

    let mut squares = (0.0, 0.0);
    let mut at = 0;
    for (name, network) in state.model.trained_mut() {
        for entry in network.layout().entries() {
            let expected = golden.f64(&format!("{method}.final.{name}.{}", entry.name));
            for (actual, expected) in network.parameters()[entry.range()].iter().zip(expected) {
                squares.0 += (f64::from(*actual) - expected).powi(2);
                squares.1 += (expected - init[at]).powi(2);
                at += 1;
            }
        }
    }
    let displacement = (squares.0 / squares.1).sqrt();
    let reference = golden.f64(&format!("{method}.displacement_f32"))[0];
    println!(
        "{method} {}: displacement off by {displacement:.1e}, PyTorch's float32 by {reference:.1e}",
        isa.name()
    );
    assert!(
        displacement <= 10.0 * reference + 1e-5,
        "{method}: displacement is off by {displacement:e}, bound {:e}",
        10.0 * reference + 1e-5
    );
}

#[test]
fn training_follows_the_reference() {
    let golden = Golden::open("trajectory");
    for method in ["vicreg", "tico", "simsiam", "barlow"] {
        for isa in Isa::available()
            .into_iter()
            .rev()
            .take(1)
            .chain([Isa::Portable])
        {
            follow(&golden, method, isa);
        }
    }
}
