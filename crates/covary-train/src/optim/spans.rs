//! The parts of a network's flat vectors that move alike: neighbours with the same settings go together, unless the rule takes a tensor
//! whole.

use std::ops::Range;

use covary_nn::{Layout, LayoutEntry};

use super::config::OptimizerConfig;
use super::rule::{Rule, Settings};

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
