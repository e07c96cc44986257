//! From outputs of the branches to loss, terms and gradients.

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::{LossError, Scope, Term};
use crate::method::{BranchConfig, Directions, MethodConfig, PredictorKind, TargetKind};

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

/// A loss with its gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The loss.
    pub total: f64,
    /// Its terms; one of weight 0 is measured and gives no gradient.
    pub terms: Vec<TermValue>,
    /// Gradients of the online embeddings, `[n, d]`; none where the loss does not depend on them.
    pub embedding_gradient: [Option<Vec<f32>>; 2],
    /// Gradients of the predictions.
    pub prediction_gradient: [Option<Vec<f32>>; 2],
}

/// A term and its place in the loss.
#[derive(Debug)]
pub(super) struct WeightedTerm {
    pub(super) name: String,
    pub(super) weight: f64,
    /// One for each direction, as each keeps a state of its own; a single one for terms over the views.
    pub(super) directions: Vec<Box<dyn Term>>,
}

/// A loss, with what its terms keep between steps.
#[derive(Debug)]
pub struct Objective {
    pub(super) branches: BranchConfig,
    pub(super) has_predictor: bool,
    pub(super) has_target: bool,
    pub(super) terms: Vec<WeightedTerm>,
    device: Device,
}

/// The leaves of one evaluation's graph.
struct Leaves {
    embedding: [Option<Tensor<2>>; 2],
    prediction: [Option<Tensor<2>>; 2],
    target: [Option<Tensor<2>>; 2],
}

impl Objective {
    /// The loss of a method.
    ///
    /// # Errors
    /// [`LossError::Settings`] where a term's settings make none.
    pub fn new(method: &MethodConfig) -> Result<Self, LossError> {
        let terms = method.terms.iter().map(|(name, config)| {
            let build = || {
                config.build().map_err(|reason| LossError::Settings {
                    term: name.clone(),
                    reason,
                })
            };
            let mut directions = vec![build()?];
            if method.branches.symmetric && directions[0].scope() == Scope::Pair {
                directions.push(build()?);
            }
            Ok(WeightedTerm {
                name: name.clone(),
                weight: config.weight,
                directions,
            })
        });
        Ok(Self {
            branches: method.branches.clone(),
            has_predictor: method.predictor.kind != PredictorKind::None,
            has_target: method.target.kind == TargetKind::Momentum,
            terms: terms.collect::<Result<_, _>>()?,
            device: Device::flex().autodiff(),
        })
    }

    /// Which outputs it wants.
    pub fn needs(&self) -> Needs {
        let both = self.branches.symmetric;
        let first = [true, both];
        let second = [both, true];
        // Without a target of its own, the other view's online embedding is what a view is compared with.
        let embedding = if self.has_target { first } else { [true, true] };
        Needs {
            embedding,
            prediction: if self.has_predictor {
                first
            } else {
                [false; 2]
            },
            target: if self.has_target { second } else { [false; 2] },
        }
    }

    /// Loss, terms and gradients of a batch; moves what the terms keep between steps.
    ///
    /// # Errors
    /// [`LossError::TooFewRows`], [`LossError::Shape`], [`LossError::State`] where a term's state is of another width, and
    /// [`LossError::NotFinite`] naming the first term that is not a number.
    pub fn evaluate(&mut self, outputs: &BranchOutputs<'_>) -> Result<Evaluation, LossError> {
        if outputs.n < 2 {
            return Err(LossError::TooFewRows { rows: outputs.n });
        }
        let leaves = self.leaves(outputs)?;
        let pairs = self.pairs(&leaves);
        let online: Vec<_> = leaves.embedding.iter().flatten().cloned().collect();
        let mut terms = Vec::with_capacity(self.terms.len());
        let mut total: Option<Tensor<1>> = None;
        for term in &mut self.terms {
            term.check_state(outputs.d)?;
            let value = term.evaluate(&online, &pairs, self.branches.directions);
            let number = f64::from(scalar(value.clone()));
            if !number.is_finite() {
                return Err(LossError::NotFinite {
                    term: term.name.clone(),
                    value: number,
                });
            }
            terms.push(TermValue {
                name: term.name.clone(),
                value: number,
                weight: term.weight,
                weighted: term.weight * number,
            });
            if term.weight != 0.0 {
                let weighted = value * (term.weight as f32);
                total = Some(match total {
                    Some(total) => total + weighted,
                    None => weighted,
                });
            }
        }
        let mut gradients = total
            .filter(Tensor::is_tracked)
            .map(|total| total.backward());
        let mut take = |leaves: &[Option<Tensor<2>>; 2]| {
            leaves
                .clone()
                .map(|leaf| gradient(leaf, gradients.as_mut()))
        };
        Ok(Evaluation {
            total: terms.iter().map(|term| term.weighted).sum(),
            terms,
            embedding_gradient: take(&leaves.embedding),
            prediction_gradient: take(&leaves.prediction),
        })
    }

