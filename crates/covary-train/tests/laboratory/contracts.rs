//! What a loss must keep to: closed forms at collapse, stop-gradients, directions, states, refusals.

use covary_loss::{BranchOutputs, Branches, LossError, Objective};
use covary_train::config::TrainConfig;

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

#[test]
fn orthogonal_columns_have_their_closed_forms() {
    // Columns 1, 2, 4 and 7 of the Hadamard matrix of order 8: mean 0, variance 1, no correlation, rows of length 2.
    let (n, d) = (8, 4);
    let sign = |i: usize, j: usize| 1.0 - 2.0 * ((i & j).count_ones() % 2) as f32;
    let z: Vec<f32> = (0..n)
        .flat_map(|i| [1, 2, 4, 7].map(|j| sign(i, j)))
        .collect();
    for (text, expected) in [
        ("method = \"vicreg\"", 0.0),
        ("method = \"barlow-twins\"", 0.0),
        ("method = \"simsiam\"", -1.0),
        ("method = \"byol\"", 0.0),
        // C is I/D, times 1 - beta at the first step.
        ("method = \"tico@lightly\"", 8.0 * 0.1 / 4.0),
        ("method = \"tico@sayannag\"", 20.0 * 0.1 / 4.0 - 1.0),
        ("method = \"custom\"\n[terms.log-det]\n", 2.0 * 4.0_f64.ln()),
        (
            "method = \"custom\"\n[terms.coding-rate]\n",
            -2.0 * 6.0_f64.ln(),
        ),
    ] {
        let total = evaluate(&mut objective(text), n, d, &z, &z).total;
        assert!(
            (total - expected).abs() < 1e-5,
            "{text}: {total} {expected}"
        );
    }
}

/// Outputs of a symmetric method with predictor and stop-gradient, or with a momentum target.
fn branches(n: usize, d: usize, z: &[Vec<f32>; 6]) -> BranchOutputs<'_> {
    let view = |i: usize| Some(z[i].as_slice());
    BranchOutputs {
        n,
        d,
        branches: Branches {
            embedding: vec![view(0), view(1)],
            prediction: vec![view(2), view(3)],
            target: vec![view(4), view(5)],
        },
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
            .evaluate(&branches(n, d, &z), 0.0)
            .unwrap()
    };
    for method in ["simsiam", "byol"] {
        let evaluation = run(&format!("method = \"{method}\""));
        for gradient in evaluation.gradients.embedding.iter().flatten() {
            assert!(gradient.iter().all(|g| *g == 0.0), "{method}");
        }
        for gradient in &evaluation.gradients.prediction {
            assert!(
                gradient.as_ref().unwrap().iter().any(|g| *g != 0.0),
                "{method}"
            );
        }
    }
    let open = run("method = \"simsiam\"\n[branches]\nstop_gradient = \"none\"\n");
    assert!(
        open.gradients.embedding[0]
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
            .evaluate(&branches(n, d, &z), 0.0)
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
    assert_eq!(with.gradients.embedding, without.gradients.embedding);
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
        branches: Branches {
            embedding: vec![a, b],
            prediction: vec![],
            target: vec![],
        },
    };
    let error = objective
        .evaluate(&outputs(1, Some(&z[..4]), Some(&z[..4])), 0.0)
        .unwrap_err();
    assert_eq!(error, LossError::TooFewRows { rows: 1 });
    let error = objective
        .evaluate(&outputs(2, Some(&z), Some(&z[..4])), 0.0)
        .unwrap_err();
    assert_eq!(
        error,
        LossError::Shape {
            what: "embedding",
            view: "b".into(),
            found: 4,
            expected: 8
        }
    );
    let mut bad = z.clone();
    bad[3] = f32::NAN;
    let error = objective
        .evaluate(&outputs(2, Some(&bad), Some(&z)), 0.0)
        .unwrap_err();
    assert!(matches!(&error, LossError::NotFinite { .. }));
    let error = covary_train::TrainError::of_loss(error, 7);
    assert!(error.to_string().starts_with("step 7: term "));
}

fn tico(branches: &str) -> Objective {
    let text = format!("method = \"tico\"\n[branches]\n{branches}\n");
    let method = TrainConfig::parse("test", &text).unwrap().method_config();
    Objective::new(&method).unwrap()
}

