//! Whether embeddings collapsed: a frozen rule over two metrics, and which of a run's two spaces did.
//!
//! Meant for 5,000 fixed clean training images in eval mode, taken before any output BatchNorm (which would hide a constant). The
//! rule is the same for the embedding z, which the loss sees, and for the representation h, which a user keeps: either may be lost
//! while the other is well.

use serde::{Deserialize, Serialize};

use super::Sample;
use super::participation_ratio::ParticipationRatio;
use super::std_of_l2_normalized::StdOfL2Normalized;
use crate::embeddings::EmbeddingError;

/// Below this share of the isotropic value 1/√d, the std of l2-normalised embeddings means complete collapse.
const COMPLETE_BELOW: f64 = 0.1;
/// Below this participation ratio, embeddings that are not constant lie on about one line.
const DIMENSIONAL_BELOW: f64 = 2.0;

/// What became of the embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Neither of the other two.
    Healthy,
    /// Embeddings differ, but along fewer than two dimensions: participation ratio below 2.
    Dimensional,
    /// Embeddings are all but the same: std of the l2-normalised times √d below 0.1.
    Complete,
}

/// An outcome with the numbers it follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// Why, in words, with the numbers.
    pub reason: String,
    /// Std of l2-normalised embeddings times √d: 0 = constant, 1 = isotropic.
    pub relative_std: f64,
    /// Participation ratio, 0 to d.
    pub participation_ratio: f64,
}

/// Which of a run's spaces collapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Neither.
    Healthy,
    /// The embedding z alone.
    EmbeddingCollapsed,
    /// The representation h alone: the encoder is lost although the loss sees spread embeddings.
    RepresentationCollapsed,
    /// Both.
    BothCollapsed,
}

impl RunOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [
        Self::Healthy,
        Self::EmbeddingCollapsed,
        Self::RepresentationCollapsed,
        Self::BothCollapsed,
    ];

    /// From whether each space collapsed.
    pub fn of(embedding: bool, representation: bool) -> Self {
        match (embedding, representation) {
            (false, false) => Self::Healthy,
            (true, false) => Self::EmbeddingCollapsed,
            (false, true) => Self::RepresentationCollapsed,
            (true, true) => Self::BothCollapsed,
        }
    }

    /// Its word in results and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::EmbeddingCollapsed => "embedding-collapsed",
            Self::RepresentationCollapsed => "representation-collapsed",
            Self::BothCollapsed => "both-collapsed",
        }
    }

    /// The outcome with that word.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether the embedding collapsed.
    pub fn has_lost_embedding(self) -> bool {
        matches!(self, Self::EmbeddingCollapsed | Self::BothCollapsed)
    }

    /// Whether the representation collapsed.
    pub fn has_lost_representation(self) -> bool {
        matches!(self, Self::RepresentationCollapsed | Self::BothCollapsed)
    }
}

impl Verdict {
    /// Whether the embeddings collapsed, completely or dimensionally.
    pub fn is_collapse(&self) -> bool {
        self.outcome != Outcome::Healthy
    }

    /// Judges embeddings.
    ///
    /// # Errors
    /// [`EmbeddingError::Decomposition`] if the covariance spectrum does not converge.
    pub fn of(sample: &Sample<'_>) -> Result<Self, EmbeddingError> {
        let root = (sample.embeddings().dimension() as f64).sqrt();
        let relative_std = StdOfL2Normalized::of(sample) * root;
        let participation_ratio = ParticipationRatio::of(sample)?;
        Ok(Self::from_numbers(relative_std, participation_ratio))
    }

    fn from_numbers(relative_std: f64, participation_ratio: f64) -> Self {
        let (outcome, reason) = if relative_std < COMPLETE_BELOW {
            let reason = format!(
                "the std of l2-normalised embeddings is {relative_std:.3} of an isotropic set's, below {COMPLETE_BELOW}: \
                 all images are embedded in nearly the same place"
            );
            (Outcome::Complete, reason)
        } else if participation_ratio < DIMENSIONAL_BELOW {
            let reason = format!(
                "the participation ratio is {participation_ratio:.2}, below {DIMENSIONAL_BELOW}: images differ along about \
                 one direction"
            );
            (Outcome::Dimensional, reason)
        } else {
            let reason = format!(
                "the std of l2-normalised embeddings is {relative_std:.3} of an isotropic set's and the participation ratio \
                 {participation_ratio:.2}"
            );
            (Outcome::Healthy, reason)
        };
        Self {
            outcome,
            reason,
            relative_std,
            participation_ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embeddings::Embeddings;

    fn verdict(row: impl Fn(usize) -> [f32; 4]) -> Verdict {
        let values: Vec<f32> = (0..64).flat_map(row).collect();
        Verdict::of(&Sample::new(Embeddings::try_new(&values, 4).unwrap())).unwrap()
    }

    #[test]
    fn constant_embeddings_are_completely_collapsed() {
        assert_eq!(
            verdict(|_| [1.0, -2.0, 0.5, 3.0]).outcome,
            Outcome::Complete
        );
        assert_eq!(verdict(|_| [0.0; 4]).outcome, Outcome::Complete);
    }

    #[test]
    fn embeddings_on_a_line_through_the_origin_are_dimensionally_collapsed() {
        let verdict = verdict(|i| [1.0, 2.0, -1.0, 0.5].map(|x| x * (i as f32 - 31.5)));
        assert_eq!(verdict.outcome, Outcome::Dimensional, "{}", verdict.reason);
        assert!((verdict.participation_ratio - 1.0).abs() < 1e-9);
    }

    #[test]
    fn corners_of_a_cube_are_healthy_and_score_as_isotropic() {
        let verdict =
            verdict(|i| [0, 1, 2, 3].map(|bit| if i >> bit & 1 == 1 { 1.0 } else { -1.0 }));
        assert_eq!(verdict.outcome, Outcome::Healthy);
        assert!((verdict.participation_ratio - 4.0).abs() < 1e-9);
        assert!((verdict.relative_std - (64.0f64 / 63.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn an_outcome_says_which_spaces_are_lost_and_is_known_by_its_word() {
        for outcome in RunOutcome::ALL {
            let spaces = (
                outcome.has_lost_embedding(),
                outcome.has_lost_representation(),
            );
            assert_eq!(RunOutcome::of(spaces.0, spaces.1), outcome);
            assert_eq!(RunOutcome::named(outcome.name()), Some(outcome));
        }
        assert_eq!(RunOutcome::named("collapsed"), None);
    }

    #[test]
    fn thresholds_are_exclusive() {
        assert_eq!(Verdict::from_numbers(0.1, 2.0).outcome, Outcome::Healthy);
        assert_eq!(
            Verdict::from_numbers(0.0999, 9.0).outcome,
            Outcome::Complete
        );
        assert_eq!(
            Verdict::from_numbers(0.1, 1.999).outcome,
            Outcome::Dimensional
        );
    }
}
