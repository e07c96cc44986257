//! One term of a loss: its weight, the graph that it is evaluated in, and the gradients that come out of that.

use burn::tensor::{Device, Tensor, TensorData};

use crate::branches::{Branch, Branches};
use crate::error::LossError;
use crate::method::{Directions, WeightSchedule};
use crate::normalise::Normalised;
use crate::outputs::{OutputGradients, TermValue};
use crate::term::{Scope, Term};
use crate::wiring::Wiring;

/// A term and its place in the loss.
#[derive(Debug)]
pub(super) struct WeightedTerm {
    pub(super) name: String,
    pub(super) weight: f64,
    pub(super) schedule: Option<WeightSchedule>,
    /// The argument that lets no gradient through.
    pub(super) stopped: Option<usize>,
    /// One for each view that is an x, as each keeps a state of its own; a single one for terms over the views.
    pub(super) directions: Vec<Box<dyn Term>>,
}

/// Outputs of the branches as the terms see them, normalised, outside of any graph.
pub(super) struct Inputs {
    pub(super) n: usize,
    pub(super) d: usize,
    pub(super) branches: Branches<Option<Normalised>>,
}

/// The leaves of one term's graph.
type Leaves = Branches<Option<Tensor<2>>>;

/// A term's value on some of the outputs, which counts as many times as `pairs` says.
struct Part {
    value: Tensor<1>,
    pairs: usize,
}

impl WeightedTerm {
    /// Its value, and the gradients of it times its weight.
    pub(super) fn gradients(
        &mut self,
        wiring: &Wiring,
        inputs: &Inputs,
        progress: f64,
        device: &Device,
    ) -> Result<(TermValue, OutputGradients), LossError> {
        let weight = self.weight_at(progress);
        let leaves = inputs.leaves(weight != 0.0, device);
        self.check_state(inputs.d)?;
        let tensor = self.evaluate(wiring, &leaves);
        let value = f64::from(scalar(tensor.clone()));
        let not_finite = |value| LossError::NotFinite {
            term: self.name.clone(),
            value,
        };
        if !value.is_finite() {
            return Err(not_finite(value));
        }
        let mut gradients = OutputGradients::none(wiring.views.all);
        if tensor.is_tracked() && weight != 0.0 {
            let mut found = (tensor * weight as f32).backward();
            gradients = Branches::from_fn(wiring.views.all, |branch, view| {
                let leaf = leaves.of(branch)[view].as_ref()?;
                let gradient = numbers(leaf.grad_remove(&mut found)?);
                let input = inputs.branches.of(branch)[view].as_ref()?;
                Some(input.backward(gradient))
            });
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

    fn evaluate(&mut self, wiring: &Wiring, leaves: &Leaves) -> Tensor<1> {
        let online = || leaves.embedding.iter().flatten().cloned().collect();
        match self.directions[0].scope() {
            Scope::Views => {
                let views = self.stop(online());
                self.directions[0].evaluate(&views)
            }
            Scope::X => combined(self.of_each_x(wiring, leaves), wiring),
            Scope::Pair => {
                if wiring.all_meet() && self.stopped.is_none() {
                    let views: Vec<_> = online();
                    if let Some(value) = self.directions[0].among(&views) {
                        let pairs = wiring.pairs().len();
                        return combined(vec![Part { value, pairs }], wiring);
                    }
                }
                combined(self.of_each_pair(wiring, leaves), wiring)
            }
        }
    }

    fn of_each_x(&mut self, wiring: &Wiring, leaves: &Leaves) -> Vec<Part> {
        let pairs = wiring.pairs();
        let mut parts = Vec::new();
        for of_x in pairs.chunk_by(|one, other| one.0 == other.0) {
            let x = self.stop(vec![output(leaves, wiring.x(), of_x[0].0)]);
            let value = self.directions[parts.len()].evaluate(&x);
            parts.push(Part {
                value,
                pairs: of_x.len(),
            });
        }
        parts
    }

    fn of_each_pair(&mut self, wiring: &Wiring, leaves: &Leaves) -> Vec<Part> {
        // Where x and y may change places, one of both orders is enough.
        let one_order = wiring.all_meet()
            && self.stopped.is_none()
            && self.directions[0].invariances().exchange;
        let mut parts = Vec::new();
        let pairs = wiring.pairs();
        for (direction, of_x) in pairs.chunk_by(|one, other| one.0 == other.0).enumerate() {
            for &(x, y) in of_x.iter().filter(|(x, y)| !one_order || x < y) {
                let pair = self.stop(vec![
                    output(leaves, wiring.x(), x),
                    output(leaves, wiring.y(), y),
                ]);
                let value = self.directions[direction].evaluate(&pair);
                let pairs = if one_order { 2 } else { 1 };
                parts.push(Part { value, pairs });
            }
        }
        parts
    }

    /// The arguments, without the gradient of the one that lets none through.
    fn stop(&self, mut arguments: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        if let Some(stopped) = self.stopped.and_then(|stopped| arguments.get_mut(stopped)) {
            *stopped = stopped.clone().detach();
        }
        arguments
    }

    fn check_state(&self, d: usize) -> Result<(), LossError> {
        let mut directions = self.directions.iter();
        directions
            .try_for_each(|direction| direction.check_state(d))
            .map_err(|reason| LossError::State(format!("{}: {reason}", self.name)))
    }
}

/// The term's value from its parts: their mean over the pairs, or what the two-view loss sums.
fn combined(parts: Vec<Part>, wiring: &Wiring) -> Tensor<1> {
    let all: usize = parts.iter().map(|part| part.pairs).sum();
    let count = parts.len();
    let is_even = parts.iter().all(|part| part.pairs * count == all);
    let sum = parts
        .into_iter()
        .map(|part| {
            if is_even {
                part.value
            } else {
                part.value * part.pairs as f32
            }
        })
        .reduce(|a, b| a + b)
        .expect("there is a pair");
    let divisor = if is_even { count } else { all };
    match wiring.directions {
        Directions::Sum if wiring.factor() == divisor => sum,
        Directions::Sum => sum * (wiring.factor() as f32 / divisor as f32),
        Directions::Mean => sum / divisor as f32,
    }
}

fn output(leaves: &Leaves, branch: Branch, view: usize) -> Tensor<2> {
    let leaf = leaves.of(branch)[view].as_ref();
    leaf.expect("what a pair needs is there").clone()
}

impl Inputs {
    /// Leaves of a graph, of the online outputs with gradients where `tracked`.
    fn leaves(&self, tracked: bool, device: &Device) -> Leaves {
        let shape = [self.n, self.d];
        let views = self.branches.embedding.len();
        Branches::from_fn(views, |branch, view| {
            let input = self.branches.of(branch)[view].as_ref()?;
            let data = TensorData::new(input.values().to_vec(), shape);
            let tensor = Tensor::<2>::from_data(data, device);
            Some(if tracked && branch != Branch::Target {
                tensor.require_grad()
            } else {
                tensor
            })
        })
    }
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
