//! What every term must keep to: finite differences, invariances, closed forms at collapse, stop-gradients, refusals.

use covary_train::config::TrainConfig;
use covary_train::loss::{BranchOutputs, LossError, Objective, TERMS};

use crate::losses::{evaluate, gradient, objective};

pub(crate) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 24) as f32
    };
    // Sums of twelve uniform numbers have the variance of a normal one.
    (0..len)
        .map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
        .collect()
}

fn of_kind(kind: &str) -> Objective {
    objective(&format!("method = \"custom\"\n[terms.{kind}]\n"))
}

/// C of TiCo is a constant of the gradient, which a difference of values is not: the contrast is checked with the gradient through C.
fn differentiable(kind: &str) -> Objective {
    if kind == "contrast" {
        objective("method = \"custom\"\n[terms.contrast]\ngradient_through_c = true\n")
    } else {
        of_kind(kind)
    }
}

#[test]
fn gradients_are_the_slopes_of_the_value() {
    let (n, d) = (6, 5);
    let step = 2e-2_f32;
    for term in TERMS {
        let z = [numbers(1, n * d), numbers(2, n * d)]
            .map(|z| z.into_iter().map(|v| 0.6 * v).collect::<Vec<f32>>());
        let value =
            |z: &[Vec<f32>; 2]| evaluate(&mut differentiable(term.kind), n, d, &z[0], &z[1]).total;
        let evaluation = evaluate(&mut differentiable(term.kind), n, d, &z[0], &z[1]);
        for view in 0..2 {
            let actual = gradient(&evaluation, view, n * d);
            let scale = actual.iter().fold(1e-3_f32, |max, g| max.max(g.abs()));
            for at in 0..n * d {
                let slope = |step: f32| {
                    let (mut up, mut down) = (z.clone(), z.clone());
                    up[view][at] += step;
                    down[view][at] -= step;
                    (value(&up) - value(&down)) / (2.0 * f64::from(step))
                };
                // Richardson: the error of fourth order is left.
                let expected = (4.0 * slope(step / 2.0) - slope(step)) / 3.0;
                let off = (f64::from(actual[at]) - expected).abs();
                assert!(
                    off < 5e-3 * f64::from(scale),
                    "{} view {view} [{at}]: {} {expected}",
                    term.kind,
                    actual[at]
                );
            }
        }
    }
}

#[test]
fn order_of_the_batch_does_not_matter() {
    let (n, d) = (8, 5);
    let (a, b) = (numbers(3, n * d), numbers(4, n * d));
    let reversed = |z: &[f32]| -> Vec<f32> { z.chunks(d).rev().flatten().copied().collect() };
    for term in TERMS {
        let one = evaluate(&mut of_kind(term.kind), n, d, &a, &b).total;
        let other = evaluate(&mut of_kind(term.kind), n, d, &reversed(&a), &reversed(&b)).total;
        assert!(
            (one - other).abs() < 1e-5 * one.abs().max(1.0),
            "{}: {one} {other}",
            term.kind
        );
    }
}

#[test]
fn exchanging_the_views_matters_only_to_the_contrast() {
    let (n, d) = (8, 5);
    let (a, b) = (numbers(3, n * d), numbers(4, n * d));
    for term in TERMS {
        let one = evaluate(&mut of_kind(term.kind), n, d, &a, &b).total;
        let other = evaluate(&mut of_kind(term.kind), n, d, &b, &a).total;
        let same = (one - other).abs() < 1e-5 * one.abs().max(1.0);
        assert_eq!(
            same,
            term.kind != "contrast",
            "{}: {one} {other}",
            term.kind
        );
    }
}

#[test]
fn wide_batches_take_the_gram_path_to_the_same_value() {
    // The same rows with columns of zeros appended: covariances with a constant are 0, so sums over pairs stay as they are.
    let (n, d, wide) = (6, 5, 9);
    let (a, b) = (numbers(5, n * d), numbers(6, n * d));
    let pad = |z: &[f32]| -> Vec<f32> {
        z.chunks(d)
            .flat_map(|row| row.iter().copied().chain([0.0; 4]))
            .collect()
    };
    let narrow = evaluate(&mut of_kind("covariance"), n, d, &a, &b);
    let padded = evaluate(&mut of_kind("covariance"), n, wide, &pad(&a), &pad(&b));
    let scale = wide as f64 / d as f64;
    assert!((narrow.total - padded.total * scale).abs() < 1e-5 * narrow.total);
    let (g, h) = (gradient(&narrow, 0, n * d), gradient(&padded, 0, n * wide));
    for (row, wide_row) in g.chunks(d).zip(h.chunks(wide)) {
        for (g, h) in row.iter().zip(wide_row) {
            assert!(
                (f64::from(*g) - f64::from(*h) * scale).abs() < 1e-5,
                "{g} {h}"
            );
        }
    }
    let narrow = evaluate(&mut of_kind("off-diagonal"), n, d, &a, &b).total;
    let padded = evaluate(&mut of_kind("off-diagonal"), n, wide, &pad(&a), &pad(&b)).total;
    assert!((narrow - padded).abs() < 1e-4 * narrow);
}

