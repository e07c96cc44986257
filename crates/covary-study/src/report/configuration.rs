//! What was run: formulae, differences, configurations, machine.

use covary_loss::Objective;
use covary_loss::tables::differences;
use covary_train::config::TrainConfig;
use maud::{Markup, html};
use serde_json::Value;

use super::Group;
use crate::Record;

/// Formula of each configuration, and its differences to the first.
pub(super) fn formulae<'a>(configs: impl Iterator<Item = (&'a str, &'a TrainConfig)>) -> Markup {
    let configs: Vec<_> = configs.collect();
    let base = configs.first().map(|(_, config)| config.to_table());
    html! {
        @for (index, (name, config)) in configs.iter().enumerate() {
            details open[index == 0] {
                summary { (name) }
                @if let Some(base) = base.as_ref().filter(|_| index > 0) {
                    ul { @for difference in differences(base, &config.to_table()) { li { code { (difference) } } } }
                }
                pre { (explain(config)) }
            }
        }
    }
}

fn explain(config: &TrainConfig) -> String {
    match Objective::of_views(&config.method_config(), config.view_count()) {
        Ok(objective) => objective.explain(config.batch_size, config.projector.dim),
        Err(error) => error.to_string(),
    }
}

/// Machine and program of the runs, and the first configuration whole.
pub(super) fn machine(groups: &[Group<'_>], config: &TrainConfig) -> Markup {
    let record = groups.iter().flat_map(|group| &group.records).next();
    html! {
        @if let Some(record) = record { (provenance(record)) }
        details { summary { "The whole configuration" } pre { (config.to_toml()) } }
    }
}

fn provenance(record: &Record) -> Markup {
    let show = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    html! {
        div.scroll {
            table {
                tbody {
                    @for (key, value) in &record.provenance { tr { td { (key) } td.words { (show(value)) } } }
                }
            }
        }
    }
}
