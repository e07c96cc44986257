//! From a merged table to a checked configuration: unknown keys, wrong types and impossible values are errors that name the layer they
//! stand in.

use std::fmt::Display;

use covary_nn::NnError;
use toml::{Table, Value};

use covary_loss::nearest;

use super::TrainConfig;
use super::layers::Layer;
use crate::TrainError;
use crate::optim::check_phases;
use covary_loss::method::{BOTH_NORMS, MethodError, Normalise, hidden_norm};

/// Parses the merged table; the first unknown key or wrong type is traced back to the layer that has it.
pub(super) fn typed(table: Table, layers: &[Layer]) -> Result<TrainConfig, TrainError> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().message().to_owned();
        match unknown_field(&message) {
            Some((field, expected)) => unknown_key(layers, &join(&path, field), field, &expected),
            None => BadValue { layers, key: &path }.because(message),
        }
    })
}

/// Field and known fields of serde's "unknown field x, expected one of a, b", where each stands in backticks.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once('`')?;
    let expected = rest.split('`').skip(1).step_by(2).collect();
    Some((field, expected))
}

fn join(path: &str, field: &str) -> String {
    if path == "." || path.is_empty() {
        field.to_owned()
    } else if path.ends_with(field) {
        path.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

fn unknown_key(layers: &[Layer], key: &str, field: &str, expected: &[&str]) -> TrainError {
    let nearest = nearest(field, expected.iter().copied());
    let suggestion = match nearest {
        Some(name) => format!("did you mean {}{name}?", &key[..key.len() - field.len()]),
        None => format!("known keys here: {}", expected.join(", ")),
    };
    TrainError::UnknownKey {
        layer: layer_of(layers, key),
        key: key.into(),
        suggestion,
    }
}

fn layer_of(layers: &[Layer], key: &str) -> String {
    let layer = layers.iter().rev().find(|layer| layer.sets(key));
    layer.map_or_else(|| "configuration".into(), |layer| layer.name.clone())
}

struct BadValue<'a> {
    layers: &'a [Layer],
    key: &'a str,
}

impl BadValue<'_> {
    fn because(&self, reason: impl Display) -> TrainError {
        TrainError::BadValue {
            layer: layer_of(self.layers, self.key),
            key: self.key.into(),
            reason: reason.to_string(),
        }
    }
}

/// Checks ranges, and what keys mean together.
pub(super) fn check(config: &TrainConfig, layers: &[Layer]) -> Result<(), TrainError> {
    let at_least = |key: &str, value: u64, least: u64| {
        if value >= least {
            Ok(())
        } else {
            Err(BadValue { layers, key }.because(format!("{value} is less than {least}")))
        }
    };
    at_least("epochs", config.epochs, 1)?;
    at_least("batch_size", config.batch_size as u64, 2)?;
    for (key, side) in config.augment.sides() {
        at_least(&format!("augment.{key}"), side as u64, 8)?;
    }
    if let Err(error) = config.encoder.check() {
        let key = match &error {
            NnError::UnknownEncoder(_) => "encoder.name",
            NnError::Channels { .. } => "encoder.channels",
            _ if config.encoder.width == 0 => "encoder.width",
            _ => "encoder.channels",
        };
        return Err(BadValue { layers, key }.because(error));
    }
    at_least("projector.layers", config.projector.layers as u64, 1)?;
    at_least("projector.hidden", config.projector.hidden as u64, 1)?;
    at_least("projector.dim", config.projector.dim as u64, 1)?;
    at_least("monitor.images", config.monitor.images as u64, 2)?;
    at_least("checkpoint.every_steps", config.checkpoint.every_steps, 1)?;
    if config.data.limit != 0 && config.data.limit < config.batch_size {
        let reason = format!(
            "{} images do not fill one batch of {}",
            config.data.limit, config.batch_size
        );
        return Err(BadValue {
            layers,
            key: "data.limit",
        }
        .because(reason));
    }
    if !(0.0..1.0).contains(&config.data.test_share) {
        let reason = format!("{} is not from 0 to below 1", config.data.test_share);
        return Err(BadValue {
            layers,
            key: "data.test_share",
        }
        .because(reason));
    }
    at_least("data.max_pixels", config.data.max_pixels, 1)?;
    let warmup = config.schedule.warmup;
    if !(0.0..=1.0).contains(&warmup) {
        return Err(BadValue {
            layers,
            key: "schedule.warmup",
        }
        .because(format!("{warmup} is not between 0 and 1")));
    }
    let bad = |key: &str, reason: &dyn Display| BadValue { layers, key }.because(reason);
    config
        .optimizer
        .validate()
        .map_err(|error| bad(&format!("optimizer.{}", error.key()), &error))?;
    check_phases(&config.schedule.phases)
        .map_err(|(key, reason)| bad(&format!("schedule.{key}"), &reason))?;
    if let Some((key, reason)) = config.device.refusal(config.precision) {
        return Err(bad(key, &reason));
    }
    let projector = &config.projector;
    if config.embedding.normalise == Normalise::Whiten && config.batch_size <= projector.dim {
        let reason = format!(
            "whitening takes more rows than columns: batch_size is {}, projector.dim {}",
            config.batch_size, projector.dim
        );
        return Err(bad("embedding.normalise", &reason));
    }
    if hidden_norm(projector.batch_norm, projector.layer_norm, projector.affine).is_none() {
        return Err(bad("projector.layer_norm", &BOTH_NORMS));
    }
    config
        .method_config()
        .validate(config.projector.dim)
        .map_err(|error| match &error {
            MethodError::Setting { key, reason } => bad(key, reason),
            MethodError::UnknownPreset { .. } => error.into(),
        })?;
    config.augment.validate("augment")?;
    Ok(())
}
