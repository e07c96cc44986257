//! Groups of views: every image of a step gives each group some views of one size.
//!
//! The first group is the pair `view_a`, `view_b`. Each `[[augment.views]]` is a further group, whose views are all made the same way, as
//! the small crops of multi-crop (Caron et al. 2020, `SwAV`, section 3.2). The sides of a group's views may change in the course of training.

use serde::{Deserialize, Serialize};

use super::{AugmentConfig, Check, ViewConfig};
use crate::DataError;

/// The side of a group's views: one for the whole training, or one from each share of the steps on.
///
/// ```
/// use covary_data::Side;
///
/// let side = Side::Steps(vec![(0.0, 16), (0.5, 32)]);
/// assert_eq!([0.0, 0.49, 0.5, 1.0].map(|progress| side.at(progress)), [16, 16, 32, 32]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a side in pixels (16), or sides with the share of the steps that each begins at ([[0.0, 16], [0.5, 32]])"
)]
pub enum Side {
    /// The same always.
    Fixed(usize),
    /// Shares of the steps, rising from 0, and the sides from there on.
    Steps(Vec<(f64, usize)>),
}

impl Side {
    /// The side where `progress`, a share of all steps, was taken.
    ///
    /// # Panics
    /// If the list of steps is empty, which validation refuses.
    pub fn at(&self, progress: f64) -> usize {
        match self {
            Self::Fixed(side) => *side,
            Self::Steps(steps) => {
                let begun = steps.iter().rev().find(|(share, _)| *share <= progress);
                begun.unwrap_or(&steps[0]).1
            }
        }
    }

    /// Every side that it comes to.
    pub fn all(&self) -> Vec<usize> {
        match self {
            Self::Fixed(side) => vec![*side],
            Self::Steps(steps) => steps.iter().map(|(_, side)| *side).collect(),
        }
    }

    pub(super) fn check(&self, key: &str, field: &str) -> Result<(), DataError> {
        let check = Check { key, size: 0 };
        if let Self::Steps(steps) = self {
            let first = steps.first().is_some_and(|(share, _)| *share == 0.0);
            let rises = steps.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let ends = steps.last().is_some_and(|(share, _)| *share < 1.0);
            check.rule(
                field,
                steps,
                first && rises && ends,
                "must be pairs of a share and a side, with shares that rise from 0 and stay below 1",
            )?;
        }
        for side in self.all() {
            check.rule(
                field,
                side,
                (1..=4096).contains(&side),
                "must be within 1 to 4096",
            )?;
        }
        Ok(())
    }
}

/// The views of one group at one point of the training.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Their side in pixels.
    pub size: usize,
    /// How each of them is made.
    pub views: Vec<ViewConfig>,
}

impl AugmentConfig {
    /// Views of an image that one step takes: those of the pair, then those of each further group.
    pub fn view_count(&self) -> usize {
        2 + self.views.iter().map(|group| group.count).sum::<usize>()
    }

    /// The groups as they are where `progress`, a share of all steps, was taken; the pair comes first.
    pub fn groups(&self, progress: f64) -> Vec<Group> {
        let side = |side: &Option<Side>| side.as_ref().map_or(self.size, |side| side.at(progress));
        let pair = Group {
            size: side(&self.pair_size),
            views: vec![self.view_a.clone(), self.view_b.clone()],
        };
        let others = self.views.iter().map(|group| Group {
            size: side(&group.size),
            views: vec![group.steps(); group.count],
        });
        [pair].into_iter().chain(others).collect()
    }

    /// Every side that some group comes to, with the key that asks for it.
    pub fn sides(&self) -> Vec<(String, usize)> {
        let of = |key: String, side: &Option<Side>| {
            let sides = side.as_ref().map_or_else(Vec::new, Side::all);
            sides.into_iter().map(move |side| (key.clone(), side))
        };
        let mut found = vec![("size".to_owned(), self.size)];
        found.extend(of("pair_size".into(), &self.pair_size));
        for (index, group) in self.views.iter().enumerate() {
            found.extend(of(format!("views[{index}].size"), &group.size));
        }
        found
    }
}
