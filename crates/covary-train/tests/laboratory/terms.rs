//! The battery that every registered term goes through, with the settings that change its formula.

use covary_loss::{BranchOutputs, Evaluation, Invariances, Objective, TERMS, ViewCount};
use covary_train::config::TrainConfig;

use crate::contracts::numbers;
use crate::losses::{evaluate, gradient, objective};

/// Kinds with settings; every kind must be here.
const VARIANTS: &[(&str, &str)] = &[
    ("invariance", ""),
    ("smooth-l1", ""),
    ("smooth-l1", "beta = 0.3"),
    ("cosine", ""),
    ("cosine", "form = '1-cos'"),
    ("cosine", "form = '2-2cos'"),
    ("variance", ""),
    ("variance", "views = 'sum'"),
    ("variance", "views = 'joint'\ngamma = 1.5"),
    ("variance-squared", ""),
    ("variance-squared", "divisor = 'n-1'\nviews = 'sum'"),
    ("variance-log", ""),
    ("variance-log", "bounded = false"),
    ("sliced-wasserstein", ""),
    (
        "sliced-wasserstein",
        "slices = 3\ngradient_through_std = true",
    ),
    ("sliced-wasserstein", "slices = 3\nviews = 'joint'"),
    ("centre", ""),
    ("covariance", ""),
    ("covariance", "divisor = 'n'\nviews = 'mean'"),
    ("covariance", "views = 'joint'"),
    ("covariance", "penalty = 'absolute'"),
    ("covariance", "matrix = 'correlation'"),
    ("covariance", "matrix = 'correlation'\npenalty = 'absolute'"),
    ("running-covariance", ""),
    (
        "running-covariance",
        "bias_correction = false\nviews = 'joint'",
    ),
    ("log-det", ""),
    ("log-det", "epsilon = 0.05"),
    (
        "log-det",
        "normalised = false\nepsilon = 0.05\nviews = 'joint'",
    ),
    ("coding-rate", ""),
    ("coding-rate", "epsilon = 0.5\nviews = 'sum'"),
    ("contrast", ""),
    ("contrast", "gradient_through_c = true"),
    ("contrast", "gradient_through_c = true\ncentred = true"),
    ("contrast", "bias_correction = true"),
    ("diagonal", ""),
    ("off-diagonal", ""),
    ("uniformity", ""),
    ("uniformity", "t = 0.7\nviews = 'joint'"),
    ("sigreg", ""),
    ("sigreg", "slices = 3\nknots = 5\nviews = 'joint'"),
    ("nt-xent", ""),
    ("nt-xent", "temperature = 0.2"),
];

/// Tall and wide, as terms take the smaller of two products.
const SHAPES: [(usize, usize); 2] = [(6, 5), (4, 7)];

#[derive(Clone, Copy)]
pub(crate) struct Variant {
    kind: &'static str,
    settings: &'static str,
}

impl Variant {
    fn objective(self) -> Objective {
        let Self { kind, settings } = self;
        objective(&format!(
            "method = \"custom\"\n[terms.{kind}]\n{settings}\n"
        ))
    }

    fn evaluate(self, n: usize, d: usize, a: &[f32], b: &[f32]) -> Evaluation {
        evaluate(&mut self.objective(), n, d, a, b)
    }

    pub(crate) fn of_views(self, views: ViewCount) -> Objective {
        let Self { kind, settings } = self;
        let text = format!("method = \"custom\"\n[terms.{kind}]\n{settings}\n");
        let config = TrainConfig::parse("test", &text).unwrap();
        Objective::of_views(&config.method_config(), views).unwrap()
    }

    /// Whether it takes the rows of all views together.
    pub(crate) fn is_joint(self) -> bool {
        self.settings.contains("joint")
    }

    /// Whether the gradient goes through all that the value depends on.
    pub(crate) fn is_slope(self) -> bool {
        match self.kind {
            "contrast" => self.settings.contains("gradient_through_c = true"),
            "sliced-wasserstein" => self.settings.contains("gradient_through_std = true"),
            _ => true,
        }
    }

