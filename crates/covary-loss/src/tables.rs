//! Layers of TOML tables: one laid over another, and the keys in which two differ.

use toml::{Table, Value};

/// Lays `above` over `below`: tables merge, everything else replaces.
pub fn overlay(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => overlay(inner, over),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Dotted keys whose values differ between two tables, with both values.
pub fn differences(a: &Table, b: &Table) -> Vec<String> {
    let mut found = Vec::new();
    collect_differences("", a, b, &mut found);
    found
}

fn collect_differences(prefix: &str, a: &Table, b: &Table, found: &mut Vec<String>) {
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    for key in keys {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match (a.get(key), b.get(key)) {
            (Some(Value::Table(x)), Some(Value::Table(y))) => {
                collect_differences(&path, x, y, found);
            }
            (x, y) if x != y => {
                let show =
                    |value: Option<&Value>| value.map_or_else(|| "unset".into(), Value::to_string);
                found.push(format!("{path} ({} -> {})", show(x), show(y)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaying_keeps_what_the_upper_layer_does_not_name() {
        let mut below: Table = "a = 1\n[t]\nx = 1\ny = 2".parse().unwrap();
        overlay(&mut below, &"[t]\ny = 3\nz = 4".parse().unwrap());
        assert_eq!(below, "a = 1\n[t]\nx = 1\ny = 3\nz = 4".parse().unwrap());
    }

    #[test]
    fn differences_name_dotted_keys_with_both_values() {
        let a: Table = "seed = 1\n[t]\nx = 1\ny = 2".parse().unwrap();
        let b: Table = "seed = 1\n[t]\nx = 5".parse().unwrap();
        assert_eq!(differences(&a, &b), ["t.x (1 -> 5)", "t.y (2 -> unset)"]);
    }
}
