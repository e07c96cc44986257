//! Integrals over a standard deviation that was itself estimated: `U = √(χ²_ν / ν)`.

use statrs::function::erf::erfc;
use statrs::function::gamma::ln_gamma;

/// Beyond a chance of e^-37 the tail is left out.
const TAIL: f64 = 37.0;

/// Mean of `f(U)` over so many panels, for ν from 1 on.
pub(super) fn over_scale(degrees_of_freedom: f64, panels: usize, f: impl Fn(f64) -> f64) -> f64 {
    let nu = degrees_of_freedom;
    // Laurent, Massart 2000: P(χ² ≥ ν + 2√(νx) + 2x) ≤ e^-x, P(χ² ≤ ν - 2√(νx)) ≤ e^-x.
    let high = (1.0 + 2.0 * (TAIL / nu).sqrt() + 2.0 * TAIL / nu).sqrt();
    let low = (1.0 - 2.0 * (TAIL / nu).sqrt()).max(0.0).sqrt();
    let constant = std::f64::consts::LN_2 + 0.5 * nu * (0.5 * nu).ln() - ln_gamma(0.5 * nu);
    simpson(low, high, panels, |u| {
        if u == 0.0 && nu > 1.0 {
            return 0.0;
        }
        let power = if nu > 1.0 { (nu - 1.0) * u.ln() } else { 0.0 };
        (constant + power - 0.5 * nu * u * u).exp() * f(u)
    })
}

/// Simpson's rule; the number of panels is even.
pub(super) fn simpson(low: f64, high: f64, panels: usize, f: impl Fn(f64) -> f64) -> f64 {
    let width = (high - low) / panels as f64;
    let inner: f64 = (1..panels)
        .map(|index| {
            let weight = if index % 2 == 1 { 4.0 } else { 2.0 };
            weight * f(low + index as f64 * width)
        })
        .sum();
    (f(low) + inner + f(high)) * width / 3.0
}

/// Distribution function of the standard normal.
pub(super) fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// Where an increasing function crosses a value, between two ends; to 1e-10 of the interval.
pub(super) fn solve(mut low: f64, mut high: f64, value: f64, f: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if f(middle) < value {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_has_mass_one_and_the_scale_mean_square_one() {
        for nu in [1.0, 2.0, 3.0, 7.0, 40.0, 500.0] {
            assert!((over_scale(nu, 400, |_| 1.0) - 1.0).abs() < 1e-8, "{nu}");
            assert!((over_scale(nu, 400, |u| u * u) - 1.0).abs() < 1e-8, "{nu}");
        }
    }
}
