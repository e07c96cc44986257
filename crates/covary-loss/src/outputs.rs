//! What a loss takes and gives: which outputs of the branches it needs, those outputs, its value by terms, and the gradients.

use rayon::prelude::*;

use crate::branches::Branches;

/// Numbers that a thread goes through at a time.
const CHUNK: usize = 1 << 14;

/// Which outputs a loss wants.
pub type Needs = Branches<bool>;

/// Gradients of online embeddings and predictions, `[n, d]` each; none where there is no dependence, and none of targets.
pub type OutputGradients = Branches<Option<Vec<f32>>>;

/// Outputs of the branches, each `[n, d]` row by row.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use covary_loss::method::MethodConfig;
/// use covary_loss::{BranchOutputs, Objective};
///
/// let (a, b) = ([1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
/// let mut objective = Objective::new(&MethodConfig::preset("vicreg")?)?;
/// let evaluation = objective.evaluate(&BranchOutputs::embeddings(2, 2, &[&a, &b]), 0.0)?;
/// assert!(evaluation.terms.iter().any(|term| term.name == "invariance" && term.value == 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct BranchOutputs<'a> {
    /// Rows, at least 2.
    pub n: usize,
    /// Width of the embedding.
    pub d: usize,
    /// The outputs; a list may be empty where none of its kind is needed.
    pub branches: Branches<Option<&'a [f32]>>,
}

impl<'a> BranchOutputs<'a> {
    /// Online embeddings of the views and nothing else.
    pub fn embeddings(n: usize, d: usize, views: &[&'a [f32]]) -> Self {
        Self {
            n,
            d,
            branches: Branches {
                embedding: views.iter().copied().map(Some).collect(),
                ..Branches::default()
            },
        }
    }
}

impl Needs {
    /// Whether a view goes through the online branch.
    pub fn online(&self, view: usize) -> bool {
        self.embedding[view] || self.prediction[view]
    }
}

/// A term's part in a loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TermValue {
    /// Its name in the recipe.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its weight.
    pub weight: f64,
    /// Their product.
    pub weighted: f64,
}

/// A loss with its gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The loss.
    pub total: f64,
    /// Its terms; one of weight 0 is measured and gives no gradient.
    pub terms: Vec<TermValue>,
    /// Gradients of the loss.
    pub gradients: OutputGradients,
    /// Those of each weighted term alone, which add up to the loss's.
    pub term_gradients: Vec<OutputGradients>,
}

impl OutputGradients {
    pub(crate) fn none(views: usize) -> Self {
        Self::from_fn(views, |_, _| None)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, part) in self.iter_mut().zip(other.iter()) {
            match (sum, part) {
                (Some(sum), Some(part)) => {
                    let chunks = sum.par_chunks_mut(CHUNK).zip(part.par_chunks(CHUNK));
                    chunks.for_each(|(sum, part)| {
                        sum.iter_mut()
                            .zip(part)
                            .for_each(|(sum, part)| *sum += part);
                    });
                }
                (sum @ None, Some(part)) => *sum = Some(part.clone()),
                (_, None) => {}
            }
        }
    }

    pub(crate) fn not_finite(&self) -> Option<f64> {
        // Counted, as a search that may stop at any number is not vectorised.
        let has_bad = |chunk: &&[f32]| chunk.iter().filter(|g| !g.is_finite()).count() > 0;
        let chunk = self
            .iter()
            .flatten()
            .find_map(|values| values.par_chunks(CHUNK).find_first(has_bad))?;
        chunk.iter().find(|g| !g.is_finite()).map(|g| f64::from(*g))
    }
}
