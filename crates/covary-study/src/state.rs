//! What became of a run, and when that counts as lost.
//!
//! A run that came to an end has an outcome in both spaces, from the verdicts of its result. A plan's `lost` says which of them the study
//! counts; a number that is not finite always counts.

use covary_score::RunOutcome;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Trained to its end, with this outcome.
    Ended(RunOutcome),
    /// A number that is not finite ended it.
    Diverged,
    /// It ended without a result for another reason: data, disk, memory, a kill.
    Failed,
    /// Begun and not ended.
    Unfinished,
    /// Not begun.
    Missing,
}

/// Which collapse makes a run a lost one, beside divergence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// Of the embedding or of the representation.
    #[default]
    Either,
    /// Of the embedding z.
    Embedding,
    /// Of the representation h.
    Representation,
}

impl Lost {
    /// What is lost, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Either => "the embedding or the representation",
            Self::Embedding => "the embedding",
            Self::Representation => "the representation",
        }
    }
}

impl RunState {
    /// From the object of a `result.json`; none of an empty one. The verdicts on the spaces decide; a result without them has its outcome's
    /// word alone, where `collapsed` speaks of the embedding.
    pub fn of_result(result: &Map<String, Value>) -> Option<Self> {
        if result.is_empty() {
            return None;
        }
        let collapsed = |space: &str| {
            let word = result.get(&format!("{space}_verdict"))?.get("outcome")?;
            Some(word.as_str()? != RunOutcome::Healthy.name())
        };
        let word = result.get("outcome").and_then(Value::as_str);
        let told = word.and_then(RunOutcome::named);
        let of_word = told.unwrap_or(RunOutcome::of(word == Some("collapsed"), false));
        Some(Self::Ended(RunOutcome::of(
            collapsed("embedding").unwrap_or(of_word.has_lost_embedding()),
            collapsed("representation").unwrap_or(of_word.has_lost_representation()),
        )))
    }

    /// Whether the run has come to an end that training it again would not change.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Ended(_) | Self::Diverged)
    }

    /// Whether the technique failed in it.
    pub fn is_lost(self, lost: Lost) -> bool {
        self == Self::Diverged
            || match lost {
                Lost::Either => self.has_lost_embedding() || self.has_lost_representation(),
                Lost::Embedding => self.has_lost_embedding(),
                Lost::Representation => self.has_lost_representation(),
            }
    }

    /// Whether it ended with a collapsed embedding.
    pub fn has_lost_embedding(self) -> bool {
        matches!(self, Self::Ended(outcome) if outcome.has_lost_embedding())
    }

    /// Whether it ended with a collapsed representation.
    pub fn has_lost_representation(self) -> bool {
        matches!(self, Self::Ended(outcome) if outcome.has_lost_representation())
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ended(outcome) => outcome.name(),
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::Missing => "missing",
        }
    }
}

impl Serialize for RunState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(result: &Value) -> Option<RunState> {
        RunState::of_result(result.as_object().unwrap())
    }

    #[test]
    fn verdicts_decide_whatever_the_word_of_the_outcome_is() {
        for word in ["healthy", "collapsed", "representation-collapsed"] {
            let result = json!({
                "outcome": word,
                "embedding_verdict": {"outcome": "healthy"},
                "representation_verdict": {"outcome": "dimensional"},
            });
            let state = state(&result).unwrap();
            assert_eq!(
                state,
                RunState::Ended(RunOutcome::RepresentationCollapsed),
                "{word}"
            );
            assert!(state.is_lost(Lost::Either) && state.is_lost(Lost::Representation));
            assert!(!state.is_lost(Lost::Embedding));
        }
    }

    #[test]
    fn a_result_without_verdicts_has_its_word() {
        let of = |word: &str| state(&json!({"outcome": word}));
        assert_eq!(of("healthy"), Some(RunState::Ended(RunOutcome::Healthy)));
        let embedding = Some(RunState::Ended(RunOutcome::EmbeddingCollapsed));
        assert_eq!(
            (of("collapsed"), of("embedding-collapsed")),
            (embedding, embedding)
        );
        assert_eq!(
            of("both-collapsed"),
            Some(RunState::Ended(RunOutcome::BothCollapsed))
        );
        assert_eq!(state(&json!({})), None);
    }

    #[test]
    fn divergence_is_a_loss_by_any_rule() {
        for lost in [Lost::Either, Lost::Embedding, Lost::Representation] {
            assert!(RunState::Diverged.is_lost(lost));
            assert!(!RunState::Failed.is_lost(lost));
        }
    }
}
