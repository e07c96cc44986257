//! More than two views: every term against its two-view form, slopes, closed forms, and whole steps on groups of several sizes.

use covary_data::ViewBatch;
use covary_kernels::{Isa, Precision};
use covary_loss::method::{MethodConfig, presets};
use covary_loss::{
    BranchOutputs, Branches, CheckOptions, Evaluation, LossError, Objective, ViewCount, check,
};
use covary_train::config::{DeviceChoice, TrainConfig};
use covary_train::trainer::TrainState;

use crate::contracts::numbers;
use crate::losses::gradient;
use crate::terms::{Variant, is_near, variants};

const N: usize = 6;
const D: usize = 4;

fn all(views: usize) -> ViewCount {
    ViewCount {
        first: views,
        all: views,
    }
}

fn some_views(count: usize) -> Vec<Vec<f32>> {
    let view = |seed| numbers(40 + seed as u64, N * D).into_iter();
    (0..count)
        .map(|seed| view(seed).map(|v| 0.6 * v + 0.1).collect())
        .collect()
}

fn of_embeddings(objective: &mut Objective, z: &[Vec<f32>]) -> Evaluation {
    let z: Vec<&[f32]> = z.iter().map(Vec::as_slice).collect();
    let outputs = BranchOutputs::embeddings(N, D, &z);
    objective.evaluate(&outputs, 0.0).unwrap()
}

fn evaluate(variant: Variant, z: &[Vec<f32>]) -> Evaluation {
    of_embeddings(&mut variant.of_views(all(z.len())), z)
}

fn near_gradients(name: &str, actual: &[f32], expected: &[f64]) {
    let scale = expected.iter().fold(1e-4_f64, |max, g| max.max(g.abs()));
    for (at, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*actual) - expected).abs() < 1e-3 * scale,
            "{name} [{at}]: {actual} {expected}, scale {scale}"
        );
    }
}

#[test]
fn a_loss_of_many_views_is_the_mean_of_the_two_view_loss_over_the_pairs() {
    for (variant, name) in variants().filter(|(variant, _)| !variant.is_joint()) {
        for count in [3, 4, 6] {
            let z = some_views(count);
            let (mut value, mut gradients) = (0.0, vec![vec![0.0_f64; N * D]; count]);
            let pairs = (count * (count - 1)) as f64;
            for x in 0..count {
                for y in (0..count).filter(|y| *y != x) {
                    let two = evaluate(variant, &[z[x].clone(), z[y].clone()]);
                    value += two.total / pairs;
                    for (place, view) in [x, y].into_iter().enumerate() {
                        let found = gradient(&two, place, N * D);
                        for (sum, part) in gradients[view].iter_mut().zip(found) {
                            *sum += f64::from(part) / pairs;
                        }
                    }
                }
            }
            let many = evaluate(variant, &z);
            assert!(
                is_near(many.total, value, 2e-5),
                "{name}, {count} views: {} {value}",
                many.total
            );
            for (view, expected) in gradients.iter().enumerate() {
                near_gradients(&name, &gradient(&many, view, N * D), expected);
            }
        }
    }
}

#[test]
fn gradients_of_many_views_are_the_slopes_of_the_value() {
    for (variant, name) in variants().filter(|(variant, _)| variant.is_slope()) {
        for count in [3, 4, 6] {
            let z = some_views(count);
            let evaluation = evaluate(variant, &z);
            for view in 0..count {
                let actual = gradient(&evaluation, view, N * D);
                let scale = actual.iter().fold(1e-3_f32, |max, g| max.max(g.abs()));
                for at in (view..N * D).step_by(7) {
                    let slope = |step: f32| {
                        let (mut up, mut down) = (z.clone(), z.clone());
                        up[view][at] += step;
                        down[view][at] -= step;
                        let fall = evaluate(variant, &up).total - evaluate(variant, &down).total;
                        fall / (2.0 * f64::from(step))
                    };
                    let step = if variant.has_kinks() { 1e-3 } else { 1e-2 };
                    let expected = (4.0 * slope(step / 2.0) - slope(step)) / 3.0;
                    assert!(
                        (f64::from(actual[at]) - expected).abs() < 1e-2 * f64::from(scale),
                        "{name}, view {view} of {count} [{at}]: {} {expected}, scale {scale}",
                        actual[at]
                    );
                }
            }
        }
    }
}

#[test]
fn the_order_of_the_views_does_not_matter() {
    const ORDER: [usize; 4] = [2, 0, 3, 1];
    let z = some_views(4);
    let turned = ORDER.map(|view| z[view].clone());
    for (variant, name) in variants() {
        let (one, other) = (evaluate(variant, &z), evaluate(variant, &turned));
        assert!(is_near(other.total, one.total, 1e-5), "{name}");
        for (place, view) in ORDER.into_iter().enumerate() {
            let expected = gradient(&one, view, N * D);
            let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
            near_gradients(&name, &gradient(&other, place, N * D), &expected);
        }
    }
}

