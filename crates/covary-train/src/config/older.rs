//! Keys of older versions: a configuration that holds them means the same by their present names.
//!
//! | older | present |
//! |---|---|
//! | `optimizer.trust_coefficient` | `optimizer.lars.eta` |
//! | `optimizer.clip = true` or `false` | `optimizer.lars.clip` |

use toml::{Table, Value};

/// Gives older keys their present names.
pub(super) fn rename(table: &mut Table) {
    let Some(Value::Table(optimizer)) = table.get_mut("optimizer") else {
        return;
    };
    let eta = optimizer.remove("trust_coefficient");
    let clip = match optimizer.get("clip") {
        Some(Value::Boolean(_)) => optimizer.remove("clip"),
        _ => None,
    };
    for (key, value) in [("eta", eta), ("clip", clip)] {
        let Some(value) = value else { continue };
        let lars = optimizer
            .entry("lars")
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(lars) = lars {
            lars.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::TrainConfig;

    #[test]
    fn a_configuration_with_the_keys_of_an_older_version_means_the_same() {
        let older = "epochs = 1\n[optimizer]\nname = \"lars\"\nlr = 0.3\nweight_decay = 0.0\n\
                     trust_coefficient = 0.02\nclip = true\n";
        let present = "epochs = 1\n[optimizer]\nname = \"lars\"\nlr = 0.3\nweight_decay = 0.0\n\
                       lars = { eta = 0.02, clip = true }\n";
        let read = |text| TrainConfig::parse("test", text).unwrap();
        assert_eq!(read(older), read(present));
        assert_eq!(read(older).optimizer.clip.to_bits(), 0.0_f64.to_bits());
    }
}
