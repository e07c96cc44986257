//! A plan: base, single changes, factorials, seeds, expectations. TOML; unknown keys are errors.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use crate::{Lost, StudyError};

/// What a study asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What each change does to the scores.
    #[default]
    Effects,
    /// How far learning rate and regulariser can move before a technique collapses.
    Margin,
}

/// A plan as its file has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Where it was read.
    #[serde(skip)]
    pub path: PathBuf,
    /// Its text.
    #[serde(skip)]
    pub text: String,
    /// Title of the report. Default: the file's name.
    #[serde(default)]
    pub title: String,
    /// The question, in a sentence or two.
    #[serde(default)]
    pub question: String,
    /// Kind. Default `effects`.
    #[serde(default)]
    pub kind: Kind,
    /// Which collapse makes a run a lost one. Default `either`.
    #[serde(default)]
    pub lost: Lost,
    /// Seeds, at least one. Default 0, 1, 2.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// What every variant is compared with.
    pub base: Base,
    /// Single changes.
    #[serde(default)]
    pub variant: Vec<Change>,
    /// Two changes and both together.
    #[serde(default)]
    pub factorial: Vec<Factorial>,
    /// What is expected to come out.
    #[serde(default)]
    pub contrast: Vec<Contrast>,
    /// Factors of a study of margins.
    #[serde(default)]
    pub margin: Factors,
}

/// The base.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its name in tables. Default `base`.
    #[serde(default = "default_name")]
    pub name: String,
    /// A recipe or the path of a TOML file, as `covary pretrain` takes it. Default `narrow`.
    #[serde(default = "default_recipe")]
    pub recipe: String,
    /// `key=value`, laid over the recipe.
    #[serde(default)]
    pub set: Vec<String>,
}

/// A variant: the base with one change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it is about, for the report.
    #[serde(default)]
    pub about: String,
    /// `key=value`, laid over the base.
    #[serde(default)]
    pub set: Vec<String>,
    /// In a study of margins: the terms whose weights move together.
    #[serde(default)]
    pub regulariser: Vec<String>,
}

/// Two changes, each made or not: four cells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factorial {
    /// Its name. Default: its number.
    #[serde(default)]
    pub name: String,
    /// `key=value` that all four cells share, over the base.
    #[serde(default)]
    pub set: Vec<String>,
    /// The first factor's two levels.
    pub a: [Level; 2],
    /// The second factor's two levels.
    pub b: [Level; 2],
}

/// A factor's level: one assignment or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Level {
    /// `key=value`.
    One(String),
    /// Several of them.
    Many(Vec<String>),
}

/// An expectation of two arms, or of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Name of a base, variant or cell.
    pub left: String,
    /// Name of another; none where `expect` speaks of the left alone.
    #[serde(default)]
    pub right: Option<String>,
    /// What is expected.
    pub expect: Expectation,
    /// Where the expectation comes from.
    #[serde(default)]
    pub source: String,
}

/// What is expected to come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Expectation {
    /// The left has the higher score.
    #[serde(rename = "left > right")]
    LeftAbove,
    /// The right has the higher score.
    #[serde(rename = "left < right")]
    RightAbove,
    /// Every run of the left collapses.
    #[serde(rename = "left collapses")]
    Collapses,
    /// No run of the left collapses.
    #[serde(rename = "left survives")]
    Survives,
}

impl Expectation {
    /// Whether it speaks of two arms.
    pub fn compares(self) -> bool {
        matches!(self, Self::LeftAbove | Self::RightAbove)
    }

    /// As the plan writes it.
    pub fn text(self) -> &'static str {
        match self {
            Self::LeftAbove => "left > right",
            Self::RightAbove => "left < right",
            Self::Collapses => "left collapses",
            Self::Survives => "left survives",
        }
    }
}

/// Factors of a study of margins.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Factors {
    /// Of the learning rate, each above 0. Default 0.3, 1, 3, 10.
    pub lr: Vec<f64>,
    /// Of the regulariser's weights, each from 0 on. Default 1, 0.3, 0.1, 0.03, 0.
    pub weight: Vec<f64>,
}

impl Default for Factors {
    fn default() -> Self {
        Self {
            lr: vec![0.3, 1.0, 3.0, 10.0],
            weight: vec![1.0, 0.3, 0.1, 0.03, 0.0],
        }
    }
}

fn default_seeds() -> Vec<u64> {
    vec![0, 1, 2]
}

fn default_name() -> String {
    "base".into()
}

fn default_recipe() -> String {
    "narrow".into()
}

impl Level {
    /// Its assignments in one line; a level of none leaves things as they are.
    pub fn name(&self) -> String {
        let text = self.assignments().join(" ");
        if text.is_empty() {
            "unchanged".into()
        } else {
            text
        }
    }

