//! Every registered metric against golden values, closed forms, its range and its declared invariances.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use safetensors::SafeTensors;

use super::*;
use crate::embeddings::Embeddings;

fn value(name: &str, values: &[f32], dimension: usize) -> Option<f64> {
    let sample = Sample::new(Embeddings::try_new(values, dimension).unwrap());
    let metric = METRICS.iter().find(|metric| metric.name() == name).unwrap();
    metric.compute(&sample).unwrap()
}

fn doubles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let (chunks, _) = file.tensor(name).unwrap().data().as_chunks::<8>();
    chunks
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect()
}

#[test]
fn golden_metrics_and_spectra_are_met_in_f64() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/metrics.safetensors"
    );
    let bytes = fs_err::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for case in ["isotropic", "power_law", "rank_one", "constant", "offset"] {
        let tensor = file.tensor(&format!("{case}.z")).unwrap();
        let (chunks, _) = tensor.data().as_chunks::<4>();
        let z: Vec<f32> = chunks
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let sample = Sample::new(Embeddings::try_new(&z, tensor.shape()[1]).unwrap());
        let expected = doubles(&file, &format!("{case}.covariance_eigenvalues"));
        for (ours, theirs) in sample
            .covariance_eigenvalues()
            .unwrap()
            .iter()
            .zip(&expected)
        {
            assert!(
                (ours - theirs).abs() <= 1e-12 * expected[0],
                "{case}: {ours} {theirs}"
            );
        }
        for metric in METRICS {
            let name = format!("{case}.{}", metric.name());
            if file.tensor(&name).is_err() {
                continue;
            }
            let expected = doubles(&file, &name)[0];
            compared += 1;
            match metric.compute(&sample).unwrap() {
                None => assert!(expected.is_nan(), "{name}: none, {expected}"),
                Some(ours) => {
                    let tolerance = 1e-9 * expected.abs().max(1.0);
                    assert!(
                        (ours - expected).abs() <= tolerance,
                        "{name}: {ours} {expected}"
                    );
                }
            }
        }
    }
    assert_eq!(compared, 5 * 7);
}

/// Rows plus and minus each unit vector: mean 0, covariance a multiple of the identity.
fn cross_polytope(dimension: usize) -> Vec<f32> {
    let mut values = vec![0.0; 2 * dimension * dimension];
    for row in 0..2 * dimension {
        values[row * dimension + row / 2] = if row % 2 == 0 { 1.0 } else { -1.0 };
    }
    values
}

#[test]
fn a_flat_spectrum_scores_its_width() {
    let z = cross_polytope(8);
    let close = |name, expected: f64| {
        let value = value(name, &z, 8).unwrap();
        assert!(
            (value - expected).abs() < 1e-4,
            "{name}: {value} {expected}"
        );
    };
    close("participation_ratio", 8.0);
    close("effective_rank", 8.0);
    close("rankme", 8.0);
    close("nesum", 8.0);
    close("alpha_req", 0.0);
    close("collapse_auc", 9.0 / 16.0);
    close("mean_abs_off_diagonal_correlation", 0.0);
    // Each column holds +1, -1 and fourteen zeros.
    close("std_of_l2_normalized", (2.0f64 / 15.0).sqrt());
    // Of the 15 partners of a row one is opposite (distance² 4), 14 are orthogonal (distance² 2).
    close(
        "uniformity",
        ((14.0 * (-4.0f64).exp() + (-8.0f64).exp()) / 15.0).ln(),
    );
}

#[test]
fn a_line_through_the_origin_scores_as_one_dimension() {
    let z: Vec<f32> = (0..40)
        .flat_map(|i| [1.0, -2.0, 4.0].map(|x| x * (i as f32 - 19.5)))
        .collect();
    for (name, expected) in [
        ("participation_ratio", 1.0),
        ("effective_rank", 1.0),
        ("rankme", 1.0),
        ("nesum", 1.0),
        ("collapse_auc", 1.0),
        ("mean_abs_off_diagonal_correlation", 1.0),
    ] {
        let value = value(name, &z, 3).unwrap();
        assert!((value - expected).abs() < 1e-5, "{name}: {value}");
    }
    assert_eq!(value("alpha_req", &z, 3), None);
}

#[test]
fn constant_embeddings_score_zero_or_nothing() {
    let z = [0.3f32, -0.7, 1.1, 2.9].repeat(33);
    for name in [
        "std_of_l2_normalized",
        "participation_ratio",
        "effective_rank",
        "nesum",
        "mean_abs_off_diagonal_correlation",
        "uniformity",
    ] {
        let value = value(name, &z, 4).unwrap();
        assert!(value.abs() < 1e-12, "{name}: {value}");
    }
    assert_eq!(
        (value("alpha_req", &z, 4), value("collapse_auc", &z, 4)),
        (None, None)
    );
    assert_eq!(value("rankme", &[0.0; 12], 4), None);
}

#[test]
fn a_power_law_spectrum_has_its_exponent() {
    let mut z = cross_polytope(16);
    for (index, x) in z.iter_mut().enumerate() {
        *x *= ((index % 16 + 1) as f32).powf(-0.75);
    }
    let exponent = value("alpha_req", &z, 16).unwrap();
    assert!((exponent - 1.5).abs() < 1e-6, "{exponent}");
}

