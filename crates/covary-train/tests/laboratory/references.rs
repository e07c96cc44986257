//! Values of terms against their definitions written out in f64 loops, and random directions against what must hold for any of them.

use covary_loss::Objective;

use crate::contracts::numbers;
use crate::losses::{evaluate, gradient, objective};

/// Rows of one view.
struct View {
    n: usize,
    d: usize,
    z: Vec<f64>,
}

impl View {
    fn new(n: usize, d: usize, z: &[f32]) -> Self {
        let z = z.iter().map(|v| f64::from(*v)).collect();
        Self { n, d, z }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.z[i * self.d..(i + 1) * self.d]
    }

    fn normalised(&self) -> Self {
        let rows = (0..self.n).flat_map(|i| {
            let length = dot(self.row(i), self.row(i)).sqrt();
            self.row(i).iter().map(move |v| v / length)
        });
        Self {
            z: rows.collect(),
            ..*self
        }
    }

    fn means(&self) -> Vec<f64> {
        let column = |j: usize| (0..self.n).map(|i| self.row(i)[j]).sum::<f64>();
        (0..self.d).map(|j| column(j) / self.n as f64).collect()
    }

    fn covariance(&self, divisor: f64) -> Vec<Vec<f64>> {
        let means = self.means();
        let entry = |j: usize, k: usize| {
            let products = (0..self.n).map(|i| {
                let row = self.row(i);
                (row[j] - means[j]) * (row[k] - means[k])
            });
            products.sum::<f64>() / divisor
        };
        (0..self.d)
            .map(|j| (0..self.d).map(|k| entry(j, k)).collect())
            .collect()
    }