    /// Whether slopes jump between neighbouring embeddings: at covariances of 0, and where two shadows change places.
    pub(crate) fn has_kinks(self) -> bool {
        self.settings.contains("absolute") || self.kind == "sliced-wasserstein"
    }
}

pub(crate) fn variants() -> impl Iterator<Item = (Variant, String)> {
    VARIANTS.iter().map(|&(kind, settings)| {
        let name = format!("{kind} {{ {} }}", settings.replace('\n', ", "));
        (Variant { kind, settings }, name)
    })
}

fn views(n: usize, d: usize) -> [Vec<f32>; 2] {
    [1, 2].map(|seed| {
        let z = numbers(seed, n * d).into_iter();
        z.map(|v| 0.6 * v + 0.1).collect()
    })
}

pub(crate) fn is_near(actual: f64, expected: f64, tolerance: f64) -> bool {
    (actual - expected).abs() <= tolerance * expected.abs().max(1.0)
}

#[test]
fn every_kind_goes_through_the_battery() {
    for term in TERMS {
        assert!(
            VARIANTS.iter().any(|(kind, _)| *kind == term.kind),
            "{} has no line in VARIANTS",
            term.kind
        );
    }
}

#[test]
fn gradients_are_the_slopes_of_the_value() {
    for (variant, name) in variants().filter(|(variant, _)| variant.is_slope()) {
        for (n, d) in SHAPES {
            let z = views(n, d);
            let value = |z: &[Vec<f32>; 2]| variant.evaluate(n, d, &z[0], &z[1]).total;
            let evaluation = variant.evaluate(n, d, &z[0], &z[1]);
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
                    let step = if variant.has_kinks() { 1e-3 } else { 1e-2 };
                    let expected = (4.0 * slope(step / 2.0) - slope(step)) / 3.0;
                    assert!(
                        (f64::from(actual[at]) - expected).abs() < 5e-3 * f64::from(scale),
                        "{name} {n}x{d} view {view} [{at}]: {} {expected}, scale {scale}",
                        actual[at]
                    );
                }
            }
        }
    }
}

#[test]
fn order_of_the_batch_does_not_matter() {
    let reversed = |z: &[f32], d| -> Vec<f32> { z.chunks(d).rev().flatten().copied().collect() };
    for (variant, name) in variants() {
        for (n, d) in SHAPES {
            let [a, b] = views(n, d);
            let one = variant.evaluate(n, d, &a, &b);
            let other = variant.evaluate(n, d, &reversed(&a, d), &reversed(&b, d));
            assert!(is_near(other.total, one.total, 1e-5), "{name}");
            let (g, h) = (gradient(&one, 0, n * d), gradient(&other, 0, n * d));
            let scale = g.iter().fold(1e-6_f32, |max, g| max.max(g.abs()));
            for (g, h) in g.iter().zip(reversed(&h, d)) {
                assert!((g - h).abs() < 1e-4 * scale, "{name}: {g} {h}");
            }
        }
    }
}

/// A reflection along a fixed direction, times a cyclic exchange of axes.
fn rotated(z: &[f32], d: usize) -> Vec<f32> {
    let normal = numbers(9, d);
    let length: f32 = normal.iter().map(|v| v * v).sum();
    z.chunks(d)
        .flat_map(|row| {
            let along: f32 = row.iter().zip(&normal).map(|(z, v)| z * v).sum();
            let normal = &normal;
            (0..d).map(move |j| {
                let j = (j + 1) % d;
                row[j] - 2.0 * along / length * normal[j]
            })
        })
        .collect()
}

fn each(z: &[f32], change: impl Fn(usize, f32) -> f32) -> Vec<f32> {
    z.iter().enumerate().map(|(i, v)| change(i, *v)).collect()
}

