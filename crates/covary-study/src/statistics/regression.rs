//! Least squares of one number on another: `y = intercept + slope · x`.

use super::mean;

/// A fitted line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// At x = 0.
    pub intercept: f64,
    /// Rise per unit of x; 0 where x is constant.
    pub slope: f64,
}

impl Line {
    /// The line's height.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// Fits a line; none of nothing.
pub fn line(x: &[f64], y: &[f64]) -> Option<Line> {
    if x.is_empty() {
        return None;
    }
    let (mx, my) = (mean(x), mean(y));
    let xx: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let xy: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    Some(Line {
        intercept: my - slope * mx,
        slope,
    })
}
