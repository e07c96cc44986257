//! Which outputs of the views are compared with which.
//!
//! A pair (x, y) is the prediction of a view, or its embedding where there is no predictor, and the embedding of another view that x is
//! compared with: the momentum target's, or the online one.
//!
//! - Two views: (a, b), and (b, a) too where the branches are symmetric.
//! - More views: every view is an x. Where y comes from a momentum target, or x from a predictor, y is each view of the first group but x
//!   itself, as in multi-crop (Caron et al. 2021, DINO, section 3.1). Elsewhere y is each view but x itself.
//!
//! The loss of more than two views is the mean, over all these pairs, of the two-view loss. Its parts follow: a term that compares views
//! is the mean over the pairs, a term of x alone is the mean over the pairs too, so that x counts as often as it is compared, and a term
//! over single views is the mean over the views. What the two-view loss sums over two views or two directions is twice such a mean.

use crate::branches::{Branch, Branches, ViewCount};
use crate::method::{BranchConfig, Directions, MethodConfig, PredictorKind, TargetKind};
use crate::outputs::Needs;

/// Which outputs of the branches are compared with which.
#[derive(Debug, Clone)]
pub(crate) struct Wiring {
    pub(crate) views: ViewCount,
    pub(crate) symmetric: bool,
    pub(crate) directions: Directions,
    pub(crate) has_predictor: bool,
    pub(crate) has_target: bool,
}

impl Wiring {
    pub(crate) fn new(method: &MethodConfig, views: ViewCount) -> Self {
        let BranchConfig {
            symmetric,
            directions,
            ..
        } = method.branches;
        Self {
            views,
            symmetric,
            directions,
            has_predictor: method.predictor.kind != PredictorKind::None,
            has_target: method.target.kind == TargetKind::Momentum,
        }
    }

    /// Views x and y of each pair, by x.
    pub(crate) fn pairs(&self) -> Vec<(usize, usize)> {
        if self.views.is_pair() {
            let both = if self.symmetric { 2 } else { 1 };
            return [(0, 1), (1, 0)][..both].to_vec();
        }
        let compared = if self.is_one_kind() {
            self.views.all
        } else {
            self.views.first
        };
        (0..self.views.all)
            .flat_map(|x| (0..compared).filter(move |y| *y != x).map(move |y| (x, y)))
            .collect()
    }

    /// Views that are an x of some pair.
    pub(crate) fn sources(&self) -> usize {
        let mut sources: Vec<usize> = self.pairs().into_iter().map(|(x, _)| x).collect();
        sources.dedup();
        sources.len()
    }

    /// Whether x and y are the same outputs, of different views.
    pub(crate) fn is_one_kind(&self) -> bool {
        !self.has_predictor && !self.has_target
    }

    /// Whether more than two views all meet each other.
    pub(crate) fn all_meet(&self) -> bool {
        !self.views.is_pair() && self.is_one_kind()
    }

    /// What the mean over the pairs is multiplied by.
    pub(crate) fn factor(&self) -> usize {
        match self.directions {
            Directions::Mean => 1,
            Directions::Sum if self.views.is_pair() => self.pairs().len(),
            Directions::Sum => 2,
        }
    }

    /// The output that x is taken from.
    pub(crate) fn x(&self) -> Branch {
        if self.has_predictor {
            Branch::Prediction
        } else {
            Branch::Embedding
        }
    }

    /// The output that y is taken from.
    pub(crate) fn y(&self) -> Branch {
        if self.has_target {
            Branch::Target
        } else {
            Branch::Embedding
        }
    }

    /// Which outputs are needed.
    pub(crate) fn needs(&self) -> Needs {
        let pairs = self.pairs();
        let is_x = |view| pairs.iter().any(|(x, _)| *x == view);
        let is_y = |view| pairs.iter().any(|(_, y)| *y == view);
        Branches::from_fn(self.views.all, |branch, view| match branch {
            // Without a target of its own, the other view's online embedding is what a view is compared with.
            Branch::Embedding => !self.has_target || is_x(view),
            Branch::Prediction => self.has_predictor && is_x(view),
            Branch::Target => self.has_target && is_y(view),
        })
    }
}
