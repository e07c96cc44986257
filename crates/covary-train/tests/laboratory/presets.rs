//! The contract that every preset is under: slopes, stopped gradients, collapse, and what protects it from that.

use covary_loss::method::{MethodConfig, Protection, StopGradient, presets, protection};
use covary_loss::{BranchOutputs, Branches, CheckOptions, CheckVerdict, Objective, check};
use covary_train::config::TrainConfig;

use crate::contracts::numbers;

const N: usize = 12;
const D: usize = 5;

fn method(name: &str, set: &[&str]) -> MethodConfig {
    let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
    TrainConfig::resolve(name, &set).unwrap().method_config()
}

/// Embeddings, predictions and targets of views a and b.
type Outputs = [Vec<f32>; 6];

fn outputs(z: &Outputs) -> BranchOutputs<'_> {
    let view = |i: usize| Some(z[i].as_slice());
    BranchOutputs {
        n: z[0].len() / D,
        d: D,
        branches: Branches {
            embedding: vec![view(0), view(1)],
            prediction: vec![view(2), view(3)],
            target: vec![view(4), view(5)],
        },
    }
}

fn total(method: &MethodConfig, z: &Outputs) -> f64 {
    let mut objective = Objective::new(method).unwrap();
    objective.evaluate(&outputs(z), 1.0).unwrap().total
}

#[test]
fn gradients_of_every_preset_are_slopes_and_stopped_ones_are_exactly_zero() {
    for (name, _) in presets() {
        let through = ["terms.contrast.gradient_through_c=true"];
        let has_contrast = method(name, &[])
            .terms
            .iter()
            .any(|(_, t)| t.kind == "contrast");
        let method = method(name, if has_contrast { &through } else { &[] });
        let z: Outputs = std::array::from_fn(|i| {
            numbers(30 + i as u64, N * D)
                .iter()
                .map(|v| 0.6 * v)
                .collect()
        });
        let mut objective = Objective::new(&method).unwrap();
        let needs = objective.needs();
        let evaluation = objective.evaluate(&outputs(&z), 1.0).unwrap();
        let found = &evaluation.gradients;
        let leaves = found.embedding.iter().chain(&found.prediction);
        for (leaf, gradient) in leaves.enumerate() {
            let stops_all = leaf < 2
                && method.branches.stop_gradient == StopGradient::Y
                && needs.prediction[leaf]
                && method.terms.iter().all(|(_, term)| term.kind == "cosine");
            let Some(gradient) = gradient else { continue };
            if stops_all {
                assert!(gradient.iter().all(|g| *g == 0.0), "{name}: {leaf}");
                continue;
            }
            if leaf < 2 && method.branches.stop_gradient == StopGradient::Y {
                // The slope would see the stopped side of the pairs too.
                continue;
            }
            let scale = gradient.iter().fold(0.0_f32, |max, g| max.max(g.abs()));
            for at in (0..N * D).step_by(7) {
                let (mut up, mut down) = (z.clone(), z.clone());
                up[leaf][at] += 2e-3;
                down[leaf][at] -= 2e-3;
                let slope = (total(&method, &up) - total(&method, &down))
                    / f64::from(up[leaf][at] - down[leaf][at]);
                let off = (slope - f64::from(gradient[at])).abs();
                assert!(
                    off < 0.02 * f64::from(scale) + 1e-4,
                    "{name}: output {leaf}, number {at}: {} is not {slope}",
                    gradient[at]
                );
            }
        }
    }
}

#[test]
fn every_preset_at_collapse_has_the_value_that_it_declares() {
    let constant: Vec<f32> = numbers(7, D).repeat(N);
    let z: Outputs = std::array::from_fn(|_| constant.clone());
    let mut declared = 0;
    for (name, _) in presets() {
        let mut objective = Objective::new(&method(name, &[])).unwrap();
        for steps in 1..=3 {
            let evaluation = objective.evaluate(&outputs(&z), 1.0).unwrap();
            for (term, value) in objective
                .describe(N, D, steps)
                .iter()
                .zip(&evaluation.terms)
            {
                let Some(collapsed) = term.collapsed else {
                    continue;
                };
                declared += 1;
                assert!(
                    (collapsed - value.value).abs() < 1e-4 * collapsed.abs().max(1.0),
                    "{name}: {} after {steps} steps is {}, not {collapsed}",
                    term.name,
                    value.value
                );
            }
        }
    }
    assert!(declared > 3 * presets().count());
}

#[test]
fn collapse_is_worse_than_spread_and_aligned_where_the_loss_protects_and_not_elsewhere() {
    // Columns 1, 2, 4, 7 and 3 of a Hadamard matrix: mean 0, variance 1, no correlation.
    let sign = |i: usize, j: usize| 1.0 - 2.0 * ((i & j).count_ones() % 2) as f32;
    let spread: Vec<f32> = (0..16)
        .flat_map(|i| [1, 2, 4, 7, 8].map(|j| 1.05 * sign(i, j)))
        .collect();
    let constant: Vec<f32> = numbers(7, D).repeat(16);
    for (name, _) in presets() {
        // At the scale that suits each best, as scale is free; after as many steps as moving averages take.
        let settled = |z: &[f32]| {
            let at = |scale: f32| {
                let z: Outputs = std::array::from_fn(|_| z.iter().map(|z| scale * z).collect());
                let mut objective = Objective::new(&method(name, &[])).unwrap();
                let losses = (0..60).map(|_| objective.evaluate(&outputs(&z), 1.0).unwrap().total);
                losses.last().unwrap()
            };
            [0.05, 0.1, 0.2, 0.4, 0.7, 1.0]
                .map(at)
                .into_iter()
                .fold(f64::INFINITY, f64::min)
        };
        let (collapsed, spread) = (settled(&constant), settled(&spread));
        let worse = collapsed > spread + 1e-3;
        let expected = protection(name).unwrap() == Protection::Loss;
        assert_eq!(
            worse, expected,
            "{name}: {collapsed} at collapse, {spread} spread"
        );
    }
}

#[test]
fn presets_whose_loss_protects_do_not_collapse_when_tried_and_the_others_do_not_resist() {
    for (name, _) in presets() {
        let tried = |steps| {
            let options = CheckOptions {
                steps,
                ..CheckOptions::default()
            };
            check(&method(name, &[]), options).unwrap()
        };
        let mut report = tried(300);
        if protection(name).unwrap() != Protection::Loss {
            let resists = report.verdict == CheckVerdict::Resists;
            assert!(!resists, "{name}: {}", report.reason);
            continue;
        }
        if report.verdict == CheckVerdict::Collapses {
            // What is slow to leave the constant is not stuck there.
            report = tried(5000);
        }
        let collapses = report.verdict == CheckVerdict::Collapses;
        assert!(!collapses, "{name}: {}", report.reason);
    }
}

#[test]
fn losses_written_by_users_are_judged_as_their_files_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../losses");
    let mut judged = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        let expected = first.strip_prefix("# verdict: ").unwrap_or_else(|| {
            panic!(
                "{}: the first line must be \"# verdict: ...\"",
                path.display()
            )
        });
        let name = path.display().to_string();
        let report = check(&method(&name, &[]), CheckOptions::default()).unwrap();
        let verdict = serde_json::to_value(report.verdict).unwrap();
        assert_eq!(verdict, expected, "{name}: {}", report.reason);
        judged.push(expected.to_owned());
    }
    for verdict in ["collapses", "dimensional", "unbounded", "resists"] {
        assert!(
            judged.iter().any(|judged| judged == verdict),
            "no file is {verdict}"
        );
    }
}
