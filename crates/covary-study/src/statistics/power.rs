//! Power of a t test: how small a difference a study can see.
//!
//! Two-sided, level 5 %. Under a true difference δ, `t = δ / se` is noncentral: `P(|T| > t_crit)` with
//! `P(T ≤ t) = E_U Φ(t U - δ / se)`, `U = √(χ²_ν / ν)` (Johnson, Kotz, Balakrishnan 1995, ch. 31). Computed by quadrature, not by the normal
//! approximation, which is optimistic at few degrees of freedom.

use super::integrate::{normal_cdf, over_scale, solve};
use super::t_quantile;

/// Level of the test.
const LEVEL: f64 = 0.05;
/// Panels of the quadrature: at one degree of freedom the critical value is 12.7 and the integrand steep.
const PANELS: usize = 4000;
/// Power that "can see" means.
const POWER: f64 = 0.8;

/// Chance that a true difference of `noncentrality` standard errors is found.
pub fn power(noncentrality: f64, degrees_of_freedom: f64) -> f64 {
    let critical = t_quantile(1.0 - LEVEL / 2.0, degrees_of_freedom);
    over_scale(degrees_of_freedom, PANELS, |u| {
        normal_cdf(noncentrality - critical * u) + normal_cdf(-critical * u - noncentrality)
    })
}

/// The difference that is found with a chance of 80 %, from its standard error.
pub fn detectable_difference(standard_error: f64, degrees_of_freedom: f64) -> f64 {
    let critical = t_quantile(1.0 - LEVEL / 2.0, degrees_of_freedom);
    // At twice the critical value, and from there four more, the power is above 80 % whatever the degrees of freedom.
    let noncentrality = solve(0.0, 2.0 * critical + 4.0, POWER, |delta| {
        power(delta, degrees_of_freedom)
    });
    noncentrality * standard_error
}
