//! A sign of collapse that was seen while training, as it is told and journaled.

use serde::{Deserialize, Serialize};

/// A kind of sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// The loss stands at its collapsed value.
    ClosedForm,
    /// Embeddings are all but the same.
    Constant,
    /// Embeddings differ along few directions.
    FewDirections,
    /// No dimension reaches the hinge's γ.
    SaturatedHinge,
    /// The output's normalisation hides a constant.
    MaskedConstant,
    /// Representations of the batch differ along about one direction.
    RepresentationFewDirections,
    /// The representation is lost by the rule of the outcome.
    RepresentationLost,
    /// Nearest neighbors are no better than in the untrained encoder's representations.
    NearUntrained,
}

/// A sign that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Steps taken when it was seen.
    pub step: u64,
    /// What was seen.
    pub kind: AlarmKind,
    /// In words, with the numbers.
    pub message: String,
    /// The step at which it began, of signs that take more than one look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

impl Alarm {
    /// A sign that one look shows.
    pub(super) fn at(step: u64, kind: AlarmKind, message: String) -> Self {
        Self {
            step,
            kind,
            message,
            since: None,
        }
    }

    /// A sign that began before it was seen.
    pub(super) fn since(since: u64, step: u64, kind: AlarmKind, message: String) -> Self {
        Self {
            since: Some(since),
            ..Self::at(step, kind, message)
        }
    }
}