    fn leaves(&self, outputs: &BranchOutputs<'_>) -> Result<Leaves, LossError> {
        let BranchOutputs { n, d, .. } = *outputs;
        let needs = self.needs();
        let leaf = |what: &'static str,
                    view: usize,
                    needed: bool,
                    values: Option<&[f32]>,
                    tracked: bool| {
            if !needed {
                return Ok(None);
            }
            let values = values.unwrap_or_default();
            if values.len() != n * d {
                let view = if view == 0 { 'a' } else { 'b' };
                return Err(LossError::Shape {
                    what,
                    view,
                    found: values.len(),
                    expected: n * d,
                });
            }
            let tensor =
                Tensor::<2>::from_data(TensorData::new(values.to_vec(), [n, d]), &self.device);
            Ok(Some(if tracked {
                tensor.require_grad()
            } else {
                tensor
            }))
        };
        let both = |what, needed: [bool; 2], values: [Option<&[f32]>; 2], tracked| {
            Ok([
                leaf(what, 0, needed[0], values[0], tracked)?,
                leaf(what, 1, needed[1], values[1], tracked)?,
            ])
        };
        Ok(Leaves {
            embedding: both("embedding", needs.embedding, outputs.embedding, true)?,
            prediction: both("prediction", needs.prediction, outputs.prediction, true)?,
            target: both("target", needs.target, outputs.target, false)?,
        })
    }

    /// `[x, y]` of each direction.
    fn pairs(&self, leaves: &Leaves) -> Vec<[Tensor<2>; 2]> {
        let x = if self.has_predictor {
            &leaves.prediction
        } else {
            &leaves.embedding
        };
        let y = if self.has_target {
            &leaves.target
        } else {
            &leaves.embedding
        };
        let direction = |from: usize| {
            let (x, y) = (x[from].clone()?, y[1 - from].clone()?);
            Some([
                x,
                if self.branches.stop_gradient {
                    y.detach()
                } else {
                    y
                },
            ])
        };
        let both = if self.branches.symmetric { 2 } else { 1 };
        (0..both).filter_map(direction).collect()
    }

    /// What the terms keep between steps, by term; that of the direction from b to a is `TERM.b-to-a`.
    pub fn state(&self) -> Vec<(String, Vec<f32>)> {
        let states = self.terms.iter().flat_map(|term| {
            let directions = term.directions.iter().zip(["", ".b-to-a"]);
            directions.filter_map(|(direction, suffix)| {
                Some((format!("{}{suffix}", term.name), direction.state()?))
            })
        });
        states.collect()
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// [`LossError::State`] for a term that is missing or does not exist, or a state that does not fit.
    pub fn load_state(&mut self, mut state: BTreeMap<String, Vec<f32>>) -> Result<(), LossError> {
        for term in &mut self.terms {
            for (direction, suffix) in term.directions.iter_mut().zip(["", ".b-to-a"]) {
                if direction.state().is_none() {
                    continue;
                }
                let name = format!("{}{suffix}", term.name);
                let values = state
                    .remove(&name)
                    .ok_or_else(|| LossError::State(format!("{name} is missing")))?;
                direction
                    .load_state(values)
                    .map_err(|reason| LossError::State(format!("{name}: {reason}")))?;
            }
        }
        match state.into_keys().next() {
            Some(name) => Err(LossError::State(format!(
                "no term keeps a state called {name}"
            ))),
            None => Ok(()),
        }
    }
}

impl WeightedTerm {
    /// Its value on the online embeddings or on the pairs of the directions.
    fn evaluate(
        &mut self,
        online: &[Tensor<2>],
        pairs: &[[Tensor<2>; 2]],
        how: Directions,
    ) -> Tensor<1> {
        let is_measured_only = self.weight == 0.0;
        let arguments = |z: &[Tensor<2>]| -> Vec<Tensor<2>> {
            let z = z.iter().cloned();
            if is_measured_only {
                z.map(Tensor::detach).collect()
            } else {
                z.collect()
            }
        };
        if self.directions[0].scope() == Scope::Views {
            return self.directions[0].evaluate(&arguments(online));
        }
        let values = self.directions.iter_mut().zip(pairs);
        let sum = values
            .map(|(direction, pair)| direction.evaluate(&arguments(pair)))
            .reduce(|a, b| a + b)
            .expect("there is a direction");
        match how {
            Directions::Mean => sum / pairs.len() as f32,
            Directions::Sum => sum,
        }
    }

    fn check_state(&self, d: usize) -> Result<(), LossError> {
        let mut directions = self.directions.iter();
        directions
            .try_for_each(|direction| direction.check_state(d))
            .map_err(|reason| LossError::State(format!("{}: {reason}", self.name)))
    }
}

fn gradient(leaf: Option<Tensor<2>>, gradients: Option<&mut Gradients>) -> Option<Vec<f32>> {
    let gradient = leaf?.grad_remove(gradients?)?;
    Some(numbers(gradient))
}

fn scalar(value: Tensor<1>) -> f32 {
    value
        .into_data()
        .try_to_vec::<f32>()
        .expect("losses are f32")[0]
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .expect("losses are f32")
}
