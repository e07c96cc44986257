//! Terms as recipes write them: `[terms.NAME]` with `kind` (NAME where it is missing), `weight` (1) and the settings of the kind.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use crate::config::nearest;
use crate::loss::{TERMS, Term, TermEntry};

/// A term of a loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TermConfig {
    /// Kind, one of [`TERMS`].
    pub kind: String,
    /// Weight, ≥ 0; a term of weight 0 is measured and gives no gradient.
    pub weight: f64,
    /// Settings of the kind, all of them.
    pub settings: Table,
}

/// The terms of a loss by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms(BTreeMap<String, TermConfig>);

impl Terms {
    /// Names and terms, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &TermConfig)> {
        self.0.iter()
    }
}

impl TermConfig {
    /// Reads `[terms.NAME]`.
    fn parse(name: &str, mut table: Table) -> Result<Self, String> {
        let kind = match table.remove("kind") {
            None => name.to_owned(),
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(format!("terms.{name}.kind: {other} is not a name")),
        };
        let weight = match table.remove("weight") {
            None => 1.0,
            Some(Value::Float(weight)) => weight,
            Some(Value::Integer(weight)) => weight as f64,
            Some(other) => return Err(format!("terms.{name}.weight: {other} is not a number")),
        };
        let (_, settings) = (entry(name, &kind)?.build)(table)
            .map_err(|reason| format!("terms.{name}: {reason}"))?;
        Ok(Self {
            kind,
            weight,
            settings,
        })
    }

    pub(crate) fn build(&self) -> Result<Box<dyn Term>, String> {
        let (term, _) = (entry(&self.kind, &self.kind)?.build)(self.settings.clone())?;
        Ok(term)
    }
}

fn entry(name: &str, kind: &str) -> Result<&'static TermEntry, String> {
    TERMS
        .iter()
        .find(|entry| entry.kind == kind)
        .ok_or_else(|| {
            let suggestion = match nearest(kind, TERMS.iter().map(|entry| entry.kind)) {
                Some(known) => format!("did you mean {known}?"),
                None => format!(
                    "known kinds: {}",
                    TERMS
                        .iter()
                        .map(|entry| entry.kind)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            format!("terms.{name}: there is no term of kind {kind}; {suggestion}")
        })
}

impl<'de> Deserialize<'de> for Terms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tables = BTreeMap::<String, Table>::deserialize(deserializer)?;
        let terms = tables.into_iter().map(|(name, table)| {
            let term = TermConfig::parse(&name, table)?;
            Ok((name, term))
        });
        terms
            .collect::<Result<_, String>>()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl Serialize for Terms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tables = self.0.iter().map(|(name, term)| {
            let mut table = Table::new();
            table.insert("kind".into(), Value::String(term.kind.clone()));
            table.insert("weight".into(), Value::Float(term.weight));
            table.extend(term.settings.clone());
            (name, table)
        });
        serializer.collect_map(tables)
    }
}
