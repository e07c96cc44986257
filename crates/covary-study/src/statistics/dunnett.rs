//! Dunnett's comparison of m variants with one base (Dunnett 1955, two-sided, balanced).
//!
//! The m differences share the base, so their t have correlation 1/2: `T_i = (Z_i - Z_0) / (√2 U)` with independent standard normal Z and
//! `U = √(χ²_ν / ν)`. `P(max |T_i| ≤ c) = E_U E_z [Φ(√2 c U + z) - Φ(-√2 c U + z)]^m`, z standard normal. Narrower than Bonferroni's intervals, and exact
//! under the additive model.

use super::CONFIDENCE;
use super::integrate::{normal_cdf, over_scale, simpson, solve};

/// Where the density of the base's normal is left out.
const REACH: f64 = 8.5;
/// Panels over the scale and over the base's normal; twice as many change the sixth digit of no critical value.
const PANELS: [usize; 2] = [400, 120];

/// c of the simultaneous 95 % intervals `difference ± c · standard error`; m and degrees of freedom from 1 on.
pub fn critical_value(m: usize, degrees_of_freedom: f64) -> f64 {
    // Bonferroni's is an upper bound, that of one comparison a lower one.
    let bound = |tail: f64| super::t_quantile(1.0 - tail / 2.0, degrees_of_freedom);
    let tail = 1.0 - CONFIDENCE;
    if m == 1 {
        return bound(tail);
    }
    solve(bound(tail), bound(tail / m as f64), CONFIDENCE, |c| {
        inside(c, m, degrees_of_freedom)
    })
}

fn inside(c: f64, m: usize, degrees_of_freedom: f64) -> f64 {
    let density = (2.0 * std::f64::consts::PI).sqrt().recip();
    over_scale(degrees_of_freedom, PANELS[0], |u| {
        let reach = std::f64::consts::SQRT_2 * c * u;
        simpson(-REACH, REACH, PANELS[1], |z| {
            let within = normal_cdf(reach + z) - normal_cdf(z - reach);
            density * (-0.5 * z * z).exp() * within.powi(m as i32)
        })
    })
}