#[test]
fn alignment_is_zero_for_equal_views_four_for_opposite_ones_and_undefined_for_one() {
    let first = cross_polytope(5);
    let opposite: Vec<f32> = first.iter().map(|x| -3.0 * x).collect();
    let view = |values| Embeddings::try_new(values, 5).unwrap();
    let alignment = |second| {
        let sample = Sample::try_from_views(view(&first), view(second)).unwrap();
        alignment::Alignment.compute(&sample).unwrap().unwrap()
    };
    assert!(alignment(&first).abs() < 1e-12);
    assert!((alignment(&opposite) - 4.0).abs() < 1e-12);
    assert_eq!(value("alignment", &first, 5), None);
}

#[test]
fn uniformity_agrees_with_a_loop_over_pairs() {
    let z = generic(150, 7);
    let unit: Vec<Vec<f64>> = z
        .chunks(7)
        .map(|row| {
            let norm = row
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum::<f64>()
                .sqrt();
            row.iter().map(|&x| f64::from(x) / norm).collect()
        })
        .collect();
    let mut sum = 0.0;
    for i in 0..150 {
        for j in 0..i {
            let distance: f64 = unit[i]
                .iter()
                .zip(&unit[j])
                .map(|(x, y)| (x - y).powi(2))
                .sum();
            sum += (-2.0 * distance).exp();
        }
    }
    let expected = (sum / (150.0 * 149.0 / 2.0)).ln();
    let ours = value("uniformity", &z, 7).unwrap();
    assert!((ours - expected).abs() < 1e-12, "{ours} {expected}");
}

/// Correlated, off-centre rows on a grid of 1/64, so that shifts and powers of two are exact.
fn generic(rows: usize, dimension: usize) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut values = Vec::with_capacity(rows * dimension);
    for _ in 0..rows {
        let common: f32 = random.random_range(-1.0..1.0);
        for column in 0..dimension {
            let x = common + random.random_range(-1.0..1.0) / (column + 1) as f32 + 0.5;
            values.push((x * 64.0).round() / 64.0);
        }
    }
    values
}

/// Reflection in the hyperplane orthogonal to (1, 2, ... d), an orthogonal map that mixes all columns.
fn reflect(values: &[f32], dimension: usize) -> Vec<f32> {
    let normal: Vec<f64> = (1..=dimension).map(|x| x as f64).collect();
    let square: f64 = normal.iter().map(|x| x * x).sum();
    let reflected = values.chunks(dimension).flat_map(|row| {
        let along: f64 = row
            .iter()
            .zip(&normal)
            .map(|(&x, n)| f64::from(x) * n)
            .sum();
        let shift = 2.0 * along / square;
        row.iter()
            .zip(&normal)
            .map(move |(&x, n)| (f64::from(x) - shift * n) as f32)
            .collect::<Vec<_>>()
    });
    reflected.collect()
}

#[test]
fn declared_invariances_hold_and_the_others_do_not() {
    let d = 6;
    let (first, second) = (generic(200, d), generic(201, d).split_off(d));
    let compute = |metric: &dyn CollapseMetric, map: &dyn Fn(&[f32]) -> Vec<f32>| {
        let (first, second) = (map(&first), map(&second));
        let view = |values| Embeddings::try_new(values, d).unwrap();
        let sample = Sample::try_from_views(view(&first), view(&second)).unwrap();
        let sample = sample.try_with_augmented(view(&first), 4).unwrap();
        metric.compute(&sample).unwrap().unwrap()
    };
    for &metric in METRICS {
        let reference = compute(metric, &<[f32]>::to_vec);
        let holds = |map: &dyn Fn(&[f32]) -> Vec<f32>| {
            (compute(metric, map) - reference).abs() < 1e-5 * reference.abs().max(1.0)
        };
        let found = Invariances {
            rotation: holds(&|z| reflect(z, d)),
            scale: [1e-3, 1e3]
                .iter()
                .all(|factor| holds(&|z| z.iter().map(|x| x * factor).collect())),
            translation: holds(&|z| {
                z.iter()
                    .enumerate()
                    .map(|(i, x)| x + (i % d) as f32)
                    .collect()
            }),
        };
        assert_eq!(found, metric.invariances(), "{}", metric.name());
    }
}

#[test]
fn values_stay_in_their_ranges_and_names_are_unique() {
    let mut line = vec![0.0f32; 60];
    line.iter_mut()
        .enumerate()
        .for_each(|(i, x)| *x = (i / 6) as f32 - 4.5);
    let samples = [
        generic(10, 6),
        cross_polytope(6),
        line,
        vec![0.0; 60],
        vec![0.3; 60],
        generic(3, 6),
    ];
    for values in &samples {
        let view = Embeddings::try_new(values, 6).unwrap();
        let sample = Sample::try_from_views(view, view).unwrap();
        for (metric, measured) in METRICS.iter().zip(measure(&sample).unwrap()) {
            let (low, high) = metric.range(6);
            let inside = |x: f64| x.is_finite() && x >= low - 1e-9 && x <= high + 1e-9;
            assert!(
                measured.value.is_none_or(inside),
                "{measured:?} not in [{low}, {high}]"
            );
        }
    }
    let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
}

#[test]
fn one_and_three_threads_give_the_same_bits() {
    let z = generic(500, 150);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let sample = Sample::new(Embeddings::try_new(&z, 150).unwrap());
            let values = measure(&sample).unwrap();
            values
                .iter()
                .map(|m| m.value.map(f64::to_bits))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(run(1), run(3));
}
