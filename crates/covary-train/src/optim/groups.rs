//! Groups of tensors with settings of their own.
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

use covary_loss::nearest;
use covary_nn::{Layout, LayoutEntry};
use serde::{Deserialize, Serialize};

use super::range::OptimError;

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

/// That every group matches a tensor of these networks.
pub(super) fn check(
    groups: &[GroupConfig],
    networks: &[(&str, &Layout)],
) -> Result<(), OptimError> {
    for (index, group) in groups.iter().enumerate() {
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
    /// Whether it takes a tensor of the network of that name.
    pub(super) fn takes(&self, network: &str, layout: &Layout, entry: &LayoutEntry) -> bool {
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
