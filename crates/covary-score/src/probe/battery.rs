//! The probes against outside references: scikit-learn's optimum (`golden/probe.safetensors`), naive loops, separable data,
//! and themselves on other numbers of threads.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use safetensors::SafeTensors;

use super::lbfgs::{Stopping, minimize};
use super::precondition::{Preconditioner, second_moments};
use super::softmax::Problem;
use super::standardize::Standardization;
use super::*;

struct Digits {
    train: Vec<f32>,
    train_labels: Vec<u32>,
    test: Vec<f32>,
    test_labels: Vec<u32>,
    bytes: Vec<u8>,
}

const PIXELS: usize = 64;

impl Digits {
    fn load() -> Self {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../golden/probe.safetensors"
        );
        let bytes = fs_err::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| {
            let (chunks, rest) = file.tensor(name).unwrap().data().as_chunks::<4>();
            assert!(rest.is_empty());
            chunks
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect::<Vec<f32>>()
        };
        let labels = |name: &str| {
            let (chunks, rest) = file.tensor(name).unwrap().data().as_chunks::<8>();
            assert!(rest.is_empty());
            chunks
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes) as u32)
                .collect::<Vec<u32>>()
        };
        let (train, test) = (floats("x_train"), floats("x_test"));
        let (train_labels, test_labels) = (labels("y_train"), labels("y_test"));
        Self {
            train,
            train_labels,
            test,
            test_labels,
            bytes,
        }
    }

    fn reference(&self, name: &str) -> f64 {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        f64::from_le_bytes(file.tensor(name).unwrap().data().try_into().unwrap())
    }

    fn train(&self) -> LabeledEmbeddings<'_> {
        labeled(&self.train, &self.train_labels, PIXELS)
    }

    fn test(&self) -> LabeledEmbeddings<'_> {
        labeled(&self.test, &self.test_labels, PIXELS)
    }
}

fn labeled<'a>(values: &'a [f32], labels: &'a [u32], dimension: usize) -> LabeledEmbeddings<'a> {
    LabeledEmbeddings {
        embeddings: Embeddings::try_new(values, dimension).unwrap(),
        labels,
    }
}

/// Rows around one random centre a class, with columns of very different scale and offset.
fn clusters(rows: usize, dimension: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let centres: Vec<f32> = (0..3 * dimension)
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let labels: Vec<u32> = (0..rows).map(|_| random.random_range(0..3)).collect();
    let mut values = Vec::with_capacity(rows * dimension);
    for &label in &labels {
        for column in 0..dimension {
            let x = centres[label as usize * dimension + column] + random.random_range(-2.0..2.0);
            values.push(x * 10f32.powi(column as i32 % 5 - 2) + 3.0);
        }
    }
    (values, labels)
}

#[test]
fn digits_reach_the_objective_and_accuracy_of_scikit_learn() {
    let digits = Digits::load();
    let problem = Problem {
        features: digits.train().embeddings,
        labels: &digits.train_labels,
        classes: 10,
    };
    let rows: Vec<usize> = (0..digits.train_labels.len()).collect();
    let test_rows: Vec<usize> = (0..digits.test_labels.len()).collect();
    let test_problem = Problem {
        features: digits.test().embeddings,
        labels: &digits.test_labels,
        ..problem
    };
    let moments = second_moments(problem.features);
    for (l2, key) in [(1e-3, "l2_0.001"), (1e-4, "l2_0.0001")] {
        let preconditioner = Preconditioner::try_new(&moments, l2, 10).unwrap();
        let minimum = minimize(
            vec![0.0; problem.parameter_count()],
            Stopping {
                gradient_tolerance: 1e-6,
                max_iterations: 500,
                rounding: 1e-13,
            },
            |point, gradient| problem.evaluate::<f64>(&rows, 100, l2, point, gradient),
            |vector| preconditioner.apply(vector),
        );
        assert!(
            minimum.converged,
            "{key}: {} {}",
            minimum.iterations, minimum.gradient_norm
        );
        let objective = digits.reference(&format!("{key}.objective"));
        assert!(
            (minimum.value - objective).abs() < 1e-6,
            "{key}: {} {objective}",
            minimum.value
        );
        let accuracy = digits.reference(&format!("{key}.test_accuracy"));
        let images = (test_problem.accuracy(&test_rows, &minimum.point) - accuracy).abs()
            * test_rows.len() as f64;
        assert!(images < 1.5, "{key}: {images} images from {accuracy}");
    }
}

