//! Logistic regression on one standardised number, with a ridge on its slope: few runs are often separable, and then the slope without a
//! ridge is infinite (le Cessie, van Houwelingen 1992).
//!
//! Minimises `Σ log(1 + exp(-s_i (a + b x_i))) + b² / 2`, s = ±1, by Newton's method with halved steps; x has mean 0 and standard deviation 1
//! (divisor n). This is scikit-learn's `LogisticRegression(C=1)` on a `StandardScaler`.

use super::mean;

/// Steps of Newton's method at most.
const STEPS: usize = 100;

/// A fitted model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logistic {
    centre: f64,
    scale: f64,
    intercept: f64,
    slope: f64,
}

impl Logistic {
    /// Probability of a case at x.
    pub fn at(&self, x: f64) -> f64 {
        sigmoid(self.intercept + self.slope * (x - self.centre) / self.scale)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Fits the model; none unless there are cases and others.
pub fn logistic(x: &[f64], is_case: &[bool]) -> Option<Logistic> {
    if is_case.iter().all(|case| *case) || !is_case.iter().any(|case| *case) {
        return None;
    }
    let centre = mean(x);
    let scale = mean(&x.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>()).sqrt();
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let data: Vec<(f64, bool)> = x
        .iter()
        .zip(is_case)
        .map(|(x, case)| ((x - centre) / scale, *case))
        .collect();
    let objective = |a: f64, b: f64| -> f64 {
        let losses = data.iter().map(|(x, case)| {
            let margin = if *case { a + b * x } else { -a - b * x };
            // log(1 + e^-m) without overflow
            (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
        });
        losses.sum::<f64>() + 0.5 * b * b
    };
    let (mut a, mut b) = (0.0, 0.0);
    for _ in 0..STEPS {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, b, 0.0, 0.0, 1.0);
        for (x, case) in &data {
            let p = sigmoid(a + b * x);
            let error = p - f64::from(u8::from(*case));
            let weight = p * (1.0 - p);
            ga += error;
            gb += error * x;
            haa += weight;
            hab += weight * x;
            hbb += weight * x * x;
        }
        if ga.hypot(gb) < 1e-12 {
            break;
        }
        let determinant = haa * hbb - hab * hab;
        let (da, db) = (
            (hbb * ga - hab * gb) / determinant,
            (haa * gb - hab * ga) / determinant,
        );
        let (before, mut step) = (objective(a, b), 1.0);
        while step > 1e-10 && objective(a - step * da, b - step * db) > before {
            step *= 0.5;
        }
        (a, b) = (a - step * da, b - step * db);
    }
    Some(Logistic {
        centre,
        scale,
        intercept: a,
        slope: b,
    })
}
