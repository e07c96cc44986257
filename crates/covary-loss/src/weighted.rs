//! One term of a loss: its weight, the graph that it is evaluated in, and the gradients that come out of that.

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::error::LossError;
use crate::method::{Directions, WeightSchedule};
use crate::normalise::Normalised;
use crate::outputs::{OutputGradients, TermValue};
use crate::term::{Scope, Term};

/// A term and its place in the loss.
#[derive(Debug)]
pub(super) struct WeightedTerm {
    pub(super) name: String,
    /// γ of a variance hinge.
    pub(super) hinge: Option<f64>,
    pub(super) weight: f64,
    pub(super) schedule: Option<WeightSchedule>,
    /// The argument that lets no gradient through.
    pub(super) stopped: Option<usize>,
    /// One for each direction, as each keeps a state of its own; a single one for terms over the views.
    pub(super) directions: Vec<Box<dyn Term>>,
}

/// Which outputs of the branches are compared with which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wiring {
    pub(super) symmetric: bool,
    pub(super) directions: Directions,
    pub(super) has_predictor: bool,
    pub(super) has_target: bool,
}

/// Outputs of the branches as the terms see them, normalised, outside of any graph.
pub(super) struct Inputs {
    pub(super) n: usize,
    pub(super) d: usize,
    pub(super) embedding: [Option<Normalised>; 2],
    pub(super) prediction: [Option<Normalised>; 2],
    pub(super) target: [Option<Normalised>; 2],
}

/// The leaves of one term's graph.
struct Leaves {
    embedding: [Option<Tensor<2>>; 2],
    prediction: [Option<Tensor<2>>; 2],
    target: [Option<Tensor<2>>; 2],
}

impl Wiring {
    /// `[x, y]` of each direction.
    fn pairs(self, leaves: &Leaves) -> Vec<[Tensor<2>; 2]> {
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
        let direction = |from: usize| Some([x[from].clone()?, y[1 - from].clone()?]);
        let both = if self.symmetric { 2 } else { 1 };
        (0..both).filter_map(direction).collect()
    }
}

impl WeightedTerm {
    /// Its value, and the gradients of it times its weight.
    pub(super) fn gradients(
        &mut self,
        wiring: Wiring,
        inputs: &Inputs,
        progress: f64,
        device: &Device,
    ) -> Result<(TermValue, OutputGradients), LossError> {
        let weight = self.weight_at(progress);
        let leaves = inputs.leaves(weight != 0.0, device);
        let pairs = wiring.pairs(&leaves);
        let online: Vec<_> = leaves.embedding.iter().flatten().cloned().collect();
        self.check_state(inputs.d)?;
        let tensor = self.evaluate(&online, &pairs, wiring.directions);
        let value = f64::from(scalar(tensor.clone()));
        let not_finite = |value| LossError::NotFinite {
            term: self.name.clone(),
            value,
        };
        if !value.is_finite() {
            return Err(not_finite(value));
        }
        let mut gradients = OutputGradients::default();
        if tensor.is_tracked() && weight != 0.0 {
            let mut found = (tensor * weight as f32).backward();
            gradients = OutputGradients {
                embedding: input_gradients(&inputs.embedding, leaves.embedding, &mut found),
                prediction: input_gradients(&inputs.prediction, leaves.prediction, &mut found),
            };
            if let Some(bad) = gradients.not_finite() {
                return Err(not_finite(bad));
            }
        }
        let value = TermValue {
            name: self.name.clone(),
            value,
            weight,
            weighted: weight * value,
        };
        Ok((value, gradients))
    }

    /// Its weight when `progress` of all steps are taken.
    fn weight_at(&self, progress: f64) -> f64 {
        self.schedule.map_or(self.weight, |schedule| {
            schedule.weight(self.weight, progress)
        })
    }

    /// Its value on the online embeddings or on the pairs of the directions.
    fn evaluate(
        &mut self,
        online: &[Tensor<2>],
        pairs: &[[Tensor<2>; 2]],
        how: Directions,
    ) -> Tensor<1> {
        let stopped = self.stopped;
        let arguments = |z: &[Tensor<2>]| -> Vec<Tensor<2>> {
            let stop = |(index, z): (usize, &Tensor<2>)| {
                if stopped == Some(index) {
                    z.clone().detach()
                } else {
                    z.clone()
                }
            };
            z.iter().enumerate().map(stop).collect()
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

impl Inputs {
    /// Leaves of a graph, of the online outputs with gradients where `tracked`.
    fn leaves(&self, tracked: bool, device: &Device) -> Leaves {
        let shape = [self.n, self.d];
        let leaf = |input: &Option<Normalised>, tracked: bool| {
            let data = TensorData::new(input.as_ref()?.values().to_vec(), shape);
            let tensor = Tensor::<2>::from_data(data, device);
            Some(if tracked {
                tensor.require_grad()
            } else {
                tensor
            })
        };
        let both = |inputs: &[Option<Normalised>; 2], tracked| {
            [leaf(&inputs[0], tracked), leaf(&inputs[1], tracked)]
        };
        Leaves {
            embedding: both(&self.embedding, tracked),
            prediction: both(&self.prediction, tracked),
            target: both(&self.target, false),
        }
    }
}

/// Gradients of what came in from those of the leaves.
fn input_gradients(
    inputs: &[Option<Normalised>; 2],
    leaves: [Option<Tensor<2>>; 2],
    found: &mut Gradients,
) -> [Option<Vec<f32>>; 2] {
    let [a, b] = leaves;
    let mut one = |input: &Option<Normalised>, leaf: Option<Tensor<2>>| {
        let gradient = numbers(leaf?.grad_remove(found)?);
        Some(input.as_ref()?.backward(gradient))
    };
    [one(&inputs[0], a), one(&inputs[1], b)]
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
        .try_into_vec::<f32>()
        .expect("losses are f32")
}
