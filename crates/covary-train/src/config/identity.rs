//! What the configuration of a run is known by, in its checkpoints and beside its encoder.
//!
//! SHA-256 of the configuration's table as canonical TOML, less `threads` and `checkpoint`, which change no number, and less `data.path`,
//! as data may move: what images are known by is kept apart ([`crate::run::DataDigest`]).

use toml::{Table, Value};

use crate::run::digest;

/// Keys that change no result.
const IRRELEVANT: [&str; 2] = ["threads", "checkpoint"];

/// 16 hexadecimal digits of a configuration's table.
pub fn identity(table: &Table) -> String {
    let mut table = table.clone();
    for key in IRRELEVANT {
        table.remove(key);
    }
    if let Some(data) = table.get_mut("data").and_then(Value::as_table_mut) {
        data.remove("path");
    }
    digest([table.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;

    #[test]
    fn it_changes_with_what_changes_a_number_alone() {
        let of = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
            identity(&TrainConfig::resolve("narrow", &set).unwrap().to_table())
        };
        let base = of(&[]);
        for set in [
            "threads=3",
            "checkpoint.every_steps=7",
            "data.path=elsewhere",
        ] {
            assert_eq!(of(&[set]), base, "{set}");
        }
        for set in [
            "seed=1",
            "data.limit=1000",
            "terms.variance.gamma=0.5",
            "score=false",
        ] {
            assert_ne!(of(&[set]), base, "{set}");
        }
    }
}
