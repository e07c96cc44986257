//! Presets and terms against lightly and PyTorch in float64.

use covary_loss::method::{BranchConfig, PredictorConfig, TargetConfig};
use covary_loss::{BranchOutputs, Evaluation, Objective};
use covary_train::config::TrainConfig;

use crate::golden::Golden;

/// The loss of a recipe's text, without the branches' own choices: both views online, nothing stopped.
pub(crate) fn objective(text: &str) -> Objective {
    let mut method = TrainConfig::parse("test", text).unwrap().method_config();
    method.branches = BranchConfig::default();
    method.target = TargetConfig::default();
    method.predictor = PredictorConfig::default();
    Objective::new(&method).unwrap()
}

fn preset(name: &str) -> String {
    match name {
        "invariance" | "variance" | "covariance" => {
            format!("method = \"custom\"\n[terms.{name}]\n")
        }
        "negative-cosine" => "method = \"simsiam\"".into(),
        "nt-xent" => "method = \"custom\"\n[terms.nt-xent]\ntemperature = 0.5\n".into(),
        // The reference evaluates one direction.
        other => format!("method = \"{other}\""),
    }
}

pub(crate) fn evaluate(
    objective: &mut Objective,
    n: usize,
    d: usize,
    a: &[f32],
    b: &[f32],
) -> Evaluation {
    let outputs = BranchOutputs::embeddings(n, d, &[a, b]);
    objective.evaluate(&outputs, 0.0).unwrap()
}

pub(crate) fn gradient(evaluation: &Evaluation, view: usize, len: usize) -> Vec<f32> {
    evaluation.gradients.embedding[view]
        .clone()
        .unwrap_or_else(|| vec![0.0; len])
}

fn check_gradient(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    let scale = expected.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let off = (f64::from(*actual) - expected).abs();
        assert!(
            off <= tolerance * scale,
            "{what}[{i}]: {actual} is not {expected} (largest entry {scale})"
        );
    }
}

#[test]
fn every_preset_has_the_value_and_gradients_of_its_reference() {
    let golden = Golden::open("losses");
    let mut checked = 0;
    for key in golden.names() {
        let Some(stem) = key
            .strip_suffix(".loss")
            .filter(|stem| !stem.starts_with("tico_step"))
        else {
            continue;
        };
        let (case, name) = stem.split_once('.').unwrap();
        let shape = golden.shape(&format!("{case}.z_a"));
        let (n, d) = (shape[0], shape[1]);
        let (a, b) = (
            golden.f32(&format!("{case}.z_a")),
            golden.f32(&format!("{case}.z_b")),
        );
        let evaluation = evaluate(&mut objective(&preset(name)), n, d, &a, &b);
        let expected = golden.f64(&key)[0];
        let off = (evaluation.total - expected).abs();
        assert!(
            off <= 1e-5 * expected.abs().max(1.0),
            "{stem}: {} is not {expected}",
            evaluation.total
        );
        let tolerance = if case == "near_collapse" { 1e-2 } else { 1e-4 };
        for (view, side) in ["grad_a", "grad_b"].into_iter().enumerate() {
            let expected = golden.f64(&format!("{stem}.{side}"));
            check_gradient(
                &format!("{stem}.{side}"),
                &gradient(&evaluation, view, a.len()),
                &expected,
                tolerance,
            );
        }
        checked += 1;
    }
    assert_eq!(checked, 7 * 12, "seven cases of twelve losses");
}

#[test]
fn tico_keeps_its_running_matrix_over_three_steps() {
    let golden = Golden::open("losses");
    let mut objective = objective("method = \"tico@lightly\"");
    for step in 0..3 {
        let (a, b) = (
            golden.f32(&format!("tico_step{step}.z_a")),
            golden.f32(&format!("tico_step{step}.z_b")),
        );
        let evaluation = evaluate(&mut objective, 32, 16, &a, &b);
        let expected = golden.f64(&format!("tico_step{step}.loss"))[0];
        assert!(
            (evaluation.total - expected).abs() < 1e-5 * expected.abs().max(1.0),
            "step {step}"
        );
        check_gradient(
            "grad_a",
            &gradient(&evaluation, 0, a.len()),
            &golden.f64(&format!("tico_step{step}.grad_a")),
            1e-4,
        );
        let state = objective.state();
        assert_eq!(state[0].0, "contrast");
        check_gradient(
            "C",
            &state[0].1[..16 * 16],
            &golden.f64(&format!("tico_step{step}.C")),
            1e-5,
        );
    }
}