    fn joined(&self, other: &Self) -> Self {
        Self {
            n: self.n + other.n,
            d: self.d,
            z: [self.z.clone(), other.z.clone()].concat(),
        }
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn off_diagonal(c: &[Vec<f64>], cost: impl Fn(usize, usize, f64) -> f64) -> f64 {
    let d = c.len();
    let pairs = (0..d).flat_map(|j| (0..d).map(move |k| (j, k)));
    let costs = pairs.filter(|(j, k)| j != k);
    costs.map(|(j, k)| cost(j, k, c[j][k])).sum::<f64>() / d as f64
}

/// By elimination; the matrix must be positive definite.
fn log_det(mut matrix: Vec<Vec<f64>>) -> f64 {
    let d = matrix.len();
    let mut sum = 0.0;
    for pivot in 0..d {
        let upper = matrix[pivot].clone();
        sum += upper[pivot].ln();
        for row in matrix.iter_mut().skip(pivot + 1) {
            let factor = row[pivot] / upper[pivot];
            row.iter_mut()
                .zip(&upper)
                .for_each(|(v, u)| *v -= factor * u);
        }
    }
    sum
}

fn plus_identity(mut matrix: Vec<Vec<f64>>, factor: f64, diagonal: f64) -> Vec<Vec<f64>> {
    for (j, row) in matrix.iter_mut().enumerate() {
        row.iter_mut().for_each(|v| *v *= factor);
        row[j] += diagonal;
    }
    matrix
}

fn of(text: &str) -> Objective {
    objective(&format!("method = \"custom\"\n{text}\n"))
}

fn check(text: &str, reference: impl Fn(&View, &View) -> f64) {
    for (n, d) in [(9, 4), (5, 7)] {
        let (a, b) = (numbers(61, n * d), numbers(62, n * d));
        let actual = evaluate(&mut of(text), n, d, &a, &b).total;
        let expected = reference(&View::new(n, d, &a), &View::new(n, d, &b));
        assert!(
            (actual - expected).abs() < 1e-5 * expected.abs().max(1.0),
            "{text} at {n}x{d}: {actual} is not {expected}"
        );
    }
}

#[test]
fn smooth_l1_is_a_parabola_between_lines() {
    check("[terms.smooth-l1]\nbeta = 0.7", |a, b| {
        let huber = |u: f64| {
            if u < 0.7 { u * u / 1.4 } else { u - 0.35 }
        };
        let costs = a.z.iter().zip(&b.z).map(|(x, y)| huber((x - y).abs()));
        costs.sum::<f64>() / a.z.len() as f64
    });
}

#[test]
fn variances_are_measured_as_each_term_says() {
    let over_dimensions = |view: &View, divisor: f64, cost: &dyn Fn(f64) -> f64| {
        let c = view.covariance(divisor);
        (0..view.d).map(|j| cost(c[j][j])).sum::<f64>() / view.d as f64
    };
    let n = |view: &View| view.n as f64;
    let squared = |variance: f64| (1.0 - (variance + 1e-8).sqrt()).powi(2);
    check("[terms.variance-squared]", |a, b| {
        f64::midpoint(
            over_dimensions(a, n(a), &squared),
            over_dimensions(b, n(b), &squared),
        )
    });
    check(
        "[terms.variance-squared]\ndivisor = 'n-1'\nviews = 'sum'",
        |a, b| over_dimensions(a, n(a) - 1.0, &squared) + over_dimensions(b, n(b) - 1.0, &squared),
    );
    let hinge = |variance: f64| (1.5_f64.ln() - 0.5 * (variance + 1e-4).ln()).max(0.0);
    check(
        "[terms.variance-log]\ngamma = 1.5\nviews = 'sum'",
        |a, b| over_dimensions(a, n(a) - 1.0, &hinge) + over_dimensions(b, n(b) - 1.0, &hinge),
    );
    let log = |variance: f64| -0.5 * (variance + 1e-4).ln();
    check(
        "[terms.variance-log]\nbounded = false\nviews = 'sum'",
        |a, b| over_dimensions(a, n(a) - 1.0, &log) + over_dimensions(b, n(b) - 1.0, &log),
    );
    let on_std = |variance: f64| (1.0 - (variance + 1e-4).sqrt()).max(0.0);
    check("[terms.variance]\nviews = 'joint'", |a, b| {
        let joint = a.joined(b);
        over_dimensions(&joint, n(&joint) - 1.0, &on_std)
    });
    check("[terms.centre]\nviews = 'sum'", |a, b| {
        let squares = |view: &View| dot(&view.means(), &view.means()) / view.d as f64;
        squares(a) + squares(b)
    });
}

#[test]
fn covariances_are_penalised_as_each_switch_says() {
    let square = |_: usize, _: usize, c: f64| c * c;
    check(
        "[terms.covariance]\ndivisor = 'n'\nviews = 'mean'",
        |a, b| {
            let view = |view: &View| off_diagonal(&view.covariance(view.n as f64), square);
            f64::midpoint(view(a), view(b))
        },
    );
    check("[terms.covariance]\nviews = 'joint'", |a, b| {
        let joint = a.joined(b);
        off_diagonal(&joint.covariance(joint.n as f64 - 1.0), square)
    });
    check("[terms.covariance]\npenalty = 'absolute'", |a, b| {
        let view = |view: &View| {
            off_diagonal(&view.covariance(view.n as f64 - 1.0), |_, _, c: f64| {
                c.abs()
            })
        };
        view(a) + view(b)
    });
    check("[terms.covariance]\nmatrix = 'correlation'", |a, b| {
        let view = |view: &View| {
            let c = view.covariance(view.n as f64);
            off_diagonal(&c, |j, k, entry| {
                entry * entry / ((c[j][j] + 1e-5) * (c[k][k] + 1e-5))
            })
        };
        view(a) + view(b)
    });
}

#[test]
fn determinants_are_those_of_elimination() {
    let (small, large) = (1e-8, 0.05);
    let covariance = |view: &View, epsilon: f64| {
        let c = view.covariance(view.n as f64);
        -log_det(plus_identity(c, 1.0, epsilon)) / view.d as f64
    };
    check("[terms.log-det]", |a, b| {
        covariance(&a.normalised(), small) + covariance(&b.normalised(), small)
    });
    check(
        "[terms.log-det]\nnormalised = false\nepsilon = 0.05\nviews = 'mean'",
        |a, b| f64::midpoint(covariance(a, large), covariance(b, large)),
    );
    check("[terms.coding-rate]", |a, b| {
        let view = |view: &View| {
            let z = view.normalised();
            let moment = |j: usize, k: usize| (0..z.n).map(|i| z.row(i)[j] * z.row(i)[k]).sum();
            let moments = (0..z.d).map(|j| (0..z.d).map(|k| moment(j, k)).collect());
            let factor = z.d as f64 / (z.n as f64 * 0.2);
            -0.5 * log_det(plus_identity(moments.collect(), factor, 1.0))
        };
        f64::midpoint(view(a), view(b))
    });
}

#[test]
fn uniformity_is_the_mean_kernel_of_all_pairs() {
    check("[terms.uniformity]\nt = 1.5", |a, b| {
        let view = |view: &View| {
            let z = view.normalised();
            let pairs = (0..z.n).flat_map(|i| (0..z.n).map(move |j| (i, j)));
            let kernels = pairs.filter(|(i, j)| i != j).map(|(i, j)| {
                let squares = z.row(i).iter().zip(z.row(j)).map(|(x, y)| (x - y).powi(2));
                (-1.5 * squares.sum::<f64>()).exp()
            });
            (kernels.sum::<f64>() / (z.n * (z.n - 1)) as f64).ln()
        };
        f64::midpoint(view(a), view(b))
    });
}

#[test]
fn running_matrices_are_moving_averages_of_the_batches() {
    let (n, d, beta) = (9, 4, 0.8);
    let mut covariance = of("[terms.running-covariance]\nbeta = 0.8\nviews = 'mean'");
    let mut biased = of("[terms.running-covariance]\nbeta = 0.8\nbias_correction = false");
    let mut centred = of("[terms.contrast]\nbeta = 0.8\ncentred = true\nbias_correction = true");
    let mut averages = [vec![vec![0.0; d]; d], vec![vec![0.0; d]; d]];
    let mut moments = vec![vec![0.0; d]; d];
    let take_in = |average: &mut Vec<Vec<f64>>, batch: Vec<Vec<f64>>| {
        for (row, batch) in average.iter_mut().zip(batch) {
            let entries = row.iter_mut().zip(batch);
            entries.for_each(|(c, b)| *c = beta * *c + (1.0 - beta) * b);
        }
    };
    for step in 1..=4 {
        let z = [70, 80].map(|seed| numbers(seed + step as u64, n * d));
        let views = [0, 1].map(|i| View::new(n, d, &z[i]));
        for (average, view) in averages.iter_mut().zip(&views) {
            take_in(average, view.covariance(n as f64 - 1.0));
        }
        let x = views[0].normalised();
        take_in(&mut moments, x.covariance(n as f64));
        let correction = 1.0 - beta.powi(step);
        let squares = |c: &Vec<Vec<f64>>| off_diagonal(c, |_, _, c| c * c);
        let sum = squares(&averages[0]) + squares(&averages[1]);
        let form = (0..n).map(|i| {
            let cx: Vec<f64> = moments.iter().map(|row| dot(row, x.row(i))).collect();
            dot(&cx, x.row(i))
        });
        for (objective, expected) in [
            (&mut covariance, sum / 2.0 / correction.powi(2)),
            (&mut biased, sum),
            (&mut centred, form.sum::<f64>() / n as f64 / correction),
        ] {
            let actual = evaluate(objective, n, d, &z[0], &z[1]).total;
            assert!((actual - expected).abs() < 1e-5, "{actual} {expected}");
        }
    }
}

#[test]
fn a_constant_c_takes_half_of_the_first_gradient_away() {
    // At the first step the contrast is a quartic form, of which C is half the factors.
    let (n, d) = (7, 5);
    let (a, b) = (numbers(63, n * d), numbers(64, n * d));
    let at = |text: &str| gradient(&evaluate(&mut of(text), n, d, &a, &b), 0, n * d);
    let (half, whole) = (
        at("[terms.contrast]"),
        at("[terms.contrast]\ngradient_through_c = true"),
    );
    assert!(
        half.iter()
            .zip(&whole)
            .all(|(h, w)| (2.0 * h - w).abs() < 1e-6)
    );
}

/// `N ∫ |φ̂(t) - e^(-t²/2)|² e^(-t²/2) dt` by the trapezoid rule with 17 knots on [0, 3], doubled.
fn epps_pulley(u: &[f64]) -> f64 {
    let n = u.len() as f64;
    let at = |knot: usize| {
        let t = 3.0 * knot as f64 / 16.0;
        let normal = (-t * t / 2.0).exp();
        let cosine = u.iter().map(|u| (t * u).cos()).sum::<f64>() / n;
        let sine = u.iter().map(|u| (t * u).sin()).sum::<f64>() / n;
        ((cosine - normal).powi(2) + sine * sine) * normal
    };
    let inner: f64 = (1..16).map(at).sum();
    2.0 * (3.0 / 16.0) * (inner + f64::midpoint(at(0), at(16))) * n
}

#[test]
fn sigreg_on_a_line_is_the_epps_pulley_statistic() {
    // In one dimension every direction is 1 or -1, which the statistic does not tell apart.
    let (a, b) = (numbers(65, 11), numbers(66, 11));
    let actual = evaluate(&mut of("[terms.sigreg]\nslices = 5"), 11, 1, &a, &b).total;
    let [a, b] = [a, b].map(|z| epps_pulley(&View::new(11, 1, &z).z));
    let expected = f64::midpoint(a, b);
    assert!((actual - expected).abs() < 1e-5 * expected.max(1.0));
}

#[test]
fn sigreg_at_the_origin_does_not_depend_on_directions() {
    let (n, d) = (8, 6);
    let zeros = vec![0.0; n * d];
    let actual = evaluate(&mut of("[terms.sigreg]"), n, d, &zeros, &zeros).total;
    let expected = epps_pulley(&vec![0.0; n]);
    assert!((actual - expected).abs() < 1e-5 * expected);
}

#[test]
fn sigreg_is_small_for_normal_embeddings_and_large_for_others() {
    let (n, d) = (512, 16);
    let at = |z: &[f32]| evaluate(&mut of("[terms.sigreg]"), n, d, z, z).total;
    let normal = numbers(67, n * d);
    let wide: Vec<f32> = normal.iter().map(|v| 2.0 * v).collect();
    let rank_one: Vec<f32> = (0..n).flat_map(|i| vec![normal[i * d]; d]).collect();
    let fit = at(&normal);
    assert!(
        at(&wide) > 10.0 * fit && at(&rank_one) > 10.0 * fit,
        "{fit}"
    );
}

/// Squared distance of sorted numbers from normal quantiles, given their mean and scale.
fn wasserstein(z: &[f64], mean: f64, scale: f64, quantiles: &[f64]) -> f64 {
    let mut u: Vec<f64> = z.iter().map(|z| (z - mean) / scale).collect();
    u.sort_by(f64::total_cmp);
    let squares = u.iter().zip(quantiles).map(|(u, q)| (u - q).powi(2));
    squares.sum::<f64>() / z.len() as f64
}

#[test]
fn sliced_wasserstein_on_a_line_sorts_against_normal_quantiles() {
    // Quantiles of i / 8 for 7 rows, from tables.
    let upper = [
        0.318_639_363_964_375,
        0.674_489_750_196_082,
        1.150_349_380_376_008,
    ];
    let quantiles = [
        -upper[2], -upper[1], -upper[0], 0.0, upper[0], upper[1], upper[2],
    ];
    let z = numbers(68, 7);
    let evaluation = evaluate(&mut of("[terms.sliced-wasserstein]"), 7, 1, &z, &z);
    let rows = View::new(7, 1, &z).z;
    let mean = |z: &[f64]| z.iter().sum::<f64>() / 7.0;
    let scale = View::new(7, 1, &z).covariance(7.0)[0][0].sqrt() + 1e-4;
    let expected = wasserstein(&rows, mean(&rows), scale, &quantiles);
    assert!((evaluation.total - expected).abs() < 1e-5, "{expected}");
    // The scale is a constant of the gradient; half of it is one view's.
    for (at, actual) in gradient(&evaluation, 0, 7).into_iter().enumerate() {
        let moved = |step: f64| {
            let mut rows = rows.clone();
            rows[at] += step;
            wasserstein(&rows, mean(&rows), scale, &quantiles)
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 4e-5;
        assert!((f64::from(actual) - slope).abs() < 1e-5, "{actual} {slope}");
    }
}

#[test]
fn directions_are_new_each_step() {
    let (n, d) = (16, 6);
    let z = numbers(69, n * d);
    for kind in ["sigreg", "sliced-wasserstein"] {
        let mut objective = of(&format!("[terms.{kind}]\nslices = 2"));
        let [one, two] = [(); 2].map(|()| evaluate(&mut objective, n, d, &z, &z).total);
        let other_seed = of(&format!("[terms.{kind}]\nslices = 2\nseed = 1"));
        let three = evaluate(&mut { other_seed }, n, d, &z, &z).total;
        assert!(
            (one - two).abs() > 1e-4 && (one - three).abs() > 1e-4,
            "{kind}"
        );
    }
}