#[test]
fn linear_probe_of_digits_converges_and_agrees_with_gradient_descent() {
    let digits = Digits::load();
    let validation: Vec<usize> = (0..200).map(|index| index * 6).collect();
    let linear = LinearProbe::default()
        .evaluate(digits.train(), digits.test(), &validation, 10)
        .unwrap();
    assert!(
        linear.converged && linear.gradient_norm <= 1e-5,
        "{linear:?}"
    );
    let best = linear
        .validation
        .iter()
        .map(|score| score.accuracy)
        .fold(0.0, f64::max);
    let chosen = linear
        .validation
        .iter()
        .find(|score| score.l2.to_bits() == linear.l2.to_bits())
        .unwrap();
    assert!(chosen.accuracy >= best, "{linear:?}");
    let reference = digits.reference("l2_0.001.test_accuracy");
    assert!(
        (linear.test_accuracy - reference).abs() < 0.02,
        "{linear:?} {reference}"
    );
    let descent = GradientDescentProbe::default()
        .evaluate(digits.train(), digits.test(), 10)
        .unwrap();
    assert!(
        (descent.test_accuracy - linear.test_accuracy).abs() < 0.02,
        "{descent:?} {linear:?}"
    );
}

#[test]
fn minima_found_in_f32_are_those_of_f64_for_every_penalty() {
    let (train, labels) = clusters(4000, 40, 8);
    let train = labeled(&train, &labels, 40);
    let rows: Vec<usize> = (0..4000).collect();
    let values = Standardization::of(train.embeddings).copy(train.embeddings, &rows);
    let problem = Problem {
        features: Embeddings::try_new(&values, 40).unwrap(),
        labels: train.labels,
        classes: 3,
    };
    let validation: Vec<usize> = (0..400).collect();
    for l2 in LinearProbe::default().l2_grid {
        let settings = LinearProbe {
            l2_grid: vec![l2],
            ..LinearProbe::default()
        };
        let report = settings.evaluate(train, train, &validation, 3).unwrap();
        assert!(report.converged, "{report:?}");
        // From zero, without preconditioning, to a gradient a thousand times smaller.
        let reference = minimize(
            vec![0.0; problem.parameter_count()],
            Stopping {
                gradient_tolerance: 1e-8,
                max_iterations: 5000,
                rounding: 1e-14,
            },
            |point, gradient| problem.evaluate::<f64>(&rows, 500, l2, point, gradient),
            |_| {},
        );
        assert!(reference.converged, "{}", reference.gradient_norm);
        let difference = (report.objective - reference.value).abs() / reference.value;
        assert!(difference < 1e-6, "{l2}: {difference}");
    }
}

#[test]
fn accuracies_do_not_depend_on_the_scale_and_offset_of_columns() {
    let (train, train_labels) = clusters(600, 10, 1);
    let (test, test_labels) = clusters(300, 10, 2);
    let warp = |values: &[f32]| -> Vec<f32> {
        values
            .iter()
            .enumerate()
            .map(|(i, x)| x * [4.0, 0.125][i % 2] + 1.0)
            .collect()
    };
    let (warped_train, warped_test) = (warp(&train), warp(&test));
    let validation: Vec<usize> = (500..600).collect();
    let accuracy = |train: &[f32], test: &[f32]| {
        LinearProbe::default()
            .evaluate(
                labeled(train, &train_labels, 10),
                labeled(test, &test_labels, 10),
                &validation,
                3,
            )
            .unwrap()
            .test_accuracy
    };
    let difference = accuracy(&train, &test) - accuracy(&warped_train, &warped_test);
    assert!(difference.abs() < 1.5 / 300.0, "{difference}");
}

#[test]
fn nearest_neighbours_agree_with_a_full_sort_in_f64() {
    let (train, train_labels) = clusters(1500, 6, 3);
    let (test, test_labels) = clusters(300, 6, 4);
    let unit = |row: &[f32]| -> Vec<f64> {
        let norm = row
            .iter()
            .map(|&x| f64::from(x).powi(2))
            .sum::<f64>()
            .sqrt();
        row.iter().map(|&x| f64::from(x) / norm).collect()
    };
    let settings = NearestNeighbors {
        counts: vec![1, 20, 200],
        temperature: 0.1,
    };
    let report = settings
        .evaluate(
            labeled(&train, &train_labels, 6),
            labeled(&test, &test_labels, 6),
            3,
        )
        .unwrap();
    for score in report.scores {
        let hits = test.chunks(6).zip(&test_labels).filter(|(query, label)| {
            let query = unit(query);
            let mut similarities: Vec<(f64, u32)> = train
                .chunks(6)
                .zip(&train_labels)
                .map(|(row, &label)| {
                    (
                        unit(row).iter().zip(&query).map(|(x, y)| x * y).sum(),
                        label,
                    )
                })
                .collect();
            similarities.sort_by(|x, y| y.0.total_cmp(&x.0));
            let mut votes = [0.0; 3];
            for (similarity, label) in &similarities[..score.k] {
                votes[*label as usize] += (similarity / 0.1).exp();
            }
            (0..3).all(|class| votes[**label as usize] >= votes[class])
        });
        let expected = hits.count() as f64 / 300.0;
        assert!(
            (score.test_accuracy - expected).abs() < 1.5 / 300.0,
            "{score:?} {expected}"
        );
    }
}