fn objective(text: &str, views: ViewCount) -> Objective {
    let config = TrainConfig::parse("test", text).unwrap();
    Objective::of_views(&config.method_config(), views).unwrap()
}

fn term(kind: &str, z: &[Vec<f32>]) -> f64 {
    let text = format!("method = \"custom\"\n[terms.{kind}]\n");
    of_embeddings(&mut objective(&text, all(z.len())), z).total
}

/// Mean squared distance of the views from their mean, a mean over numbers.
fn from_their_mean(z: &[Vec<f32>]) -> f64 {
    let views = z.len() as f64;
    let of_number = |at: usize| {
        let mean = z.iter().map(|z| f64::from(z[at])).sum::<f64>() / views;
        let squares = z.iter().map(|z| (f64::from(z[at]) - mean).powi(2));
        squares.sum::<f64>() / views
    };
    (0..N * D).map(of_number).sum::<f64>() / (N * D) as f64
}

#[test]
fn invariance_is_the_distance_of_the_views_from_their_mean() {
    for count in [2, 3, 4, 6] {
        let z = some_views(count);
        let factor = 2.0 * count as f64 / (count - 1) as f64;
        let expected = factor * from_their_mean(&z);
        assert!(is_near(term("invariance", &z), expected, 1e-6), "{count}");
    }
}

#[test]
fn copies_of_two_views_meet_themselves_in_a_third_of_the_pairs() {
    let pair = some_views(2);
    let copies = [pair.clone(), pair.clone()].concat();
    // Of twelve pairs eight are of the one view and the other, four of a view and its copy.
    for (kind, alike) in [("invariance", 0.0), ("cosine", -1.0), ("smooth-l1", 0.0)] {
        let expected = (8.0 * term(kind, &pair) + 4.0 * alike) / 12.0;
        assert!(is_near(term(kind, &copies), expected, 1e-5), "{kind}");
    }
    for kind in ["variance", "covariance", "contrast", "sigreg"] {
        let text = format!("method = \"custom\"\n[terms.{kind}]\n");
        let mut both = objective(&format!("{text}[branches]\nsymmetric = true"), all(2));
        let expected = of_embeddings(&mut both, &pair).total;
        assert!(is_near(term(kind, &copies), expected, 1e-5), "{kind}");
    }
}

#[test]
fn every_preset_at_collapse_has_the_value_that_it_declares_for_any_number_of_views() {
    let constant = numbers(7, D).repeat(N);
    for (name, _) in presets() {
        let method = MethodConfig::preset(name).unwrap();
        for views in [all(3), ViewCount { first: 2, all: 6 }] {
            let mut objective = Objective::of_views(&method, views).unwrap();
            let outputs = BranchOutputs {
                n: N,
                d: D,
                branches: Branches::from_fn(views.all, |_, _| Some(constant.as_slice())),
            };
            for steps in 1..=3 {
                let evaluation = objective.evaluate(&outputs, 1.0).unwrap();
                let terms = objective.describe(N, D, steps);
                for (term, value) in terms.iter().zip(&evaluation.terms) {
                    let Some(collapsed) = term.collapsed else {
                        continue;
                    };
                    assert!(
                        is_near(value.value, collapsed, 1e-4),
                        "{name}, {views:?}: {} is {}, not {collapsed}",
                        term.name,
                        value.value
                    );
                }
            }
        }
    }
}

fn cosine(x: &[f32], y: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(a * b));
        products.sum()
    };
    let rows = x.chunks(D).zip(y.chunks(D));
    let cosines = rows.map(|(x, y)| dot(x, y) / (dot(x, x) * dot(y, y)).sqrt());
    cosines.sum::<f64>() / N as f64
}

#[test]
fn every_view_is_compared_with_the_first_group_where_there_is_a_target_or_a_predictor() {
    let views = ViewCount { first: 2, all: 4 };
    let (z, p) = (some_views(4), some_views(8)[4..].to_vec());
    let target = some_views(10)[8..].to_vec();
    let some = |z: &'static [Vec<f32>]| z.iter().map(|z| Some(z.as_slice())).collect();
    let [z, p, target] = [z, p, target].map(|z| &*Vec::leak(z));
    let outputs = BranchOutputs {
        n: N,
        d: D,
        branches: Branches {
            embedding: some(z),
            prediction: some(p),
            target: some(target),
        },
    };
    for (method, y, factor) in [("byol", target, 2.0), ("simsiam", z, 1.0)] {
        let mut objective = objective(&format!("method = \"{method}\""), views);
        let needs = objective.needs();
        assert_eq!(needs.prediction, [true; 4], "{method}");
        let has_target = method == "byol";
        assert_eq!(needs.target, [has_target, has_target, false, false]);
        let evaluation = objective.evaluate(&outputs, 0.0).unwrap();
        let pairs = [(0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1)];
        let sum: f64 = pairs.iter().map(|&(x, to)| cosine(&p[x], &y[to])).sum();
        let mean = sum / pairs.len() as f64;
        let expected = if has_target {
            factor * (2.0 - 2.0 * mean)
        } else {
            -mean
        };
        assert!(
            is_near(evaluation.total, expected, 1e-5),
            "{method}: {} {expected}",
            evaluation.total
        );
        let gradients = evaluation.gradients;
        assert!(gradients.prediction.iter().all(Option::is_some), "{method}");
        let of_z = gradients.embedding.iter().flatten().flatten();
        assert!(of_z.into_iter().all(|g| *g == 0.0), "{method}");
    }
}

