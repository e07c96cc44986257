//! Groups of tensors with settings of their own, and the parts of a flat vector that move alike.
//!
//! ```toml
//! [[optimizer.groups]]
//! match = "norm-biases"      # a class of tensors, or a pattern of names: * stands for any characters
//! lr = 64.0                  # factor on the learning rate
//! weight_decay = 0.0         # in place of the optimizer's
//! ```
//! Classes: `weights` (of convolutions and linear layers), `biases` (of linear layers), `norm-weights` and `norm-biases` (γ and β of
//! BatchNorm and LayerNorm). Names are `encoder.`, `projector.` or `predictor.` and PyTorch's. Of groups that match the same tensor a
//! later one goes before an earlier one, key by key. airbench's 64 for biases of BatchNorms is such a factor.

use std::ops::Range;

use covary_loss::nearest;
use covary_nn::{Layout, LayoutEntry};
use serde::{Deserialize, Serialize};

use super::config::{OptimError, OptimizerConfig};
use super::rule::Rule;

/// Settings of some tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// Class of tensors, or pattern of their names.
    #[serde(rename = "match")]
    pub matches: String,
    /// Factor on the learning rate, ≥ 0. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay in place of the optimizer's, ≥ 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether Muon moves these matrices, or AdamW in its place. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muon: Option<bool>,
}

/// What a part moves by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// Factor on the learning rate.
    pub(super) lr: f64,
    pub(super) weight_decay: f64,
    /// A bias or a norm's parameter that is excluded from decay and trust ratio.
    pub(super) plain: bool,
    /// Whether Muon may move it.
    pub(super) muon: bool,
}

/// A part of the flat vectors that moves by one rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) range: Range<usize>,
    /// Shape of the tensor, where the part is one alone.
    pub(super) shape: Vec<usize>,
    pub(super) settings: Settings,
    /// Whether it has a second vector of state.
    pub(super) second: bool,
}

/// The parts of the flat vectors of the network `name`, in order and without gaps.
pub(super) fn spans(
    config: &OptimizerConfig,
    rule: &dyn Rule,
    name: &str,
    layout: &Layout,
) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for entry in layout.entries() {
        let settings = settings(config, name, layout, entry);
        let whole = rule.takes_whole(entry, &settings);
        let second = rule.keeps_second(entry, &settings);
        match spans.last_mut() {
            Some(last)
                if !whole
                    && last.shape.is_empty()
                    && last.settings == settings
                    && last.second == second =>
            {
                last.range.end = entry.range().end;
            }
            _ => spans.push(Span {
                range: entry.range(),
                shape: if whole { entry.shape.clone() } else { vec![] },
                settings,
                second,
            }),
        }
    }
    spans
}

fn settings(
    config: &OptimizerConfig,
    network: &str,
    layout: &Layout,
    entry: &LayoutEntry,
) -> Settings {
    let plain = config.excludes() && !entry.is_weight();
    let mut settings = Settings {
        lr: 1.0,
        weight_decay: if plain { 0.0 } else { config.weight_decay },
        plain,
        muon: true,
    };
    for group in &config.groups {
        if group.takes(network, layout, entry) {
            settings.lr = group.lr.unwrap_or(settings.lr);
            settings.weight_decay = group.weight_decay.unwrap_or(settings.weight_decay);
            settings.muon = group.muon.unwrap_or(settings.muon);
        }
    }
    settings
}

/// That every group matches a tensor of these networks.
pub(super) fn check(
    config: &OptimizerConfig,
    networks: &[(&str, &Layout)],
) -> Result<(), OptimError> {
    for (index, group) in config.groups.iter().enumerate() {
        let takes = |(network, layout): &(&str, &Layout)| {
            let mut entries = layout.entries().iter();
            entries.any(|entry| group.takes(network, layout, entry))
        };
        if !networks.iter().any(takes) {
            let names: Vec<String> = networks
                .iter()
                .flat_map(|(network, layout)| {
                    let entries = layout.entries().iter();
                    entries.map(move |entry| format!("{network}.{}", entry.name))
                })
                .collect();
            return Err(unmatched(index, &group.matches, &names));
        }
    }
    Ok(())
}

fn unmatched(index: usize, pattern: &str, names: &[String]) -> OptimError {
    let classes = CLASSES.iter().map(|(class, _)| *class);
    let known = classes.clone().chain(names.iter().map(String::as_str));
    let meant = nearest(pattern, known)
        .map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
    let classes: Vec<_> = classes.collect();
    OptimError::new(
        format!("groups[{index}].match"),
        format!(
            "no tensor matches \"{pattern}\"{meant}; classes: {}; names: {}",
            classes.join(", "),
            names.join(", ")
        ),
    )
}

/// Classes of tensors.
const CLASSES: &[(&str, Class)] = &[
    ("weights", Class::Weight),
    ("biases", Class::Bias),
    ("norm-weights", Class::NormWeight),
    ("norm-biases", Class::NormBias),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Weight,
    Bias,
    NormWeight,
    NormBias,
}

impl Class {
    /// A bias is a norm's where the weight beside it is a vector.
    fn of(layout: &Layout, entry: &LayoutEntry) -> Self {
        if entry.is_weight() {
            return Self::Weight;
        }
        let Some(module) = entry.name.strip_suffix("bias") else {
            return Self::NormWeight;
        };
        match layout.find(&format!("{module}weight")) {
            Some(weight) if weight.is_weight() => Self::Bias,
            _ => Self::NormBias,
        }
    }
}

impl GroupConfig {
    fn takes(&self, network: &str, layout: &Layout, entry: &LayoutEntry) -> bool {
        match CLASSES.iter().find(|(name, _)| *name == self.matches) {
            Some((_, class)) => Class::of(layout, entry) == *class,
            None => matches(&self.matches, &format!("{network}.{}", entry.name)),
        }
    }
}

/// Whether a name is of the pattern, where * stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expected) in [
            ("encoder.conv1.weight", "encoder.conv1.weight", true),
            ("encoder.conv1", "encoder.conv1.weight", false),
            ("*.bn*.bias", "encoder.layer1.0.bn2.bias", true),
            ("*.bn*.bias", "encoder.layer1.0.bn2.weight", false),
            ("projector.*", "projector.0.weight", true),
            ("projector.*", "encoder.0.weight", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
