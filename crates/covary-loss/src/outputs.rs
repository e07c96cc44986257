//! What a loss takes and gives: which outputs of the branches it needs, those outputs, its value by terms, and the gradients.

use rayon::prelude::*;

/// Numbers that a thread goes through at a time.
const CHUNK: usize = 1 << 14;

/// Which outputs a loss wants, for views a and b.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Online embeddings z.
    pub embedding: [bool; 2],
    /// Predictions p.
    pub prediction: [bool; 2],
    /// Embeddings of the momentum target.
    pub target: [bool; 2],
}

impl Needs {
    /// Whether a view goes through the online branch.
    pub fn online(&self, view: usize) -> bool {
        self.embedding[view] || self.prediction[view]
    }
}

/// Outputs of the branches, each `[n, d]` row by row, for views a and b.
#[derive(Debug, Clone, Copy)]
pub struct BranchOutputs<'a> {
    /// Rows, at least 2.
    pub n: usize,
    /// Width of the embedding.
    pub d: usize,
    /// Online embeddings z.
    pub embedding: [Option<&'a [f32]>; 2],
    /// Predictions p.
    pub prediction: [Option<&'a [f32]>; 2],
    /// Embeddings of the momentum target.
    pub target: [Option<&'a [f32]>; 2],
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

/// Gradients of online embeddings and predictions, `[n, d]` each, for views a and b; none where there is no dependence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputGradients {
    /// Of the online embeddings z.
    pub embedding: [Option<Vec<f32>>; 2],
    /// Of the predictions p.
    pub prediction: [Option<Vec<f32>>; 2],
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
    fn each(&self) -> impl Iterator<Item = &Option<Vec<f32>>> {
        self.embedding.iter().chain(&self.prediction)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let sums = self.embedding.iter_mut().chain(&mut self.prediction);
        for (sum, part) in sums.zip(other.each()) {
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
            .each()
            .flatten()
            .find_map(|values| values.par_chunks(CHUNK).find_first(has_bad))?;
        chunk.iter().find(|g| !g.is_finite()).map(|g| f64::from(*g))
    }
}