#[test]
fn a_loss_of_fewer_than_two_views_is_refused() {
    let method = MethodConfig::preset("vicreg").unwrap();
    for (first, all) in [(1, 1), (0, 2), (3, 2)] {
        let error = Objective::of_views(&method, ViewCount { first, all }).unwrap_err();
        assert_eq!(error, LossError::Views { first, all });
    }
}

#[test]
fn each_view_keeps_a_second_moment_of_its_own_and_it_can_be_restored() {
    let mut whole = objective("method = \"tico\"\ntarget.kind = \"shared\"", all(3));
    let mut restored = objective("method = \"tico\"\ntarget.kind = \"shared\"", all(3));
    of_embeddings(&mut whole, &some_views(3));
    let state = whole.state();
    let names: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["contrast", "contrast.of-b", "contrast.of-c"]);
    restored.load_state(state.into_iter().collect()).unwrap();
    let next = some_views(6)[3..].to_vec();
    assert_eq!(
        of_embeddings(&mut whole, &next),
        of_embeddings(&mut restored, &next)
    );
}

#[test]
fn free_embeddings_of_six_views_come_to_the_verdict_of_two() {
    for name in ["vicreg", "vicreg-without-variance", "negative-cosine"] {
        let method = MethodConfig::preset(name).unwrap();
        let [two, six] = [2, 6].map(|views| {
            let options = CheckOptions {
                n: 32,
                d: 16,
                views: all(views),
                ..CheckOptions::default()
            };
            check(&method, options).unwrap().verdict
        });
        assert_eq!(two, six, "{name}");
    }
}

fn small(method: &str, augment: &str) -> String {
    format!(
        "method = \"{method}\"\nbatch_size = 8\nprojector.hidden = 6\nprojector.dim = 5\n\
         [encoder]\nwidth = 2\n[augment]\nsize = 16\n{augment}\n"
    )
}

fn state(device: DeviceChoice, text: &str) -> TrainState {
    let isa = Isa::choose(None).unwrap();
    let engine = device.engine(isa, Precision::F32).unwrap();
    let config = TrainConfig::parse("test", text).unwrap();
    TrainState::new(&config, &engine, isa, 10).unwrap()
}

fn group(seed: u64, size: usize, views: usize) -> ViewBatch {
    ViewBatch {
        size,
        views,
        values: numbers(seed, views * 8 * size * size * 3),
    }
}

#[test]
fn burn_s_operations_train_on_groups_as_the_kernels_do() {
    for method in ["vicreg", "byol", "simsiam"] {
        let text = small(method, "views = [{ count = 3, size = 8 }]");
        let mut states = [DeviceChoice::Cpu, DeviceChoice::Flex].map(|device| state(device, &text));
        // The pair's side changes on the way.
        for (step, side) in [8, 16, 16].into_iter().enumerate() {
            let seed = 50 + 2 * step as u64;
            let groups = [group(seed, side, 2), group(seed + 1, 8, 3)];
            let [kernels, burn] = states.each_mut().map(|state| {
                let report = state.train_step(&groups, true).unwrap();
                report.evaluation.total
            });
            let off = (kernels - burn).abs() / kernels.abs();
            assert!(off < 1e-3, "{method}, step {step}: {kernels} and {burn}");
        }
        let [kernels, burn] = states
            .each_ref()
            .map(|state| state.model.encoder.parameters());
        let (mut off, mut size) = (0.0_f32, 0.0_f32);
        for (kernels, burn) in kernels.iter().zip(burn) {
            off = off.max((kernels - burn).abs());
            size = size.max(kernels.abs());
        }
        assert!(off < 2e-2 * size, "{method}: {off} of {size}");
    }
}

#[test]
fn a_group_in_two_parts_of_one_size_trains_with_the_same_bits() {
    let text = small("vicreg", "views = [{ count = 2 }]");
    let (mut whole, mut parts) = (
        state(DeviceChoice::Cpu, &text),
        state(DeviceChoice::Cpu, &text),
    );
    for step in 0..3 {
        let all = group(70 + step, 16, 4);
        let half = all.values.len() / 2;
        let halves = [&all.values[..half], &all.values[half..]].map(|values| ViewBatch {
            size: 16,
            views: 2,
            values: values.to_vec(),
        });
        let one = whole.train_step(&[all], true).unwrap();
        let other = parts.train_step(&halves, true).unwrap();
        assert_eq!(one.evaluation, other.evaluation, "step {step}");
        assert_eq!(one.telemetry, other.telemetry, "step {step}");
    }
    let bits = |state: &mut TrainState| state.checkpoint();
    assert!(bits(&mut whole) == bits(&mut parts));
}
