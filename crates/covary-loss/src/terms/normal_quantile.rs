//! Quantiles of the standard normal distribution.
//!
//! `Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/(3·5) + ...)` (Marsaglia 2004, "Evaluating the normal distribution"), inverted by Newton's method, which
//! from 0 on approaches a negative root from one side because Φ is convex there.

/// `Φ⁻¹(p)`, p in (0, 1) and at least 1e-12 from either end.
pub(super) fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let mut x = 0.0_f64;
    for _ in 0..64 {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let step = (cumulative(x, density) - p) / density;
        x -= step;
        if step.abs() < 1e-14 * x.abs().max(1.0) {
            break;
        }
    }
    x
}

fn cumulative(x: f64, density: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + density * sum
}

#[cfg(test)]
mod tests {
    use super::normal_quantile;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, x) in [
            (0.5, 0.0),
            (0.841_344_746_068_542_9, 1.0),
            (0.975, 1.959_963_984_540_054),
            (0.995, 2.575_829_303_548_900_4),
            (0.001, -3.090_232_306_167_813_5),
            (1e-6, -4.753_424_308_822_899),
        ] {
            assert!((normal_quantile(p) - x).abs() < 1e-9, "{p}");
        }
    }
}
