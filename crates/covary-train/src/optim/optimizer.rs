//! An optimizer over the networks of a run, with its state.
//!
//! With `clip` above 0 gradients are first scaled by `min(1, clip / (‖g‖ + 1e-6))`, where ‖g‖ is the norm of those of all networks
//! together: PyTorch's `clip_grad_norm_`.

use covary_kernels::Isa;
use covary_kernels::optimizer::{scale, sum_of_squares};
use covary_nn::{Layout, Network};
use rayon::prelude::*;

use super::adamw::AdamWRule;
use super::config::{OptimizerConfig, OptimizerName};
use super::groups;
use super::lars::LarsRule;
use super::muon::MuonRule;
use super::range::OptimError;
use super::rule::{Now, Part, Rule};
use super::sgd::SgdRule;
use super::spans::{Span, spans};

/// The rule of a configuration.
fn rule(config: &OptimizerConfig) -> Box<dyn Rule> {
    match config.name {
        OptimizerName::Adamw => Box::new(AdamWRule::new(config)),
        OptimizerName::Sgd => Box::new(SgdRule::new(config)),
        OptimizerName::Lars => Box::new(LarsRule::new(config)),
        OptimizerName::Muon => Box::new(MuonRule::new(config)),
    }
}

/// An optimizer over some networks, with its state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Box<dyn Rule>,
    clip: f64,
    isa: Isa,
    slots: Vec<Slot>,
}

/// Parts and state of one network.
#[derive(Debug)]
struct Slot {
    name: String,
    spans: Vec<Span>,
    /// Mean of gradients, or momentum.
    first: Vec<f32>,
    /// Mean of squared gradients, of the parts that have one.
    second: Vec<f32>,
}

impl Slot {
    fn new(config: &OptimizerConfig, rule: &dyn Rule, name: &str, layout: &Layout) -> Self {
        let spans = spans(config, rule, name, layout);
        let second = spans.iter().filter(|span| span.second);
        let second = second.map(|span| span.range.len()).sum();
        Self {
            name: name.into(),
            spans,
            first: vec![0.0; layout.len()],
            second: vec![0.0; second],
        }
    }

    /// The parts of the network's vectors and of the state.
    fn parts<'a>(
        &'a mut self,
        parameters: &'a mut [f32],
        gradients: &'a mut [f32],
    ) -> Vec<Part<'a>> {
        let (mut parameters, mut gradients) = (Rest(parameters), Rest(gradients));
        let (mut first, mut second) = (Rest(&mut self.first), Rest(&mut self.second));
        let mut parts = Vec::with_capacity(self.spans.len());
        for span in &self.spans {
            let len = span.range.len();
            parts.push(Part {
                shape: &span.shape,
                settings: span.settings,
                parameters: parameters.take(len),
                gradients: gradients.take(len),
                first: first.take(len),
                second: second.take(if span.second { len } else { 0 }),
            });
        }
        parts
    }
}

/// What is left of a flat vector whose parts are taken off one after the other.
struct Rest<'a>(&'a mut [f32]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> &'a mut [f32] {
        let (part, rest) = std::mem::take(&mut self.0).split_at_mut(len);
        self.0 = rest;
        part
    }
}

impl Optimizer {
    /// An optimizer over networks of these names and layouts.
    ///
    /// # Errors
    /// [`OptimError`] for a group of parameters that has no tensor.
    pub fn new(
        config: &OptimizerConfig,
        isa: Isa,
        networks: &[(&str, &Layout)],
    ) -> Result<Self, OptimError> {
        groups::check(&config.groups, networks)?;
        let rule = rule(config);
        let slots = networks
            .iter()
            .map(|(name, layout)| Slot::new(config, rule.as_ref(), name, layout))
            .collect();
        Ok(Self {
            rule,
            clip: config.clip,
            isa,
            slots,
        })
    }

    /// Moves the parameters of the networks by their gradients, which are cleared; `step` counts from 1. Networks are those that the
    /// optimizer was made for, in the same order.
    pub fn step(&mut self, lr: f64, step: u64, networks: &mut [(&'static str, &mut Network)]) {
        self.clip_gradients(networks);
        let now = Now {
            isa: self.isa,
            lr,
            step,
        };
        let rule = self.rule.as_ref();
        for (slot, (_, network)) in self.slots.iter_mut().zip(networks) {
            let (parameters, gradients) = network.parameters_and_gradients_mut();
            slot.parts(parameters, gradients)
                .into_par_iter()
                .with_max_len(1)
                .for_each(|part| rule.step(now, part));
        }
    }

    fn clip_gradients(&self, networks: &mut [(&'static str, &mut Network)]) {
        if self.clip == 0.0 {
            return;
        }
        let squares: f64 = networks
            .iter()
            .map(|(_, network)| sum_of_squares(network.gradients()))
            .sum();
        let factor = self.clip / (squares.sqrt() + 1e-6);
        if factor < 1.0 {
            for (_, network) in networks {
                scale(
                    self.isa,
                    factor as f32,
                    network.parameters_and_gradients_mut().1,
                );
            }
        }
    }

    /// State by name, for checkpoints.
    pub fn state(&self) -> Vec<(String, &[f32])> {
        let vectors = self.slots.iter().flat_map(|slot| {
            [
                (format!("{}.first", slot.name), slot.first.as_slice()),
                (format!("{}.second", slot.name), slot.second.as_slice()),
            ]
        });
        vectors.filter(|(_, vector)| !vector.is_empty()).collect()
    }

    /// State by name, to be restored.
    pub fn state_mut(&mut self) -> Vec<(String, &mut [f32])> {
        let vectors = self.slots.iter_mut().flat_map(|slot| {
            [
                (format!("{}.first", slot.name), slot.first.as_mut_slice()),
                (format!("{}.second", slot.name), slot.second.as_mut_slice()),
            ]
        });
        vectors.filter(|(_, vector)| !vector.is_empty()).collect()
    }
}