#[test]
fn each_direction_keeps_a_state_of_its_own() {
    let (n, d) = (6, 4);
    let z: [Vec<f32>; 6] = std::array::from_fn(|i| numbers(30 + i as u64, n * d));
    let mut both = tico("symmetric = true");
    let (mut forth, mut back) = (tico(""), tico(""));
    for step in 0..3 {
        let mut exchanged = z.clone();
        (0..3).for_each(|i| exchanged.swap(2 * i, 2 * i + 1));
        let total = both.evaluate(&branches(n, d, &z), 0.0).unwrap().total;
        let forth = forth.evaluate(&branches(n, d, &z), 0.0).unwrap().total;
        let back = back
            .evaluate(&branches(n, d, &exchanged), 0.0)
            .unwrap()
            .total;
        assert!((total - f64::midpoint(forth, back)).abs() < 1e-5, "{step}");
    }
    let names: Vec<_> = both.state().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["contrast", "contrast.b-to-a"]);
}

#[test]
fn a_state_that_is_missing_unknown_or_of_another_width_is_refused() {
    let (n, d) = (6, 4);
    let z: [Vec<f32>; 6] = std::array::from_fn(|i| numbers(40 + i as u64, n * d));
    let mut objective = tico("");
    objective.evaluate(&branches(n, d, &z), 0.0).unwrap();
    let state: std::collections::BTreeMap<_, _> = objective.state().into_iter().collect();
    let refused = |state, words: &str| {
        let error = tico("").load_state(state).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(std::collections::BTreeMap::new(), "contrast is missing");
    let mut unknown = state.clone();
    unknown.insert("variance".into(), vec![0.0]);
    refused(unknown, "no term keeps a state called variance");
    let mut cut = state.clone();
    cut.get_mut("contrast").unwrap().pop();
    refused(cut, "no square matrix");
    let mut other = tico("");
    other.load_state(state).unwrap();
    let wide: [Vec<f32>; 6] = std::array::from_fn(|i| numbers(50 + i as u64, n * 5));
    let error = other.evaluate(&branches(n, 5, &wide), 0.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "state of the loss: contrast: the running matrix is 4 x 4, the embeddings have 5 dimensions"
    );
}

#[test]
fn impossible_settings_are_refused_with_key_and_reason() {
    for (term, setting) in [
        ("variance", "gamma = 0"),
        ("variance", "epsilon = -1e-4"),
        ("variance", "gamma = nan"),
        ("variance-log", "bounded = false\ngamma = 2"),
        ("contrast", "beta = 1"),
        ("running-covariance", "beta = -0.1"),
        ("nt-xent", "temperature = 0"),
        ("smooth-l1", "beta = inf"),
        ("sigreg", "slices = 0"),
        ("sigreg", "knots = 1"),
        ("log-det", "epsilon = 0"),
        ("covariance", "matrix = \"correlation\"\ndivisor = \"n\""),
    ] {
        let text = format!("method = \"custom\"\n[terms.{term}]\n{setting}\n");
        let error = TrainConfig::parse("test", &text).unwrap_err().to_string();
        let key = setting.lines().last().unwrap().split(' ').next().unwrap();
        assert!(error.contains(&format!("terms.{term}: {key}: ")), "{error}");
    }
}

#[test]
fn a_loss_is_explained_with_every_constant() {
    let explain = |text: &str| objective(text).explain(256, 64);
    let vicreg = explain("method = \"vicreg\"");
    for words in [
        "L = 1 · covariance + 25 · invariance + 25 · variance\n",
        "variance = mean over views of (1/D) Σ_d max(0, 1 - √(Var_n z_nd + 0.0001))",
        "L tends to 24.75",
    ] {
        assert!(vicreg.contains(words), "{vicreg}");
    }
    let paper = explain("method = \"vicreg@paper\"");
    assert!(paper.contains("sum over views of (1/D) Σ_d max") && paper.contains("L tends to 49.5"));
    assert!(explain("method = \"tico\"").contains("L tends to 8\n"));
    assert!(explain("method = \"tico@sayannag\"").contains("L tends to 19\n"));
    assert!(explain("method = \"barlow-twins\"").contains("L tends to 64\n"));
    let method = TrainConfig::parse("test", "method = \"byol\"").unwrap();
    let byol = Objective::new(&method.method_config()).unwrap();
    assert!(byol.explain(256, 64).contains(
        "x = prediction of one view, y = momentum target's embedding, without gradient, of the other: sum of both directions"
    ));
}
