//! A configuration is made of layers, each a TOML table that overrides what is below it:
//! built-in defaults, the method's preset, the recipe or file, then each `--set key=value`.

use std::path::Path;

use fs_err as fs;
use toml::{Table, Value};

use covary_loss::{method, nearest};

use super::older;
use crate::TrainError;

/// The recipes that come with the program: name and text.
pub const RECIPES: &[(&str, &str)] = &[
    ("quick", include_str!("../../../../recipes/quick.toml")),
    ("narrow", include_str!("../../../../recipes/narrow.toml")),
    ("vicreg", include_str!("../../../../recipes/vicreg.toml")),
    ("tico", include_str!("../../../../recipes/tico.toml")),
    (
        "barlow-twins",
        include_str!("../../../../recipes/barlow-twins.toml"),
    ),
    ("simsiam", include_str!("../../../../recipes/simsiam.toml")),
    ("byol", include_str!("../../../../recipes/byol.toml")),
];

/// Keys whose values are paths.
const PATHS: [&str; 1] = ["data.path"];

/// A table and where it came from, for error messages.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) table: Table,
}

impl Layer {
    /// A recipe by its name, or a TOML file by its path.
    pub(super) fn recipe(name: &str) -> Result<Self, TrainError> {
        if let Some((name, text)) = RECIPES.iter().find(|(known, _)| *known == name) {
            return Self::parse(&format!("recipe {name}"), text);
        }
        let path = Path::new(name);
        if !path.is_file() {
            return Err(TrainError::UnknownRecipe {
                name: name.into(),
                suggestion: suggestion(name),
            });
        }
        let text = fs::read_to_string(path).map_err(|source| TrainError::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(name, &text)
    }

    pub(super) fn parse(name: &str, text: &str) -> Result<Self, TrainError> {
        let mut table = text.parse::<Table>().map_err(|error| TrainError::Syntax {
            layer: name.into(),
            message: error.to_string().trim_end().into(),
        })?;
        older::rename(&mut table);
        Ok(Self {
            name: name.into(),
            table,
        })
    }

    /// `a.b.c=value`; the value is TOML, or else a bare word taken as a string. A path is a string whatever it looks like.
    pub(super) fn assignment(text: &str) -> Result<Self, TrainError> {
        let layer = format!("--set {text}");
        let syntax = |message: &str| TrainError::Syntax {
            layer: layer.clone(),
            message: message.into(),
        };
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| syntax("expected key=value"))?;
        let value = match parse_value(value.trim()) {
            Value::String(text) => Value::String(text),
            _ if PATHS.contains(&key.trim()) => Value::String(value.trim().to_owned()),
            other => other,
        };
        let mut parts: Vec<_> = key.trim().split('.').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(syntax("the key has an empty part"));
        }
        let last = parts.pop().expect("split yields at least one part");
        let mut table = Table::from_iter([(last.to_owned(), value)]);
        for part in parts.into_iter().rev() {
            table = Table::from_iter([(part.to_owned(), Value::Table(table))]);
        }
        Ok(Self { name: layer, table })
    }

    /// Whether this layer sets the dotted key.
    pub(super) fn sets(&self, key: &str) -> bool {
        let mut table = &self.table;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            match table.get(part) {
                Some(Value::Table(inner)) if parts.peek().is_some() => table = inner,
                Some(_) => return true,
                None => return false,
            }
        }
        false
    }
}

/// The recipe or preset most like a name, or the recipes that there are.
fn suggestion(name: &str) -> String {
    let recipes = || RECIPES.iter().map(|(name, _)| *name);
    let known = recipes().chain(method::presets().map(|(name, _)| name));
    match nearest(name, known) {
        Some(known) => format!("did you mean {known}?"),
        None => format!(
            "recipes: {}; presets: see `covary list`; or give the path of a TOML file",
            recipes().collect::<Vec<_>>().join(", ")
        ),
    }
}

fn parse_value(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_take_toml_values_and_bare_words() {
        let set = |text| Layer::assignment(text).unwrap().table.to_string();
        assert_eq!(set("optimizer.lr=1e-3"), "[optimizer]\nlr = 0.001\n");
        assert_eq!(set("optimizer.name=sgd"), "[optimizer]\nname = \"sgd\"\n");
        assert_eq!(set("seed=3"), "seed = 3\n");
        assert_eq!(set("data.path=2024"), "[data]\npath = \"2024\"\n");
        assert_eq!(set("data.path=true"), "[data]\npath = \"true\"\n");
        assert_eq!(
            set("data.path=\"my images\""),
            "[data]\npath = \"my images\"\n"
        );
        assert!(Layer::assignment("seed").is_err());
        assert!(Layer::assignment("a..b=1").is_err());
    }
}
