//! Switches of the techniques: what they do, and which combinations are refused.

use covary_data::ViewBatch;
use covary_kernels::{Isa, Precision};
use covary_loss::{BranchOutputs, Branches, Objective};
use covary_train::TrainError;
use covary_train::config::{DeviceChoice, TrainConfig};
use covary_train::trainer::TrainState;

use crate::contracts::numbers;

fn config(text: &str) -> TrainConfig {
    TrainConfig::parse("test", text).unwrap()
}

#[test]
fn combinations_without_sense_are_refused_with_key_and_reason() {
    for (text, key, word) in [
        (
            "[branches]\nstop_gradient = \"y\"\n[target]\nkind = \"momentum\"",
            "branches.stop_gradient",
            "no gradient anyway",
        ),
        (
            "[branches]\nstop_gradient = \"x\"\n[target]\nkind = \"momentum\"",
            "branches.stop_gradient",
            "nothing to learn",
        ),
        (
            "[projector]\nlayer_norm = true",
            "projector.layer_norm",
            "batch_norm = false",
        ),
        (
            "[predictor]\nlayer_norm = true",
            "predictor.layer_norm",
            "batch_norm = false",
        ),
        (
            "[embedding]\nnormalise = \"l2\"\n[projector]\ndim = 256",
            "terms.variance.gamma",
            "gamma=0.062500",
        ),
        (
            "[embedding]\nnormalise = \"whiten\"\n[projector]\ndim = 256",
            "embedding.normalise",
            "more rows than columns",
        ),
        (
            "[terms.variance]\nstop_gradient = \"x\"",
            "terms",
            "\"a\", \"b\"",
        ),
        (
            "[terms.invariance]\nstop_gradient = \"a\"",
            "terms",
            "\"x\", \"y\"",
        ),
        (
            "[terms.variance.schedule]\nstart = 0.0\nuntil = 2.0",
            "terms",
            "until",
        ),
        (
            "[terms.variance.schedule]\nstart = 0.0\nuntil = 0.5\nshap = 1",
            "terms",
            "shap",
        ),
    ] {
        let error = TrainConfig::parse("test", text).unwrap_err();
        let TrainError::BadValue {
            key: found, reason, ..
        } = &error
        else {
            panic!("{text}: {error}")
        };
        assert!(found.starts_with(key), "{text}: {error}");
        assert!(reason.contains(word), "{text}: {error}");
    }
    config(
        "[embedding]\nnormalise = \"l2\"\n[projector]\ndim = 256\n[terms.variance]\ngamma = 0.0625",
    );
}

fn evaluate(text: &str, progress: f64) -> covary_loss::Evaluation {
    let (n, d) = (8, 4);
    let [a, b] = [1, 2].map(|seed| numbers(seed, n * d));
    let outputs = BranchOutputs {
        n,
        d,
        branches: Branches {
            embedding: vec![Some(&a), Some(&b)],
            prediction: vec![Some(&b), Some(&a)],
            target: vec![Some(&a), Some(&b)],
        },
    };
    let mut objective = Objective::new(&config(text).method_config()).unwrap();
    objective.evaluate(&outputs, progress).unwrap()
}

#[test]
fn gradients_are_stopped_on_either_side_and_term_by_term() {
    let none = evaluate("", 0.0).gradients.embedding;
    let of = |text: &str| evaluate(text, 0.0).gradients.embedding;
    let only = "method = \"custom\"\n[terms.invariance]\n";
    let stopped = |g: &Option<Vec<f32>>| g.iter().flatten().all(|g| *g == 0.0);
    let x = of(&format!("{only}[branches]\nstop_gradient = \"x\""));
    let y = of(&format!("{only}[branches]\nstop_gradient = \"y\""));
    assert!(stopped(&x[0]) && !stopped(&x[1]));
    assert!(stopped(&y[1]) && !stopped(&y[0]));
    let own = of(&format!(
        "{only}stop_gradient = \"none\"\n[branches]\nstop_gradient = \"y\""
    ));
    assert!(!stopped(&own[0]) && !stopped(&own[1]));
    // VICReg's variance on view a alone: view b keeps the gradients of the other terms.
    let part = of("[terms.variance]\nstop_gradient = \"b\"");
    assert_eq!(part[0], none[0]);
    assert_ne!(part[1], none[1]);
}

