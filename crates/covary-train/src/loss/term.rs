//! What a term is: a scalar of some embeddings, with settings that a recipe may write, and perhaps a state between steps.

use std::fmt::Debug;

use burn::tensor::Tensor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What a term is evaluated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `[x, y]` of each direction.
    Pair,
    /// The online embeddings of the views.
    Views,
}

/// A term of a loss.
pub trait Term: Debug + Send {
    /// What it is evaluated on.
    fn scope(&self) -> Scope;

    /// Its value.
    ///
    /// # Shapes
    /// - z: each `[n, d]`, n ≥ 2; two of them for [`Scope::Pair`], one or two for [`Scope::Views`] → `[1]`
    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1>;

    /// What it keeps between steps, empty before the first.
    fn state(&self) -> Option<Vec<f32>> {
        None
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// A reason, where it has none or another size.
    fn load_state(&mut self, _state: Vec<f32>) -> Result<(), String> {
        Err("the term keeps nothing between steps".into())
    }
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

/// Reads a term from its settings; gives the settings back with all defaults filled in.
pub(super) fn build<T: Term + DeserializeOwned + Serialize + 'static>(
    settings: Table,
) -> Result<(Box<dyn Term>, Table), String> {
    let term: T = Value::Table(settings)
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let settings = Table::try_from(&term).map_err(|error| error.to_string())?;
    Ok((Box::new(term), settings))
}