#[test]
fn collapse_has_its_closed_forms() {
    let (n, d) = (8, 6);
    let constant: Vec<f32> = numbers(7, d).repeat(n);
    let at = |text: &str| evaluate(&mut objective(text), n, d, &constant, &constant).total;
    let near = |actual: f64, expected: f64| {
        assert!(
            (actual - expected).abs() < 1e-5,
            "{actual} is not {expected}"
        );
    };
    near(at("method = \"custom\"\n[terms.variance]\n"), 1.0 - 0.01);
    near(at("method = \"custom\"\n[terms.diagonal]\n"), d as f64);
    near(at("method = \"custom\"\n[terms.off-diagonal]\n"), 0.0);
    near(at("method = \"simsiam\""), -1.0);
    near(at("method = \"byol\""), 0.0);
    let mut tico = objective("method = \"tico@lightly\"");
    let mut sayannag = objective("method = \"tico@sayannag\"");
    for step in 1..=3 {
        let memory = 1.0 - 0.9_f64.powi(step);
        near(
            evaluate(&mut tico, n, d, &constant, &constant).total,
            8.0 * memory,
        );
        near(
            evaluate(&mut sayannag, n, d, &constant, &constant).total,
            20.0 * memory - 1.0,
        );
    }
}

/// Outputs of a symmetric method with predictor and stop-gradient, or with a momentum target.
fn branches(n: usize, d: usize, z: &[Vec<f32>; 6]) -> BranchOutputs<'_> {
    let view = |i: usize| Some(z[i].as_slice());
    BranchOutputs {
        n,
        d,
        embedding: [view(0), view(1)],
        prediction: [view(2), view(3)],
        target: [view(4), view(5)],
    }
}

#[test]
fn a_stopped_gradient_is_exactly_zero() {
    let (n, d) = (6, 4);
    let z: [Vec<f32>; 6] = std::array::from_fn(|i| numbers(10 + i as u64, n * d));
    let run = |text: &str| {
        let method = TrainConfig::parse("test", text).unwrap().method_config();
        Objective::new(&method)
            .unwrap()
            .evaluate(&branches(n, d, &z))
            .unwrap()
    };
    for method in ["simsiam", "byol"] {
        let evaluation = run(&format!("method = \"{method}\""));
        for gradient in evaluation.embedding_gradient.iter().flatten() {
            assert!(gradient.iter().all(|g| *g == 0.0), "{method}");
        }
        for gradient in &evaluation.prediction_gradient {
            assert!(
                gradient.as_ref().unwrap().iter().any(|g| *g != 0.0),
                "{method}"
            );
        }
    }
    let open = run("method = \"simsiam\"\n[branches]\nstop_gradient = false\n");
    assert!(
        open.embedding_gradient[0]
            .as_ref()
            .unwrap()
            .iter()
            .any(|g| *g != 0.0)
    );
}

#[test]
fn directions_are_averaged_or_summed() {
    let (n, d) = (6, 4);
    let z: [Vec<f32>; 6] = std::array::from_fn(|i| numbers(20 + i as u64, n * d));
    let total = |directions: &str| {
        let text = format!("method = \"byol\"\n[branches]\ndirections = \"{directions}\"\n");
        let method = TrainConfig::parse("test", &text).unwrap().method_config();
        Objective::new(&method)
            .unwrap()
            .evaluate(&branches(n, d, &z))
            .unwrap()
            .total
    };
    assert!((total("sum") - 2.0 * total("mean")).abs() < 1e-5);
}

#[test]
fn a_term_of_weight_zero_is_measured_and_gives_no_gradient() {
    let (n, d) = (6, 4);
    let (a, b) = (numbers(1, n * d), numbers(2, n * d));
    let with = evaluate(
        &mut objective("method = \"vicreg\"\n[terms.covariance]\nweight = 0\n"),
        n,
        d,
        &a,
        &b,
    );
    let without = evaluate(
        &mut objective(
            "method = \"custom\"\n[terms.invariance]\nweight = 25\n[terms.variance]\nweight = 25\n",
        ),
        n,
        d,
        &a,
        &b,
    );
    assert_eq!(with.embedding_gradient, without.embedding_gradient);
    let covariance = with
        .terms
        .iter()
        .find(|term| term.name == "covariance")
        .unwrap();
    assert!(covariance.value > 0.0 && covariance.weighted == 0.0);
}

#[test]
fn bad_outputs_are_refused_by_name() {
    let mut objective = objective("method = \"vicreg\"");
    let z = numbers(1, 8);
    let outputs = |n, a, b| BranchOutputs {
        n,
        d: 4,
        embedding: [a, b],
        prediction: [None; 2],
        target: [None; 2],
    };
    let error = objective
        .evaluate(&outputs(1, Some(&z[..4]), Some(&z[..4])))
        .unwrap_err();
    assert_eq!(error, LossError::TooFewRows { rows: 1 });
    let error = objective
        .evaluate(&outputs(2, Some(&z), Some(&z[..4])))
        .unwrap_err();
    assert_eq!(
        error,
        LossError::Shape {
            what: "embedding",
            view: 'b',
            found: 4,
            expected: 8
        }
    );
    let mut bad = z.clone();
    bad[3] = f32::NAN;
    let error = objective
        .evaluate(&outputs(2, Some(&bad), Some(&z)))
        .unwrap_err();
    assert!(matches!(&error, LossError::NotFinite { .. }));
    assert!(error.at_step(7).to_string().starts_with("step 7: term "));
}
