//! A method as data: how the branches meet, the predictor, the target, and the terms of the loss.
//!
//! Presets are TOML files of `presets/`, named by method and source of the constants (`vicreg@official`); a plain name is the first
//! source's. A preset is a part of a configuration: it may set anything that a recipe may.

mod terms;

use serde::{Deserialize, Serialize};
use toml::Table;

pub use terms::{TermConfig, Terms};

use crate::config::nearest;

/// A method's part of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodConfig {
    /// How the branches meet.
    pub branches: BranchConfig,
    /// Predictor.
    pub predictor: PredictorConfig,
    /// What the online branch is compared with.
    pub target: TargetConfig,
    /// Terms of the loss.
    pub terms: Terms,
}

/// How values of the two directions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directions {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

/// How the branches meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BranchConfig {
    /// Both directions, a to b and b to a, or a to b alone. Default false.
    pub symmetric: bool,
    /// How the directions add up. Default mean.
    pub directions: Directions,
    /// Stops the gradient through what a view is compared with. Default false.
    pub stop_gradient: bool,
}

impl Default for BranchConfig {
    fn default() -> Self {
        Self {
            symmetric: false,
            directions: Directions::Mean,
            stop_gradient: false,
        }
    }
}

/// Kinds of predictor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictorKind {
    /// No predictor.
    None,
    /// One linear layer.
    Linear,
    /// Linear, BatchNorm, ReLU, linear.
    Mlp,
}

/// Predictor: from one view's embedding to the other's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictorConfig {
    /// Kind. Default none.
    pub kind: PredictorKind,
    /// Width of the hidden layer of an MLP, at least 1. Default 512.
    pub hidden: usize,
    /// BatchNorm before the ReLU. Default true.
    pub batch_norm: bool,
}

impl Default for PredictorConfig {
    fn default() -> Self {
        Self {
            kind: PredictorKind::None,
            hidden: 512,
            batch_norm: true,
        }
    }
}

/// Kinds of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// The online branch itself.
    Shared,
    /// A moving average of the online branch.
    Momentum,
}

/// When a momentum target moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetOrder {
    /// Before the forward pass (lightly).
    BeforeForward,
    /// After the optimizer's step (solo-learn).
    AfterStep,
}

/// What the online branch is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// Kind. Default shared.
    pub kind: TargetKind,
    /// Decay of the moving average at the start, in [0, 1]. Default 0.996.
    pub decay: f64,
    /// Decay at the end, reached along a cosine, in [0, 1]. Default 1.
    pub final_decay: f64,
    /// When it moves. Default after-step.
    pub order: TargetOrder,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            kind: TargetKind::Shared,
            decay: 0.996,
            final_decay: 1.0,
            order: TargetOrder::AfterStep,
        }
    }
}

/// What can go wrong with a method.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// A preset that does not exist.
    #[error("there is no preset {name}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The nearest one, or all of them.
        suggestion: String,
    },
    /// A setting that makes no sense.
    #[error("{reason}")]
    Setting {
        /// Dotted key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl MethodConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`MethodError::Setting`] with key and reason.
    pub fn validate(&self) -> Result<(), MethodError> {
        let wrong = |key: &str, reason: String| {
            Err(MethodError::Setting {
                key: key.into(),
                reason,
            })
        };
        for (key, decay) in [
            ("target.decay", self.target.decay),
            ("target.final_decay", self.target.final_decay),
        ] {
            if !(0.0..=1.0).contains(&decay) {
                return wrong(key, format!("{decay} is not between 0 and 1"));
            }
        }
        if self.predictor.hidden == 0 {
            return wrong("predictor.hidden", "0 is less than 1".into());
        }
        for (name, term) in self.terms.iter() {
            if !term.weight.is_finite() || term.weight < 0.0 {
                return wrong(
                    &format!("terms.{name}.weight"),
                    format!("{} is not a number from 0 on", term.weight),
                );
            }
        }
        if self.terms.iter().all(|(_, term)| term.weight == 0.0) {
            return wrong(
                "terms",
                "every weight is 0: there is nothing to learn".into(),
            );
        }
        Ok(())
    }
}

const PRESETS: &[(&str, &str)] = &[
    (
        "vicreg@official",
        include_str!("../presets/vicreg@official.toml"),
    ),
    ("vicreg@paper", include_str!("../presets/vicreg@paper.toml")),
    ("tico@lightly", include_str!("../presets/tico@lightly.toml")),
    (
        "tico@sayannag",
        include_str!("../presets/tico@sayannag.toml"),
    ),
    (
        "barlow-twins@official",
        include_str!("../presets/barlow-twins@official.toml"),
    ),
    (
        "barlow-twins@lightly",
        include_str!("../presets/barlow-twins@lightly.toml"),
    ),
    ("simsiam", include_str!("../presets/simsiam.toml")),
    ("byol", include_str!("../presets/byol.toml")),
];

/// Name and description of every preset.
pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().map(|(name, text)| {
        (
            *name,
            text.lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("# "),
        )
    })
}

/// A preset's part of a configuration; a name without `@source` is the first source's.
///
/// # Errors
/// [`MethodError::UnknownPreset`] with the nearest name.
pub fn preset(name: &str) -> Result<Table, MethodError> {
    let named = |known: &str| {
        known == name
            || known
                .split_once('@')
                .is_some_and(|(method, _)| method == name)
    };
    let Some((_, text)) = PRESETS.iter().find(|(known, _)| named(known)) else {
        let suggestion = match nearest(name, PRESETS.iter().map(|(known, _)| *known)) {
            Some(known) => format!("did you mean {known}?"),
            None => format!(
                "known presets: {}",
                PRESETS
                    .iter()
                    .map(|(known, _)| *known)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        return Err(MethodError::UnknownPreset {
            name: name.into(),
            suggestion,
        });
    };
    Ok(text.parse().expect("presets are TOML"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_the_first_source() {
        assert_eq!(
            preset("vicreg").unwrap(),
            preset("vicreg@official").unwrap()
        );
        assert_eq!(preset("tico").unwrap(), preset("tico@lightly").unwrap());
        assert_eq!(
            preset("barlow-twins").unwrap(),
            preset("barlow-twins@official").unwrap()
        );
    }

    #[test]
    fn an_unknown_preset_comes_with_the_nearest_one() {
        let MethodError::UnknownPreset { suggestion, .. } = preset("vicreg@oficial").unwrap_err()
        else {
            panic!("wrong error")
        };
        assert_eq!(suggestion, "did you mean vicreg@official?");
    }
}
