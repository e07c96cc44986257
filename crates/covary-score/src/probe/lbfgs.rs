//! Limited-memory BFGS with a weak-Wolfe line search.
//!
//! Two-loop recursion with the scaled initial matrix `γ H₀`, `γ = sᵀy / yᵀH₀y` (Nocedal & Wright 2006, algorithm 7.4);
//! bracketing line search of Lewis & Overton (2013), which doubles or bisects until decrease and curvature hold.

use std::collections::VecDeque;

/// Pairs of steps and gradient differences that are remembered.
const MEMORY: usize = 30;
const SUFFICIENT_DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
const LINE_SEARCH_EVALUATIONS: usize = 30;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopping {
    /// Largest absolute gradient entry at which the point counts as the minimum.
    pub gradient_tolerance: f64,
    pub max_iterations: usize,
    /// What rounding leaves of a difference of values, in units of 1 + value; an increase within it counts as decrease.
    pub rounding: f64,
}

/// Where the minimiser ended.
#[derive(Clone, Debug)]
pub(crate) struct Minimum {
    pub point: Vec<f64>,
    pub value: f64,
    pub iterations: usize,
    /// Largest absolute gradient entry at `point`.
    pub gradient_norm: f64,
    pub converged: bool,
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// H₀ times the change.
    smoothed: Vec<f64>,
    reciprocal: f64,
}

/// Minimises `evaluate` (value; gradient written to the second argument) from `start`; `precondition` replaces a vector
/// by H₀ times it.
pub(crate) fn minimize(
    start: Vec<f64>,
    stopping: Stopping,
    mut evaluate: impl FnMut(&[f64], &mut [f64]) -> f64,
    precondition: impl Fn(&mut [f64]),
) -> Minimum {
    let mut point = start;
    let mut gradient = vec![0.0; point.len()];
    let mut value = evaluate(&point, &mut gradient);
    // H₀ is linear, so that applying it to gradients alone, once an iteration, gives all products with it.
    let smooth = |gradient: &[f64]| {
        let mut smoothed = gradient.to_vec();
        precondition(&mut smoothed);
        smoothed
    };
    let mut smoothed = smooth(&gradient);
    let mut memory: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let mut scale = 1.0;
    let mut iterations = 0;
    while largest(&gradient) > stopping.gradient_tolerance && iterations < stopping.max_iterations {
        let direction = descent_direction(&gradient, &smoothed, &memory, scale);
        let Some(next) = line_search(
            &point,
            value,
            &gradient,
            &direction,
            stopping.rounding,
            &mut evaluate,
        ) else {
            break;
        };
        let next_smoothed = smooth(&next.gradient);
        let step = difference(&next.point, &point);
        let change = difference(&next.gradient, &gradient);
        let change_smoothed = difference(&next_smoothed, &smoothed);
        let curvature = dot(&step, &change);
        let smoothed_curvature = dot(&change, &change_smoothed);
        if curvature > 0.0 && smoothed_curvature > 0.0 {
            scale = curvature / smoothed_curvature;
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Pair {
                step,
                change,
                smoothed: change_smoothed,
                reciprocal: 1.0 / curvature,
            });
        }
        (point, value, gradient) = (next.point, next.value, next.gradient);
        smoothed = next_smoothed;
        iterations += 1;
    }
    let gradient_norm = largest(&gradient);
    let converged = gradient_norm <= stopping.gradient_tolerance;
    Minimum {
        point,
        value,
        iterations,
        gradient_norm,
        converged,
    }
}

/// `smoothed` is H₀ times the gradient.
fn descent_direction(
    gradient: &[f64],
    smoothed: &[f64],
    memory: &VecDeque<Pair>,
    scale: f64,
) -> Vec<f64> {
    let mut rest = gradient.to_vec();
    let mut direction = smoothed.to_vec();
    let mut weights = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let weight = pair.reciprocal * dot(&pair.step, &rest);
        add_scaled(&mut rest, -weight, &pair.change);
        add_scaled(&mut direction, -weight, &pair.smoothed);
        weights.push(weight);
    }
    for x in &mut direction {
        *x *= -scale;
    }
    for (pair, weight) in memory.iter().zip(weights.iter().rev()) {
        let correction = -weight - pair.reciprocal * dot(&pair.change, &direction);
        add_scaled(&mut direction, correction, &pair.step);
    }
    direction
}

struct Trial {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// A point along `direction` with sufficient decrease and flattened slope; none if rounding leaves no such point.
fn line_search(
    point: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    rounding: f64,
    evaluate: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<Trial> {
    let slope = dot(gradient, direction);
    if slope >= 0.0 {
        return None;
    }
    let (mut length, mut low, mut high) = (1.0, 0.0, f64::INFINITY);
    for _ in 0..LINE_SEARCH_EVALUATIONS {
        let mut trial_point = point.to_vec();
        add_scaled(&mut trial_point, length, direction);
        let mut trial = Trial {
            point: trial_point,
            value: 0.0,
            gradient: vec![0.0; point.len()],
        };
        trial.value = evaluate(&trial.point, &mut trial.gradient);
        let bound = value + SUFFICIENT_DECREASE * length * slope + rounding * (1.0 + value.abs());
        if trial.value.is_nan() || trial.value > bound {
            high = length;
        } else if dot(&trial.gradient, direction) < CURVATURE * slope {
            low = length;
        } else {
            return Some(trial);
        }
        length = if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * low
        };
    }
    None
}

fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

fn difference(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(x, y)| x - y).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(x, y)| x * y).sum()
}

fn add_scaled(target: &mut [f64], factor: f64, vector: &[f64]) {
    target
        .iter_mut()
        .zip(vector)
        .for_each(|(target, x)| *target += factor * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOPPING: Stopping = Stopping {
        gradient_tolerance: 1e-9,
        max_iterations: 200,
        rounding: 1e-13,
    };

    #[test]
    fn rosenbrock_valley_ends_at_one_one() {
        let minimum = minimize(
            vec![-1.2, 1.0],
            STOPPING,
            |p, g| {
                let (a, b) = (1.0 - p[0], p[1] - p[0] * p[0]);
                g[0] = -2.0 * a - 400.0 * p[0] * b;
                g[1] = 200.0 * b;
                a * a + 100.0 * b * b
            },
            |_| {},
        );
        assert!(minimum.converged, "{minimum:?}");
        assert!(
            minimum.point.iter().all(|x| (x - 1.0).abs() < 1e-8),
            "{minimum:?}"
        );
    }

    #[test]
    fn a_quadratic_preconditioned_by_its_inverse_takes_one_step() {
        let curvature = [1e-3, 1.0, 1e3];
        let minimum = minimize(
            vec![5.0, -3.0, 2.0],
            STOPPING,
            |p, g| {
                (0..3).for_each(|i| g[i] = curvature[i] * p[i]);
                0.5 * (0..3).map(|i| curvature[i] * p[i] * p[i]).sum::<f64>()
            },
            |v| (0..3).for_each(|i| v[i] /= curvature[i]),
        );
        assert_eq!(
            (minimum.iterations, minimum.converged),
            (1, true),
            "{minimum:?}"
        );
    }

    #[test]
    fn an_unreachable_tolerance_is_reported_as_not_converged() {
        let stopping = Stopping {
            gradient_tolerance: 1e-9,
            max_iterations: 3,
            rounding: 1e-13,
        };
        let minimum = minimize(
            vec![10.0],
            stopping,
            |p, g| {
                g[0] = 4.0 * p[0].powi(3);
                p[0].powi(4)
            },
            |_| {},
        );
        assert!(!minimum.converged && minimum.iterations == 3);
    }
}
