//! What a run is known by: SHA-256 of its resolved configuration, less what changes no number of it.
//!
//! The configuration is taken as canonical TOML (tables sorted by key, every default written out). Left out are `threads`, as results are
//! the same bits for any number of them, and `checkpoint`.

use covary_train::config::TrainConfig;
use covary_train::run::digest;
use toml::Table;

/// Keys that change no result.
const IRRELEVANT: [&str; 2] = ["threads", "checkpoint"];
/// Keys that change neither the networks nor what a step costs.
const FREE: [&str; 5] = ["seed", "epochs", "optimizer", "schedule", "monitor"];

/// The key of a run: 16 hexadecimal digits.
pub fn key(config: &TrainConfig) -> String {
    digest([stripped(config).to_string().as_bytes()])
}

/// The key of what a step of a run costs: the same for runs that differ in seed, length, optimizer or weights alone.
pub fn network_key(config: &TrainConfig) -> String {
    let mut table = stripped(config);
    for key in FREE {
        table.remove(key);
    }
    if let Some(terms) = table.get_mut("terms").and_then(toml::Value::as_table_mut) {
        for (_, term) in terms.iter_mut() {
            if let Some(term) = term.as_table_mut() {
                term.remove("weight");
            }
        }
    }
    digest([table.to_string().as_bytes()])
}

fn stripped(config: &TrainConfig) -> Table {
    let mut table = config.to_table();
    for key in IRRELEVANT {
        table.remove(key);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(set: &[&str]) -> TrainConfig {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        TrainConfig::resolve("narrow", &set).unwrap()
    }

    #[test]
    fn every_field_that_matters_changes_the_key() {
        let base = key(&config(&[]));
        for set in [
            "terms.variance.weight=24",
            "terms.variance.gamma=0.5",
            "seed=1",
            "augment.view_b.blur.probability=0.1",
            "optimizer.lr=1e-3",
            "data.limit=1000",
            "monitor.every_epochs=2",
        ] {
            assert_ne!(key(&config(&[set])), base, "{set}");
        }
    }

    #[test]
    fn threads_checkpoints_and_spelling_do_not() {
        let base = key(&config(&[]));
        for set in [
            "threads=1",
            "checkpoint.every_steps=7",
            "optimizer.lr=0.002",
        ] {
            assert_eq!(key(&config(&[set])), base, "{set}");
        }
    }

    #[test]
    fn a_network_is_the_same_for_other_weights_and_another_for_another_width() {
        let base = network_key(&config(&[]));
        assert_eq!(
            network_key(&config(&["terms.variance.weight=0", "seed=4"])),
            base
        );
        assert_ne!(network_key(&config(&["encoder.width=8"])), base);
    }
}
