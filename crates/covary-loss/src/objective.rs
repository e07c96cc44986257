//! From outputs of the branches to loss, terms and gradients.

use std::collections::BTreeMap;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::error::LossError;
use crate::method::{
    BranchConfig, MethodConfig, Normalise, PredictorKind, StopGradient, TargetKind,
};
use crate::normalise::Normalised;
use crate::outputs::{BranchOutputs, Evaluation, Needs, OutputGradients};
use crate::term::Scope;
use crate::weighted::{Inputs, WeightedTerm, Wiring};

/// A loss, with what its terms keep between steps.
#[derive(Debug)]
pub struct Objective {
    pub(super) branches: BranchConfig,
    pub(super) has_predictor: bool,
    pub(super) has_target: bool,
    pub(super) normalise: Normalise,
    pub(super) terms: Vec<WeightedTerm>,
    device: Device,
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
            let scope = directions[0].scope();
            if method.branches.symmetric && scope == Scope::Pair {
                directions.push(build()?);
            }
            let stopped = match (&config.stop_gradient, scope) {
                (Some(argument), _) => scope.arguments().iter().position(|name| name == argument),
                (None, Scope::Views) => None,
                (None, Scope::Pair) => match method.branches.stop_gradient {
                    StopGradient::None => None,
                    StopGradient::X => Some(0),
                    StopGradient::Y => Some(1),
                },
            };
            Ok(WeightedTerm {
                name: name.clone(),
                hinge: config.hinge(),
                weight: config.weight,
                schedule: config.schedule,
                stopped,
                directions,
            })
        });
        Ok(Self {
            branches: method.branches.clone(),
            has_predictor: method.predictor.kind != PredictorKind::None,
            has_target: method.target.kind == TargetKind::Momentum,
            normalise: method.embedding.normalise,
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

    /// Loss, terms and gradients of a batch; moves what the terms keep between steps. `progress` is the share of all steps that were
    /// taken, by which weights move that have a schedule.
    ///
    /// # Errors
    /// [`LossError::TooFewRows`], [`LossError::Shape`], [`LossError::State`] where a term's state is of another width, and
    /// [`LossError::NotFinite`] naming the first term whose value or gradient is not a number.
    pub fn evaluate(
        &mut self,
        outputs: &BranchOutputs<'_>,
        progress: f64,
    ) -> Result<Evaluation, LossError> {
        if outputs.n < 2 {
            return Err(LossError::TooFewRows { rows: outputs.n });
        }
        let inputs = self.inputs(outputs)?;
        let mut evaluation = Evaluation {
            total: 0.0,
            terms: Vec::with_capacity(self.terms.len()),
            gradients: OutputGradients::default(),
            term_gradients: Vec::with_capacity(self.terms.len()),
        };
        let wiring = self.wiring();
        let device = &self.device;
        // Each term has a graph of its own, most of which is worked through by one thread.
        let found: Vec<_> = self
            .terms
            .par_iter_mut()
            .map(|term| term.gradients(wiring, &inputs, progress, device))
            .collect();
        for found in found {
            let (value, gradients) = found?;
            evaluation.total += value.weighted;
            evaluation.terms.push(value);
            evaluation.gradients.add(&gradients);
            evaluation.term_gradients.push(gradients);
        }
        Ok(evaluation)
    }

    fn wiring(&self) -> Wiring {
        Wiring {
            symmetric: self.branches.symmetric,
            directions: self.branches.directions,
            has_predictor: self.has_predictor,
            has_target: self.has_target,
        }
    }

    fn inputs(&self, outputs: &BranchOutputs<'_>) -> Result<Inputs, LossError> {
        let BranchOutputs { n, d, .. } = *outputs;
        let needs = self.needs();
        let one = |what, view: usize, needed: [bool; 2], values: [Option<&[f32]>; 2]| {
            if !needed[view] {
                return Ok(None);
            }
            let values = values[view].unwrap_or_default();
            if values.len() != n * d {
                return Err(LossError::Shape {
                    what,
                    view: ['a', 'b'][view],
                    found: values.len(),
                    expected: n * d,
                });
            }
            Normalised::new(self.normalise, values, d).map(Some)
        };
        let both = |what: &'static str, needed, values| {
            Ok::<_, LossError>([one(what, 0, needed, values)?, one(what, 1, needed, values)?])
        };
        Ok(Inputs {
            n,
            d,
            embedding: both("embedding", needs.embedding, outputs.embedding)?,
            prediction: both("prediction", needs.prediction, outputs.prediction)?,
            target: both("target", needs.target, outputs.target)?,
        })
    }

    /// γ of the first weighted variance hinge.
    pub fn hinge(&self) -> Option<f64> {
        let mut weighted = self.terms.iter().filter(|term| term.weight != 0.0);
        weighted.find_map(|term| term.hinge)
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
