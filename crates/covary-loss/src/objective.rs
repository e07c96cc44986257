//! From outputs of the branches to loss, terms and gradients.

use std::collections::BTreeMap;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::branches::{Branches, ViewCount, view_name};
use crate::error::LossError;
use crate::method::{MethodConfig, Normalise, StopGradient};
use crate::normalise::Normalised;
use crate::outputs::{BranchOutputs, Evaluation, Needs, OutputGradients};
use crate::term::{Scope, Term};
use crate::weighted::{Inputs, WeightedTerm};
use crate::wiring::Wiring;

/// A loss, with what its terms keep between steps.
#[derive(Debug)]
pub struct Objective {
    pub(super) wiring: Wiring,
    /// Which side of the pairs lets no gradient through, where a term does not say otherwise.
    pub(super) stop_gradient: StopGradient,
    pub(super) normalise: Normalise,
    pub(super) terms: Vec<WeightedTerm>,
    device: Device,
}

impl Objective {
    /// The loss of a method on two views.
    ///
    /// # Errors
    /// [`LossError::Settings`] where a term's settings make none.
    pub fn new(method: &MethodConfig) -> Result<Self, LossError> {
        Self::of_views(method, ViewCount::PAIR)
    }

    /// The loss of a method on any number of views: for more than two the mean of its two-view loss over the pairs.
    ///
    /// # Errors
    /// [`LossError::Settings`] where a term's settings make none, [`LossError::Views`] for fewer than two views.
    pub fn of_views(method: &MethodConfig, views: ViewCount) -> Result<Self, LossError> {
        if views.all < 2 || !(1..=views.all).contains(&views.first) {
            return Err(LossError::Views {
                first: views.first,
                all: views.all,
            });
        }
        let wiring = Wiring::new(method, views);
        let terms = method.terms.iter().map(|(name, config)| {
            let build = || {
                config.build().map_err(|reason| LossError::Settings {
                    term: name.clone(),
                    reason,
                })
            };
            let mut directions = vec![build()?];
            let scope = directions[0].scope();
            if scope != Scope::Views {
                for _ in 1..wiring.sources() {
                    directions.push(build()?);
                }
            }
            let stopped = match (&config.stop_gradient, scope) {
                (Some(argument), _) => scope.arguments().iter().position(|name| name == argument),
                (None, Scope::Views) => None,
                (None, Scope::Pair | Scope::X) => match method.branches.stop_gradient {
                    StopGradient::None => None,
                    StopGradient::X => Some(0),
                    StopGradient::Y => Some(1),
                },
            };
            Ok(WeightedTerm {
                name: name.clone(),
                weight: config.weight,
                schedule: config.schedule,
                stopped,
                directions,
            })
        });
        Ok(Self {
            stop_gradient: method.branches.stop_gradient,
            normalise: method.embedding.normalise,
            terms: terms.collect::<Result<_, _>>()?,
            device: Device::flex().autodiff(),
            wiring,
        })
    }

    /// Adds a term that is defined outside of this crate; `build` makes one for each direction, as each keeps a state of its own.
    #[must_use]
    pub fn with_term<T: Term + 'static>(
        mut self,
        name: &str,
        weight: f64,
        build: impl Fn() -> T,
    ) -> Self {
        let directions = match build().scope() {
            Scope::Views => 1,
            Scope::Pair | Scope::X => self.wiring.sources(),
        };
        let boxed = |_| Box::new(build()) as Box<dyn Term>;
        self.terms.push(WeightedTerm {
            name: name.into(),
            weight,
            schedule: None,
            stopped: None,
            directions: (0..directions).map(boxed).collect(),
        });
        self
    }

    /// Which outputs it wants.
    pub fn needs(&self) -> Needs {
        self.wiring.needs()
    }

    /// How many views it compares.
    pub fn views(&self) -> ViewCount {
        self.wiring.views
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
            gradients: OutputGradients::none(self.wiring.views.all),
            term_gradients: Vec::with_capacity(self.terms.len()),
        };
        let wiring = &self.wiring;
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

    fn inputs(&self, outputs: &BranchOutputs<'_>) -> Result<Inputs, LossError> {
        let (n, d) = (outputs.n, outputs.d);
        let needs = self.needs();
        let normalised = Branches::from_fn(self.wiring.views.all, |branch, view| {
            if !needs.of(branch)[view] {
                return Ok(None);
            }
            let values = outputs.branches.of(branch).get(view).copied().flatten();
            let values = values.unwrap_or_default();
            if values.len() != n * d {
                return Err(LossError::Shape {
                    what: branch.name(),
                    view: view_name(view),
                    found: values.len(),
                    expected: n * d,
                });
            }
            Normalised::new(self.normalise, values, d).map(Some)
        });
        Ok(Inputs {
            n,
            d,
            branches: Branches {
                embedding: normalised.embedding.into_iter().collect::<Result<_, _>>()?,
                prediction: normalised
                    .prediction
                    .into_iter()
                    .collect::<Result<_, _>>()?,
                target: normalised.target.into_iter().collect::<Result<_, _>>()?,
            },
        })
    }

    /// γ of the first weighted variance hinge.
    pub fn hinge(&self) -> Option<f64> {
        let mut weighted = self.terms.iter().filter(|term| term.weight != 0.0);
        weighted.find_map(|term| term.directions[0].hinge())
    }

    /// The name that the state of a term's direction is kept under.
    fn state_name(&self, term: &WeightedTerm, direction: usize) -> String {
        let name = &term.name;
        match direction {
            0 => name.clone(),
            _ if self.wiring.views.is_pair() => format!("{name}.b-to-a"),
            _ => format!("{name}.of-{}", view_name(direction)),
        }
    }

    /// What the terms keep between steps, by term. Where there are two views, that of the direction from b to a is `TERM.b-to-a`; where
    /// there are more, that of the second view that is an x is `TERM.of-b`, of the third `TERM.of-c`, and so on.
    pub fn state(&self) -> Vec<(String, Vec<f32>)> {
        let states = self.terms.iter().flat_map(|term| {
            let directions = term.directions.iter().enumerate();
            directions
                .filter_map(|(at, direction)| Some((self.state_name(term, at), direction.state()?)))
        });
        states.collect()
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// [`LossError::State`] for a term that is missing or does not exist, or a state that does not fit.
    pub fn load_state(&mut self, mut state: BTreeMap<String, Vec<f32>>) -> Result<(), LossError> {
        for index in 0..self.terms.len() {
            for at in 0..self.terms[index].directions.len() {
                let name = self.state_name(&self.terms[index], at);
                let direction = &mut self.terms[index].directions[at];
                if direction.state().is_none() {
                    continue;
                }
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
