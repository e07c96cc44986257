//! Presets: TOML files of `presets/`, named by method and source of the constants (`vicreg@official`); a plain name is the first source's.
//!
//! A preset is a part of a configuration: it may set anything that a recipe may. Two keys are its own: `extends` names a preset that it
//! is laid over, and `protection` what keeps it from collapse, by which the contracts of losses are tested.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::method::error::MethodError;
use crate::nearest::nearest;
use crate::tables::overlay;

/// What keeps a method from collapse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// The loss: the collapsed point is worse than a spread aligned one.
    Loss,
    /// The architecture: predictor, stop-gradient, momentum target. The loss alone does not mind collapse.
    Architecture,
    /// Nothing.
    None,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../presets/", $name, ".toml")))),*]
    };
}

const PRESETS: &[(&str, &str)] = presets![
    "vicreg@official",
    "vicreg@paper",
    "vicreg-light-invariance",
    "vicreg-memory",
    "vicreg-correlation",
    "vicreg-log-det",
    "vicreg-visreg",
    "vicreg-momentum",
    "vicreg-predictor",
    "vicreg-without-invariance",
    "vicreg-without-variance",
    "vicreg-without-covariance",
    "tico@lightly",
    "tico@sayannag",
    "tico-hinge",
    "tico-shared",
    "tico-unnormalised",
    "tico-centred",
    "tico-without-contrast",
    "tico-without-cosine",
    "barlow-twins@official",
    "barlow-twins@lightly",
    "barlow-twins-hinge",
    "barlow-twins-without-diagonal",
    "barlow-twins-without-off-diagonal",
    "simsiam",
    "simsiam-without-stop-gradient",
    "byol",
    "byol-without-predictor",
    "negative-cosine",
    "nt-xent",
];

/// Name and description of every preset.
pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().map(|(name, text)| {
        let first = text.lines().next().unwrap_or_default();
        (*name, first.trim_start_matches("# "))
    })
}

/// A preset's part of a configuration, with those that it extends below it; a name without `@source` is the first source's.
///
/// # Errors
/// [`MethodError::UnknownPreset`] with the nearest name.
pub fn preset(name: &str) -> Result<Table, MethodError> {
    let mut table = whole(name)?;
    table.remove("protection");
    Ok(table)
}

/// What keeps a preset's method from collapse.
///
/// # Errors
/// [`MethodError::UnknownPreset`] with the nearest name.
pub fn protection(name: &str) -> Result<Protection, MethodError> {
    let table = whole(name)?;
    let value = table.get("protection").cloned();
    Ok(value.map_or(Protection::Loss, |value| {
        value.try_into().expect("presets name a protection")
    }))
}

fn whole(name: &str) -> Result<Table, MethodError> {
    let mut table: Table = text(name)?.parse().expect("presets are TOML");
    let Some(Value::String(below)) = table.remove("extends") else {
        return Ok(table);
    };
    let mut extended = whole(&below)?;
    overlay(&mut extended, &table);
    Ok(extended)
}

fn text(name: &str) -> Result<&'static str, MethodError> {
    let named = |known: &str| {
        known == name
            || known
                .split_once('@')
                .is_some_and(|(method, _)| method == name)
    };
    if let Some((_, text)) = PRESETS.iter().find(|(known, _)| named(known)) {
        return Ok(text);
    }
    let names = || PRESETS.iter().map(|(known, _)| *known);
    let suggestion = nearest(name, names()).map_or_else(
        || format!("known presets: {}", names().collect::<Vec<_>>().join(", ")),
        |known| format!("did you mean {known}?"),
    );
    Err(MethodError::UnknownPreset {
        name: name.into(),
        suggestion,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_the_first_source() {
        for method in ["vicreg", "tico", "barlow-twins"] {
            let first = presets().find(|(name, _)| name.starts_with(&format!("{method}@")));
            assert_eq!(preset(method).unwrap(), preset(first.unwrap().0).unwrap());
        }
    }

    #[test]
    fn an_extending_preset_keeps_what_it_does_not_name() {
        let whole = preset("vicreg-without-variance").unwrap();
        let terms = whole["terms"].as_table().unwrap();
        assert_eq!(terms["variance"]["weight"].as_float(), Some(0.0));
        assert_eq!(terms["invariance"]["weight"].as_float(), Some(25.0));
        assert!(!whole.contains_key("extends") && !whole.contains_key("protection"));
    }

    #[test]
    fn an_unknown_preset_comes_with_the_nearest_one() {
        let MethodError::UnknownPreset { suggestion, .. } = preset("vicreg@oficial").unwrap_err()
        else {
            panic!("wrong error")
        };
        assert_eq!(suggestion, "did you mean vicreg@official?");
    }
}