#[test]
fn values_change_exactly_where_no_invariance_is_declared() {
    let (n, d) = (12, 5);
    let [a, b] = views(n, d);
    let offset = numbers(11, d);
    for (variant, name) in variants() {
        let Invariances {
            exchange,
            rotation,
            scale,
            translation,
        } = variant.objective().describe(n, d, 1)[0].invariances;
        let value = |a: &[f32], b: &[f32]| variant.evaluate(n, d, a, b).total;
        let one = value(&a, &b);
        let both = |change: &dyn Fn(&[f32]) -> Vec<f32>| value(&change(&a), &change(&b));
        for (what, declared, other) in [
            ("exchange", exchange, value(&b, &a)),
            ("rotation", rotation, both(&|z| rotated(z, d))),
            ("scale", scale, both(&|z| each(z, |_, v| 1.7 * v))),
            (
                "translation",
                translation,
                both(&|z| each(z, |i, v| v + offset[i % d])),
            ),
        ] {
            // An invariance holds up to the term's ε, which is small beside 1.
            let holds = if declared {
                is_near(other, one, 3e-4)
            } else {
                (one - other).abs() < 1e-3 * one.abs()
            };
            assert_eq!(holds, declared, "{name} under {what}: {one} {other}");
        }
    }
}

#[test]
fn collapse_has_the_declared_value_and_finite_gradients() {
    let (n, d) = (8, 6);
    let constants = [3, 4].map(|seed| numbers(seed, d).repeat(n));
    for (variant, name) in variants() {
        let [mut objective, mut elsewhere] = [variant.objective(), variant.objective()];
        for step in 1..=3 {
            let declared = variant.objective().describe(n, d, step)[0].collapsed;
            let evaluation = evaluate(&mut objective, n, d, &constants[0], &constants[0]);
            let other = evaluate(&mut elsewhere, n, d, &constants[1], &constants[1]).total;
            match declared {
                Some(value) => assert!(
                    is_near(evaluation.total, value, 1e-4) && is_near(other, value, 1e-4),
                    "{name} at step {step}: {} and {other}, declared {value}",
                    evaluation.total
                ),
                None => assert!((evaluation.total - other).abs() > 1e-3, "{name}"),
            }
            let finite = gradient(&evaluation, 0, n * d)
                .iter()
                .all(|g| g.is_finite());
            assert!(finite, "{name}");
        }
    }
}

#[test]
fn a_row_of_zeros_gives_finite_gradients() {
    let (n, d) = (6, 5);
    let [mut a, mut b] = views(n, d);
    a[..d].fill(0.0);
    b[d..2 * d].fill(0.0);
    for (variant, name) in variants() {
        let evaluation = variant.evaluate(n, d, &a, &b);
        for view in 0..2 {
            let gradient = gradient(&evaluation, view, n * d);
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        }
    }
}

#[test]
fn a_value_that_is_no_number_is_never_a_good_one() {
    let (n, d) = (6, 5);
    let [mut a, b] = views(n, d);
    a[7] = f32::NAN;
    for (variant, name) in variants() {
        let outputs = BranchOutputs::embeddings(n, d, &[&a, &b]);
        let error = variant.objective().evaluate(&outputs, 0.0);
        assert!(error.is_err(), "{name}");
    }
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let (n, d) = (48, 80);
    let [a, b] = views(n, d);
    for (variant, name) in variants() {
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            pool.install(|| variant.evaluate(n, d, &a, &b))
        });
        assert_eq!(one, two, "{name}");
    }
}

#[test]
fn a_restored_state_goes_on_with_the_same_bits() {
    let (n, d) = (6, 5);
    for (variant, name) in variants() {
        let batch = |step: u64| [numbers(100 + step, n * d), numbers(200 + step, n * d)];
        let step = |objective: &mut Objective, step| {
            let [a, b] = batch(step);
            evaluate(objective, n, d, &a, &b)
        };
        let mut alone = variant.objective();
        // Before the first step too: a run may stop there.
        for stop in 0..3 {
            let mut restored = variant.objective();
            restored
                .load_state(alone.state().into_iter().collect())
                .unwrap();
            let expected = step(&mut alone, stop);
            assert_eq!(step(&mut restored, stop), expected, "{name} after {stop}");
        }
    }
}
