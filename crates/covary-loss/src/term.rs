//! What a term is: a scalar of some embeddings, with settings that a recipe may write, and perhaps a state between steps.

use std::fmt::Debug;

use burn::tensor::Tensor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What a term is evaluated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `[x, y]` of each pair.
    Pair,
    /// `[x]`, the x of each pair.
    X,
    /// The online embeddings of the views.
    Views,
}

impl Scope {
    /// Names of its two arguments.
    pub fn arguments(self) -> [&'static str; 2] {
        match self {
            Self::Pair | Self::X => ["x", "y"],
            Self::Views => ["a", "b"],
        }
    }
}

/// What may be done to both views at once without changing a term's value, up to its ε.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about a term"
)]
pub struct Invariances {
    /// Each view in the other's place.
    pub exchange: bool,
    /// An orthogonal map of the embedding space.
    pub rotation: bool,
    /// Multiplication by one positive number.
    pub scale: bool,
    /// Addition of one vector to all embeddings.
    pub translation: bool,
}

/// A complete collapse: all rows of all views are the same vector, and have been since the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collapse {
    /// Rows of a view.
    pub n: usize,
    /// Width of the embedding.
    pub d: usize,
    /// Online views that terms over single views see, at least 1.
    pub views: usize,
    /// Steps taken, this one included.
    pub steps: u64,
}

/// A term of a loss.
pub trait Term: Debug + Send {
    /// What it is evaluated on.
    fn scope(&self) -> Scope;

    /// Refuses settings out of range.
    ///
    /// # Errors
    /// Key and reason.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Its formula with all settings filled in.
    fn formula(&self) -> String;

    /// What leaves its value as it is.
    fn invariances(&self) -> Invariances;

    /// Its value at complete collapse; none where that depends on the vector.
    fn collapsed(&self, collapse: Collapse) -> Option<f64>;

    /// Its value.
    ///
    /// # Shapes
    /// - z: each `[n, d]`, n ≥ 2; two of them for [`Scope::Pair`], one for [`Scope::X`], at least one for [`Scope::Views`] → `[1]`
    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1>;

    /// The mean of its value over all pairs of different views, for a term of pairs that has a shorter way than through each of them.
    ///
    /// # Shapes
    /// - z: each `[n, d]`, at least three of them → `[1]`
    fn among(&mut self, _z: &[Tensor<2>]) -> Option<Tensor<1>> {
        None
    }

    /// The standard deviation from which on it asks nothing of a dimension, where it is a hinge that telemetry and alarms watch.
    fn hinge(&self) -> Option<f64> {
        None
    }

    /// The standard deviation that it asks each dimension to have, where it names one.
    fn asked_deviation(&self) -> Option<f64> {
        self.hinge()
    }

    /// What it keeps between steps.
    fn state(&self) -> Option<Vec<f32>> {
        None
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// A reason, where it has none or another form.
    fn load_state(&mut self, _state: Vec<f32>) -> Result<(), String> {
        Err("the term keeps nothing between steps".into())
    }

    /// Refuses embeddings of another width than its state's.
    ///
    /// # Errors
    /// A reason with both.
    fn check_state(&self, _d: usize) -> Result<(), String> {
        Ok(())
    }
}

/// What a kind of term is called.
pub(crate) trait Kind {
    /// Its name in recipes.
    const KIND: &'static str;
    /// One line about it.
    const SUMMARY: &'static str;
}

/// A term and its settings with all defaults filled in.
pub type Built = (Box<dyn Term>, Table);

/// A kind of term, as recipes name it.
#[derive(Clone, Copy)]
pub struct TermEntry {
    /// Its name in recipes.
    pub kind: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// Makes a term from its settings.
    pub build: fn(Table) -> Result<Built, String>,
}

impl Debug for TermEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TermEntry")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl TermEntry {
    /// The entry of a kind of term.
    pub(crate) const fn of<T: Kind + Term + DeserializeOwned + Serialize + 'static>() -> Self {
        Self {
            kind: T::KIND,
            summary: T::SUMMARY,
            build: build::<T>,
        }
    }
}

/// Reads a term from its settings; gives the settings back with all defaults filled in.
fn build<T: Term + DeserializeOwned + Serialize + 'static>(
    settings: Table,
) -> Result<(Box<dyn Term>, Table), String> {
    let term: T = Value::Table(settings)
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    term.check()?;
    let settings = Table::try_from(&term).map_err(|error| error.to_string())?;
    Ok((Box::new(term), settings))
}

/// Refuses what is not a number above 0.
pub(super) fn positive(key: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(format!("{key}: {value} is not a number above 0"))
    }
}

/// Refuses a decay outside [0, 1).
pub(super) fn decay(key: &str, value: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("{key}: {value} is not from 0 to below 1"))
    }
}

/// Refuses a count below `least`.
pub(super) fn at_least(key: &str, value: usize, least: usize) -> Result<(), String> {
    if value >= least {
        Ok(())
    } else {
        Err(format!("{key}: {value} is less than {least}"))
    }
}