#[test]
fn a_stop_gradient_on_either_view_in_turn_is_half_the_weight_of_the_invariance() {
    // d/dx of ½ (|x - sg y|² + |y - sg x|²) is x - y, half of what |x - y|² gives.
    let of = |text: &str| evaluate(text, 0.0).gradients.embedding;
    let stopped = of("[branches]\nsymmetric = true\nstop_gradient = \"y\"");
    assert_eq!(stopped, of("[terms.invariance]\nweight = 12.5"));
    assert_ne!(stopped, of(""));
}

#[test]
fn weights_with_a_schedule_move_to_their_value() {
    let text = |shape: &str| {
        format!("[terms.invariance.schedule]\nstart = 5.0\nuntil = 0.5\nshape = \"{shape}\"")
    };
    let weight = |shape: &str, progress| {
        let evaluation = evaluate(&text(shape), progress);
        let term = evaluation
            .terms
            .iter()
            .find(|term| term.name == "invariance");
        term.unwrap().weight
    };
    for (shape, progress, expected) in [
        ("linear", 0.0, 5.0),
        ("linear", 0.25, 15.0),
        ("linear", 0.5, 25.0),
        ("linear", 1.0, 25.0),
        ("cosine", 0.125, 5.0 + 20.0 * (0.5 - 0.5 * 0.5_f64.sqrt())),
    ] {
        let found = weight(shape, progress);
        assert!(
            (found - expected).abs() < 1e-9,
            "{shape} {progress}: {found}"
        );
    }
    let round = config(&text("cosine"));
    assert_eq!(
        TrainConfig::parse("again", &round.to_toml()).unwrap(),
        round
    );
}

/// A method and what else one chooses, with networks of a few numbers.
fn small(method: &str, rest: &str) -> String {
    format!(
        "method = \"{method}\"\nbatch_size = 8\nprojector.hidden = 6\nprojector.dim = 5\n{rest}\n\
         [encoder]\nwidth = 2\n[augment]\nsize = 8\n"
    )
}

fn state(text: &str) -> TrainState {
    state_on(DeviceChoice::Cpu, Precision::F32, text)
}

fn state_on(device: DeviceChoice, precision: Precision, text: &str) -> TrainState {
    let isa = Isa::choose(None).unwrap();
    let engine = device.engine(isa, precision).unwrap();
    TrainState::new(&config(text), &engine, isa, 10).unwrap()
}

fn views(step: u64) -> [ViewBatch; 1] {
    [ViewBatch {
        size: 8,
        views: 2,
        values: numbers(90 + step, 2 * 8 * 8 * 8 * 3),
    }]
}

#[test]
fn telemetry_changes_no_bit_and_its_parts_are_those_of_single_terms() {
    for preset in ["vicreg", "vicreg-predictor", "tico", "byol", "simsiam"] {
        let text = small(preset, "");
        let (mut with, mut without) = (state(&text), state(&text));
        for step in 0..3 {
            let report = with.train_step(&views(step), true).unwrap();
            without.train_step(&views(step), false).unwrap();
            let telemetry = report.telemetry.unwrap();
            let weighted = report
                .evaluation
                .terms
                .iter()
                .filter(|term| term.weight != 0.0);
            let names: Vec<_> = weighted.map(|term| &term.name).collect();
            assert_eq!(
                telemetry.terms.iter().map(|t| &t.name).collect::<Vec<_>>(),
                names
            );
            for term in &telemetry.terms {
                assert!(
                    term.z_norm >= 0.0 && term.h_norm.unwrap().is_finite(),
                    "{preset}"
                );
            }
            for (a, b, cosine) in &telemetry.cosines {
                let inside = cosine.is_none_or(|cosine| cosine.abs() <= 1.0 + 1e-5);
                assert!(inside, "{preset}: {a} {b} {cosine:?}");
            }
        }
        let bits = |state: &TrainState| -> Vec<u32> {
            let all = state
                .model
                .encoder
                .parameters()
                .iter()
                .chain(state.model.projector.parameters());
            all.map(|p| p.to_bits()).collect()
        };
        assert_eq!(bits(&with), bits(&without), "{preset}");
    }
}