#[test]
fn equally_similar_neighbours_are_taken_in_the_order_of_their_rows() {
    // Every training row has similarity 1; the first 30 are of class 1, the other 970 of class 0.
    let train = [2.0f32, 0.0].repeat(1000);
    let train_labels: Vec<u32> = (0..1000).map(|row| u32::from(row < 30)).collect();
    let test = [1.0f32, 0.0].repeat(2);
    let settings = NearestNeighbors {
        counts: vec![20, 59, 61],
        temperature: 0.1,
    };
    let report = settings
        .evaluate(
            labeled(&train, &train_labels, 2),
            labeled(&test, &[1, 1], 2),
            2,
        )
        .unwrap();
    let accuracies: Vec<f64> = report
        .scores
        .iter()
        .map(|score| score.test_accuracy)
        .collect();
    assert_eq!(accuracies, [1.0, 1.0, 0.0]);
}

#[test]
fn one_two_and_three_threads_give_the_same_bits() {
    let (train, train_labels) = clusters(3000, 10, 5);
    let (test, test_labels) = clusters(500, 10, 6);
    let train = labeled(&train, &train_labels, 10);
    let test = labeled(&test, &test_labels, 10);
    let rows: Vec<usize> = (0..3000).collect();
    let values = Standardization::of(train.embeddings).copy(train.embeddings, &rows);
    let problem = Problem {
        features: Embeddings::try_new(&values, 10).unwrap(),
        labels: train.labels,
        classes: 3,
    };
    let validation: Vec<usize> = (0..300).collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut gradient = vec![0.0; problem.parameter_count()];
            let point: Vec<f64> = (0..33).map(|i| f64::from(i) / 33.0).collect();
            let value = problem.evaluate::<f32>(&rows, 47, 1e-3, &point, &mut gradient);
            let moments = second_moments(problem.features);
            let linear = LinearProbe::default()
                .evaluate(train, test, &validation, 3)
                .unwrap();
            let descent = GradientDescentProbe {
                epochs: 5,
                ..Default::default()
            }
            .evaluate(train, test, 3)
            .unwrap();
            let neighbors = NearestNeighbors::default()
                .evaluate(train, test, 3)
                .unwrap();
            let numbers = [
                value,
                moments[(7, 3)],
                linear.gradient_norm,
                linear.test_accuracy,
                descent.train_accuracy,
                neighbors.scores[1].test_accuracy,
            ];
            let bits: Vec<u64> = numbers
                .iter()
                .chain(&gradient)
                .map(|x| x.to_bits())
                .collect();
            (bits, linear.iterations)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn impossible_problems_are_refused_with_their_numbers() {
    let values = vec![0.5f32; 40];
    let labels: Vec<u32> = (0..10).map(|row| row % 2).collect();
    let good = labeled(&values, &labels, 4);
    let probe = LinearProbe::default();
    let refusal = |train, test, validation: &[usize]| {
        probe
            .evaluate(train, test, validation, 2)
            .unwrap_err()
            .to_string()
    };
    let one_class = labeled(&values, &[1; 10], 4);
    assert_eq!(
        refusal(one_class, good, &[0]),
        "all 10 training labels are 1; a classifier needs two classes"
    );
    let foreign = labeled(&values, &[0, 1, 0, 5, 0, 1, 0, 1, 0, 1], 4);
    assert_eq!(
        refusal(good, foreign, &[0]),
        "label 5 of row 3 is not below 2 classes"
    );
    let wide = labeled(&values, &labels[..5], 8);
    assert_eq!(
        refusal(good, wide, &[0]),
        "embeddings of width 8 beside embeddings of width 4"
    );
    let unlabeled = labeled(&values, &labels[..9], 4);
    assert_eq!(refusal(good, unlabeled, &[0]), "9 labels for 10 rows");
    for validation in [&[10][..], &[3, 3]] {
        assert!(refusal(good, good, validation).contains("is repeated or not below 10"));
    }
    assert_eq!(refusal(good, good, &[]), "0 rows; at least 1 are needed");
    let neighbors = NearestNeighbors::default()
        .evaluate(good, good, 2)
        .unwrap_err();
    assert_eq!(neighbors.to_string(), "10 rows; at least 200 are needed");
}

#[test]
fn constant_embeddings_are_classified_as_the_most_frequent_class() {
    let values = vec![0.5f32; 400];
    let labels: Vec<u32> = (0..100).map(|row| u32::from(row % 4 == 0)).collect();
    let set = labeled(&values, &labels, 4);
    let validation: Vec<usize> = (0..20).collect();
    let report = LinearProbe::default()
        .evaluate(set, set, &validation, 2)
        .unwrap();
    assert!(
        report.converged && (report.test_accuracy - 0.75).abs() < 1e-12,
        "{report:?}"
    );
}
