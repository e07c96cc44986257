//! How far a technique is from collapse: lost runs over learning rate and weight of the regulariser.

use serde::Serialize;

use crate::statistics::{Rate, mean};
use crate::{ArmSummary, Score, TechniqueMap};

/// A cell of a map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MarginCell {
    /// Runs lost by the plan's rule, of those that ended.
    pub lost: Rate,
    /// Runs that ended with a collapsed embedding.
    pub embedding_lost: usize,
    /// Runs that ended with a collapsed representation.
    pub representation_lost: usize,
    /// Of these, diverged.
    pub diverged: usize,
    /// Mean linear top-1, lost runs too; of runs that were not scored, kNN accuracy on held-out training images.
    pub accuracy: Option<f64>,
}

/// A technique's map: `cells[weight][lr]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MarginMap {
    /// The technique.
    pub technique: String,
    /// Terms whose weights move.
    pub regulariser: Vec<String>,
    /// Factors of the learning rate.
    pub lr: Vec<f64>,
    /// Factors of the weights.
    pub weight: Vec<f64>,
    /// Cells.
    pub cells: Vec<Vec<MarginCell>>,
    /// At its own weights: the largest factor of the learning rate up to which no run was lost.
    pub lr_margin: Option<f64>,
    /// At its own learning rate: the smallest factor of the weights down to which no run was lost.
    pub weight_margin: Option<f64>,
}

impl MarginMap {
    pub(crate) fn new(map: &TechniqueMap, arms: &[ArmSummary]) -> Self {
        let cell = |index: &usize| MarginCell::new(&arms[*index]);
        let cells: Vec<Vec<MarginCell>> = map
            .cells
            .iter()
            .map(|row| row.iter().map(cell).collect())
            .collect();
        let own = |factors: &[f64]| {
            factors
                .iter()
                .position(|factor| (factor - 1.0).abs() < 1e-9)
        };
        let lr_margin = own(&map.weight).and_then(|row| {
            let line = map.lr.iter().copied().zip(cells[row].iter().copied());
            reach(
                line.filter(|(factor, _)| *factor > 1.0 - 1e-9).collect(),
                f64::total_cmp,
            )
        });
        let weight_margin = own(&map.lr).and_then(|column| {
            let line = map
                .weight
                .iter()
                .copied()
                .zip(cells.iter().map(|row| row[column]));
            let downwards = |a: &f64, b: &f64| b.total_cmp(a);
            reach(
                line.filter(|(factor, _)| *factor < 1.0 + 1e-9).collect(),
                downwards,
            )
        });
        Self {
            technique: map.name.clone(),
            regulariser: map.regulariser.clone(),
            lr: map.lr.clone(),
            weight: map.weight.clone(),
            cells,
            lr_margin,
            weight_margin: weight_margin.filter(|_| !map.regulariser.is_empty()),
        }
    }
}

impl MarginCell {
    fn new(arm: &ArmSummary) -> Self {
        let scored = |run: &crate::RunSummary| run.score(Score::Linear).or(run.validation_knn);
        let scores: Vec<_> = arm.runs.iter().filter_map(scored).collect();
        let diverged = arm
            .runs
            .iter()
            .filter(|run| run.state == crate::RunState::Diverged);
        Self {
            lost: arm.lost,
            embedding_lost: arm.embedding_lost.k,
            representation_lost: arm.representation_lost.k,
            diverged: diverged.count(),
            accuracy: (!scores.is_empty()).then(|| mean(&scores)),
        }
    }
}

/// The furthest factor, in this order from 1, before a cell that lost a run or has none.
fn reach(
    mut line: Vec<(f64, MarginCell)>,
    order: impl Fn(&f64, &f64) -> std::cmp::Ordering,
) -> Option<f64> {
    line.sort_by(|a, b| order(&a.0, &b.0));
    let is_safe = |cell: &MarginCell| cell.lost.n > 0 && cell.lost.k == 0;
    let safe = line.iter().take_while(|(_, cell)| is_safe(cell));
    safe.last().map(|(factor, _)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::clopper_pearson;

    #[test]
    fn a_margin_ends_before_the_first_loss_even_if_a_cell_beyond_it_survives() {
        let cell = |k, n| MarginCell {
            lost: clopper_pearson(k, n),
            embedding_lost: k,
            representation_lost: 0,
            diverged: 0,
            accuracy: None,
        };
        let line = vec![(10.0, cell(0, 3)), (1.0, cell(0, 3)), (3.0, cell(1, 3))];
        assert_eq!(reach(line, f64::total_cmp), Some(1.0));
        assert_eq!(reach(vec![(1.0, cell(0, 0))], f64::total_cmp), None);
    }
}
