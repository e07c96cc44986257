//! One training step: views through the branches, loss, gradients back, optimizer.

use std::time::Instant;

use covary_data::ViewBatch;
use covary_kernels::{Isa, optimizer};
use serde::Serialize;

use super::embedding_gradient::embedding_gradient;
use super::{Telemetry, TrainState};
use crate::TrainError;
use covary_loss::Evaluation;
use covary_loss::method::TargetOrder;

use super::forward::Forward;

/// Seconds that the phases of a step took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Encoder, projector, predictor, target: forward.
    pub forward_s: f64,
    /// Loss and its gradients.
    pub loss_s: f64,
    /// Predictor, projector, encoder: backward.
    pub backward_s: f64,
    /// Optimizer.
    pub optimizer_s: f64,
    /// Moving the target.
    pub target_s: f64,
    /// Gradients of single terms.
    pub telemetry_s: f64,
}

impl Phases {
    fn each_mut(&mut self) -> [&mut f64; 6] {
        let Self {
            forward_s,
            loss_s,
            backward_s,
            optimizer_s,
            target_s,
            telemetry_s,
        } = self;
        [
            forward_s,
            loss_s,
            backward_s,
            optimizer_s,
            target_s,
            telemetry_s,
        ]
    }

    /// Adds those of another step.
    pub fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, part) in self.each_mut().into_iter().zip(other.each_mut()) {
            *sum += *part;
        }
    }

    /// Multiplies each by a factor.
    pub fn scale(&mut self, factor: f64) {
        self.each_mut()
            .into_iter()
            .for_each(|phase| *phase *= factor);
    }
}

/// Runs a phase and adds its seconds.
fn timed<T>(seconds: &mut f64, phase: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = phase();
    *seconds += start.elapsed().as_secs_f64();
    value
}

/// What a step measured.
#[derive(Debug, Clone)]
pub struct StepReport {
    /// Steps taken, this one included.
    pub step: u64,
    /// Learning rate of this step.
    pub lr: f64,
    /// The loss and its terms.
    pub evaluation: Evaluation,
    /// Where the time went.
    pub phases: Phases,
    /// What the terms do to the networks, where it was asked for.
    pub telemetry: Option<Telemetry>,
}

impl TrainState {
    /// The share of all steps that were taken, by which weights and sizes move that have a schedule.
    pub fn progress(&self) -> f64 {
        self.step as f64 / self.total_steps.max(1) as f64
    }

    /// Takes one step on a batch, whose groups of views are as [`covary_data::Loader::fill`] makes them. What is measured with `telemetry`
    /// changes nothing in the step.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] naming term and step where a number is not one; the parameters are then as before the step.
    pub fn train_step(
        &mut self,
        views: &[ViewBatch],
        telemetry: bool,
    ) -> Result<StepReport, TrainError> {
        let mut phases = Phases::default();
        if self.target_order == TargetOrder::BeforeForward {
            timed(&mut phases.target_s, || self.move_target());
        }
        let (evaluation, telemetry) = self.forward_backward(views, telemetry, &mut phases)?;
        let lr = self.schedule.lr(self.step);
        timed(&mut phases.optimizer_s, || {
            self.optimizer
                .step(lr, self.step + 1, &mut self.model.trained_mut());
            if let Some(average) = &mut self.average {
                let networks = &mut self.model.trained_mut();
                average.update(self.step + 1, self.total_steps, networks);
            }
        });
        if self.target_order == TargetOrder::AfterStep {
            timed(&mut phases.target_s, || self.move_target());
        }
        self.step += 1;
        Ok(StepReport {
            step: self.step,
            lr,
            evaluation,
            phases,
            telemetry,
        })
    }

    /// The loss of a batch, with its gradients added to those of the networks.
    fn forward_backward(
        &mut self,
        views: &[ViewBatch],
        telemetry: bool,
        phases: &mut Phases,
    ) -> Result<(Evaluation, Option<Telemetry>), TrainError> {
        let needs = self.objective.needs();
        let progress = self.progress();
        let model = &mut self.model;
        let forward = timed(&mut phases.forward_s, || {
            Forward::pass(model, views, &needs)
        });
        let outputs = forward.outputs(&needs, model.projector.output_width());
        let objective = &mut self.objective;
        let evaluation = timed(&mut phases.loss_s, || {
            objective.evaluate(&outputs, progress)
        })
        .map_err(|error| TrainError::of_loss(error, self.step + 1))?;
        let mut telemetry = telemetry.then(|| {
            timed(&mut phases.telemetry_s, || {
                Telemetry::measure(objective, model, &evaluation, &outputs, &forward.h)
            })
        });

        let start = Instant::now();
        let dz = embedding_gradient(&evaluation.gradients, &outputs, &mut |dp| {
            model
                .predictor
                .as_mut()
                .map(|predictor| predictor.backward(dp))
        });
        let dh = model.projector.backward(&dz);
        if let Some((telemetry, Some(remainder))) = &mut telemetry {
            telemetry.complete(remainder, &dh);
        }
        let mut rest = dh.as_slice();
        for &(group, len) in &forward.h_of_groups {
            let (own, behind) = rest.split_at(len);
            model.encoder.backward_group(group, own);
            rest = behind;
        }
        phases.backward_s += start.elapsed().as_secs_f64();
        Ok((evaluation, telemetry.map(|(telemetry, _)| telemetry)))
    }

    /// `target = decay * target + (1 - decay) * online`, parameters only.
    fn move_target(&mut self) {
        let Some(target) = &mut self.model.target else {
            return;
        };
        let decay = self.target_decay.decay(self.step);
        let isa: Isa = self.isa;
        optimizer::ema(
            isa,
            target.encoder.parameters_mut(),
            self.model.encoder.parameters(),
            decay as f32,
        );
        optimizer::ema(
            isa,
            target.projector.parameters_mut(),
            self.model.projector.parameters(),
            decay as f32,
        );
    }
}