    /// Its assignments.
    pub fn assignments(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// A file that cannot be read, is not TOML, has an unknown key, or makes no sense.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let text = fs::read_to_string(path).map_err(|source| StudyError::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads a plan's text; the path is for its title and for errors.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, StudyError> {
        let mut plan: Self = toml::from_str(text).map_err(|error| StudyError::Syntax {
            path: path.into(),
            message: error.to_string().trim_end().into(),
        })?;
        plan.path = path.into();
        text.clone_into(&mut plan.text);
        if plan.title.is_empty() {
            let stem = path.file_stem().unwrap_or_default();
            plan.title = stem.to_string_lossy().into_owned();
            // The study keeps its plan under another name, and the title with it.
            let title = toml::Value::String(plan.title.clone());
            plan.text = format!("title = {title}\n{text}");
        }
        for (index, factorial) in plan.factorial.iter_mut().enumerate() {
            if factorial.name.is_empty() {
                factorial.name = format!("factorial {}", index + 1);
            }
        }
        plan.check()?;
        Ok(plan)
    }

    pub(crate) fn wrong(&self, key: &str, reason: impl Into<String>) -> StudyError {
        StudyError::Plan {
            path: self.path.clone(),
            key: key.into(),
            reason: reason.into(),
        }
    }

    fn check(&self) -> Result<(), StudyError> {
        if self.seeds.is_empty() {
            return Err(self.wrong("seeds", "there is none"));
        }
        if let Some(seed) = twice(self.seeds.iter()) {
            return Err(self.wrong("seeds", format!("{seed} stands there twice")));
        }
        let names = std::iter::once(&self.base.name).chain(self.variant.iter().map(|v| &v.name));
        if let Some(name) = twice(names) {
            return Err(self.wrong("variant", format!("two have the name {name}")));
        }
        if self.variant.is_empty() && self.factorial.is_empty() {
            return Err(self.wrong("variant", "there is none, and no factorial"));
        }
        let levels = self.factorial.iter().flat_map(|f| f.a.iter().chain(&f.b));
        let sets = self
            .variant
            .iter()
            .map(|variant| &variant.set[..])
            .chain([&self.base.set[..]])
            .chain(self.factorial.iter().map(|factorial| &factorial.set[..]))
            .chain(levels.map(Level::assignments));
        for text in sets.flatten() {
            if text.split('=').next().map(str::trim) == Some("seed") {
                return Err(self.wrong("set", format!("{text}: seeds = [...] decides the seeds")));
            }
        }
        for contrast in &self.contrast {
            if contrast.expect.compares() != contrast.right.is_some() {
                let reason = format!(
                    "{}: expect = \"{}\" {} a right side",
                    contrast.left,
                    contrast.expect.text(),
                    if contrast.expect.compares() {
                        "needs"
                    } else {
                        "takes no"
                    },
                );
                return Err(self.wrong("contrast", reason));
            }
        }
        self.check_margin()
    }

    fn check_margin(&self) -> Result<(), StudyError> {
        if self.kind == Kind::Effects {
            return match self.variant.iter().find(|v| !v.regulariser.is_empty()) {
                None => Ok(()),
                Some(variant) => {
                    Err(self.wrong(&variant.name, "regulariser belongs to kind = \"margin\""))
                }
            };
        }
        if !self.factorial.is_empty() || !self.contrast.is_empty() {
            return Err(self.wrong("kind", "a study of margins has variants alone"));
        }
        let is_lr = |factor: &f64| factor.is_finite() && *factor > 0.0;
        if self.margin.lr.is_empty() || !self.margin.lr.iter().all(is_lr) {
            return Err(self.wrong("margin.lr", "at least one factor, each above 0"));
        }
        let is_weight = |factor: &f64| factor.is_finite() && *factor >= 0.0;
        if self.margin.weight.is_empty() || !self.margin.weight.iter().all(is_weight) {
            return Err(self.wrong("margin.weight", "at least one factor, each from 0 on"));
        }
        Ok(())
    }
}

fn twice<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = std::collections::BTreeSet::new();
    let mut repeated = None;
    for value in values {
        if seen.contains(&value) {
            repeated = Some(value);
            break;
        }
        seen.insert(value);
    }
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Plan::parse(Path::new("plan.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn defaults_are_three_seeds_of_the_narrow_recipe() {
        let text = "[base]\n[[variant]]\nname = \"a\"\nset = [\"epochs=1\"]";
        let plan = Plan::parse(Path::new("x/what.toml"), text).unwrap();
        assert_eq!((plan.seeds, plan.kind), (vec![0, 1, 2], Kind::Effects));
        assert_eq!((&*plan.base.recipe, &*plan.title), ("narrow", "what"));
    }

    #[test]
    fn refusals_name_the_key() {
        for (text, words) in [
            ("[base]\n[[varient]]\nname = \"a\"", "varient"),
            ("[base]", "variant: there is none"),
            ("seeds = []\n[base]\n[[variant]]\nname = \"a\"", "seeds"),
            ("seeds = [1, 1]\n[base]\n[[variant]]\nname = \"a\"", "twice"),
            (
                "[base]\n[[variant]]\nname = \"base\"",
                "two have the name base",
            ),
            (
                "[base]\n[[variant]]\nname = \"a\"\nset = [\"seed=4\"]",
                "decides the seeds",
            ),
            (
                "[base]\n[[variant]]\nname = \"a\"\n[[contrast]]\nleft = \"a\"\nexpect = \"left > right\"",
                "needs a right side",
            ),
            (
                "kind = \"margin\"\n[base]\n[[variant]]\nname = \"a\"\n[margin]\nlr = [0.0]",
                "margin.lr",
            ),
        ] {
            let found = refusal(text);
            assert!(found.contains(words), "{words}: {found}");
        }
    }
}
