//! 2x2 factorial within seeds: main effects and interaction.
//!
//! With cells `y_ab` (means over seeds): main effect of A `((y_10 - y_00) + (y_11 - y_01)) / 2`, of B likewise, interaction `(y_11 - y_01) - (y_10 - y_00)`. The noise
//! is that of the additive model of four cells and S seeds, 3 (S - 1) degrees of freedom: the randomised block design (Montgomery 2017).

use serde::Serialize;

use super::{Estimate, additive, mean};

/// Effects of two factors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TwoByTwo {
    /// Second level of A less the first, averaged over B.
    pub a: Estimate,
    /// Second level of B less the first, averaged over A.
    pub b: Estimate,
    /// Effect of A at the second level of B, less that at the first.
    pub interaction: Estimate,
}

/// Effects from `cells[a][b]`, each a score a seed; none for fewer than two seeds.
pub fn two_by_two(cells: &[[Vec<f64>; 2]; 2]) -> Option<TwoByTwo> {
    let rows: Vec<Vec<f64>> = cells.iter().flatten().cloned().collect();
    let model = additive(&rows)?;
    let means: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
    let contrast = |coefficients: [f64; 4]| {
        let value = means.iter().zip(&coefficients).map(|(m, c)| m * c).sum();
        model.contrast(value, &coefficients)
    };
    Some(TwoByTwo {
        a: contrast([-0.5, -0.5, 0.5, 0.5]),
        b: contrast([-0.5, 0.5, -0.5, 0.5]),
        interaction: contrast([1.0, -1.0, -1.0, 1.0]),
    })
}
