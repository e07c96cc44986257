//! Ranges of settings, and the error of a setting outside its range.

/// A setting that makes no optimizer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct OptimError {
    key: String,
    reason: String,
}

impl OptimError {
    pub(super) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            reason: reason.into(),
        }
    }

    /// Key of the setting, within `optimizer`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

pub(super) const POSITIVE: &str = "a number above 0";
pub(super) const FROM_ZERO: &str = "a number from 0 on";
pub(super) const SHARE: &str = "from 0 on and below 1";

/// Whether a value keeps one of these rules.
pub(super) fn keeps(value: f64, rule: &str) -> bool {
    match rule {
        SHARE => (0.0..1.0).contains(&value),
        FROM_ZERO => value >= 0.0 && value.is_finite(),
        _ => value > 0.0 && value.is_finite(),
    }
}