#[test]
fn a_term_alone_has_the_gradient_norms_of_its_share() {
    // What telemetry says of a term of VICReg is what a loss of that term alone has; one of the three is told by what the others leave.
    let of = |precision, text: &str, name: &str| {
        let mut state = state_on(DeviceChoice::Cpu, precision, text);
        let report = state.train_step(&views(0), true).unwrap();
        let mut terms = report.telemetry.unwrap().terms.into_iter();
        terms.find(|term| term.name == name).unwrap()
    };
    for (precision, bound) in [(Precision::F32, 1e-5), (Precision::Bf16, 1e-2)] {
        for (name, weight) in [
            ("invariance", 25.0),
            ("variance", 25.0),
            ("covariance", 1.0),
        ] {
            let term = format!("terms.{name}.weight = {weight:?}");
            let alone = of(precision, &small("custom", &term), name);
            let whole = of(precision, &small("vicreg", ""), name);
            assert_eq!(whole.z_norm.to_bits(), alone.z_norm.to_bits(), "{name}");
            let (whole, alone) = (whole.h_norm.unwrap(), alone.h_norm.unwrap());
            assert!(
                (whole - alone).abs() < bound * alone && alone > 0.0,
                "{name} in {precision:?}: {whole} is not {alone}"
            );
        }
    }
}

#[test]
fn embeddings_are_judged_before_the_normalisation_of_the_output() {
    let mut state = state(&small(
        "vicreg",
        "projector.output_norm = \"batch-affine-free\"",
    ));
    state.train_step(&views(0), false).unwrap();
    let h = numbers(5, 6 * state.model.representation_width());
    let (bare, normalised) = (state.model.embed(&h), state.model.projector.infer(&h));
    let statistics = state.model.projector.statistics();
    let (mean, variance) = statistics[statistics.len() - 10..].split_at(5);
    for (i, (bare, normalised)) in bare.iter().zip(&normalised).enumerate() {
        let c = i % 5;
        let expected = (bare - mean[c]) / (variance[c] + 1e-5).sqrt();
        assert!(
            (expected - normalised).abs() < 1e-4,
            "{i}: {expected} {normalised}"
        );
    }
}

#[test]
fn burn_s_operations_train_as_the_kernels_do() {
    for method in ["vicreg", "byol"] {
        let text = small(method, "");
        let mut states = [DeviceChoice::Cpu, DeviceChoice::Flex]
            .map(|device| state_on(device, Precision::F32, &text));
        for step in 0..3 {
            let [kernels, burn] = states.each_mut().map(|state| {
                state
                    .train_step(&views(step), true)
                    .unwrap()
                    .evaluation
                    .total
            });
            let off = (kernels - burn).abs() / kernels.abs();
            assert!(off < 1e-3, "{method}, step {step}: {kernels} and {burn}");
        }
    }
}

#[test]
fn devices_that_cannot_do_what_is_asked_are_refused() {
    let refused = |text: &str| {
        let error = TrainConfig::parse("test", text).unwrap_err();
        let TrainError::BadValue { key, reason, .. } = error else {
            panic!("{text}: {error}")
        };
        (key, reason)
    };
    let (key, reason) = refused("device = \"flex\"\nprecision = \"bf16\"");
    assert_eq!(key, "precision");
    assert!(reason.contains("f32"), "{reason}");
    if !cfg!(feature = "wgpu") {
        let (key, reason) = refused("device = \"wgpu\"");
        assert_eq!(key, "device");
        assert!(reason.contains("--features wgpu"), "{reason}");
    }
    assert_eq!(refused("device = \"tpu\"").0, "device");
}
