//! Terms as recipes write them: `[terms.NAME]` with `kind` (NAME where it is missing), `weight` (1), perhaps `stop_gradient` and
//! `schedule`, and the settings of the kind.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use crate::nearest::nearest;
use crate::term::{Term, TermEntry};
use crate::terms::TERMS;

/// A term of a loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TermConfig {
    /// Kind, one of [`TERMS`].
    pub kind: String,
    /// Weight; a term of weight 0 is measured and gives no gradient, a negative one turns its sign.
    pub weight: f64,
    /// Argument that lets no gradient through: `none`, `x` or `y` of a pair, `none`, `a` or `b` of the views; a pair without it does as
    /// `branches.stop_gradient` says.
    pub stop_gradient: Option<String>,
    /// How the weight comes to its value; constant where there is none.
    pub schedule: Option<WeightSchedule>,
    /// Settings of the kind, all of them.
    pub settings: Table,
}

/// A weight that moves from `start` to its value over the first share `until` of all steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightSchedule {
    /// Weight at the first step.
    pub start: f64,
    /// Share of the steps, in (0, 1].
    pub until: f64,
    /// The way there. Default linear.
    #[serde(default)]
    pub shape: ScheduleShape,
}

/// The way from one weight to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleShape {
    /// A straight line.
    #[default]
    Linear,
    /// Half a cosine.
    Cosine,
}

impl WeightSchedule {
    /// The weight at `progress`, the share of all steps that were taken.
    pub fn weight(&self, end: f64, progress: f64) -> f64 {
        let way = (progress / self.until).min(1.0);
        let way = match self.shape {
            ScheduleShape::Linear => way,
            ScheduleShape::Cosine => 0.5 - 0.5 * (std::f64::consts::PI * way).cos(),
        };
        self.start + (end - self.start) * way
    }

    fn parse(name: &str, value: Value) -> Result<Self, String> {
        let schedule: Self = value.try_into().map_err(|error: toml::de::Error| {
            format!("terms.{name}.schedule: {}", error.message())
        })?;
        if !schedule.start.is_finite() {
            return Err(format!(
                "terms.{name}.schedule.start: {} is not a number",
                schedule.start
            ));
        }
        if !(schedule.until > 0.0 && schedule.until <= 1.0) {
            return Err(format!(
                "terms.{name}.schedule.until: {} is not above 0 and at most 1",
                schedule.until
            ));
        }
        Ok(schedule)
    }
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
        let schedule = table.remove("schedule");
        let schedule = schedule
            .map(|value| WeightSchedule::parse(name, value))
            .transpose()?;
        let stop_gradient = table.remove("stop_gradient");
        let (term, settings) = (entry(name, &kind)?.build)(table)
            .map_err(|reason| format!("terms.{name}: {reason}"))?;
        let arguments = term.scope().arguments();
        let stop_gradient = stop_gradient
            .map(|value| match value {
                Value::String(argument)
                    if argument == "none" || arguments.contains(&argument.as_str()) =>
                {
                    Ok(argument)
                }
                other => Err(format!(
                    "terms.{name}.stop_gradient: {other} is none of \"none\", \"{}\", \"{}\"",
                    arguments[0], arguments[1]
                )),
            })
            .transpose()?;
        Ok(Self {
            kind,
            weight,
            stop_gradient,
            schedule,
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
            if let Some(argument) = &term.stop_gradient {
                table.insert("stop_gradient".into(), Value::String(argument.clone()));
            }
            if let Some(schedule) = &term.schedule {
                let schedule = Value::try_from(schedule).expect("a schedule is plain values");
                table.insert("schedule".into(), schedule);
            }
            table.extend(term.settings.clone());
            (name, table)
        });
        serializer.collect_map(tables)
    }
}
