//! One training step: views through the branches, loss, gradients back, optimizer.

use std::time::Instant;

use covary_kernels::{Isa, optimizer};
use serde::Serialize;

use super::{Telemetry, TrainState};
use crate::TrainError;
use covary_loss::method::TargetOrder;
use covary_loss::{BranchOutputs, Evaluation, OutputGradients};

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
    /// Takes one step on a batch: `views` holds view a of all n images, then view b (`[2 * n, h, w, 3]`, normalised). What is measured
    /// with `telemetry` changes nothing in the step.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] naming term and step where a number is not one; the parameters are then as before the step.
    pub fn train_step(&mut self, views: &[f32], telemetry: bool) -> Result<StepReport, TrainError> {
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
        views: &[f32],
        telemetry: bool,
        phases: &mut Phases,
    ) -> Result<(Evaluation, Option<Telemetry>), TrainError> {
        let start = Instant::now();
        let needs = self.objective.needs();
        let (a, b) = views.split_at(views.len() / 2);
        let online_views = usize::from(needs.online(0)) + usize::from(needs.online(1));
        let online = match (needs.online(0), needs.online(1)) {
            (true, true) => views,
            (true, false) => a,
            (false, _) => b,
        };
        let model = &mut self.model;
        let h = model.encoder.forward(online, online_views);
        let z = model.projector.forward(&h, online_views);
        let p = model
            .predictor
            .as_mut()
            .map(|predictor| predictor.forward(&z, online_views));
        let target = [(needs.target[0], a), (needs.target[1], b)].map(|(needed, view)| {
            let target = model.target.as_mut().filter(|_| needed)?;
            let h = target.encoder.forward_untracked(view, 1);
            Some(target.projector.forward_untracked(&h, 1))
        });

        phases.forward_s += start.elapsed().as_secs_f64();

        let d = model.projector.output_width();
        let z_views = split_views(&z, needs.online(0), needs.online(1));
        let p_views = p.as_deref().map_or([None, None], |p| {
            split_views(p, needs.online(0), needs.online(1))
        });
        let outputs = BranchOutputs {
            n: z.len() / d / online_views,
            d,
            embedding: z_views,
            prediction: p_views,
            target: [target[0].as_deref(), target[1].as_deref()],
        };
        let progress = self.step as f64 / self.total_steps.max(1) as f64;
        let objective = &mut self.objective;
        let evaluation = timed(&mut phases.loss_s, || {
            objective.evaluate(&outputs, progress)
        })
        .map_err(|error| TrainError::of_loss(error, self.step + 1))?;
        let mut telemetry = telemetry.then(|| {
            timed(&mut phases.telemetry_s, || {
                Telemetry::measure(objective, model, &evaluation, &outputs, &h)
            })
        });

        let start = Instant::now();
        let dz = embedding_gradient(&evaluation.gradients, &z_views, &p_views, &mut |dp| {
            model
                .predictor
                .as_mut()
                .map(|predictor| predictor.backward(dp))
        });
        let dh = model.projector.backward(&dz);
        if let Some((telemetry, Some(remainder))) = &mut telemetry {
            telemetry.complete(remainder, &dh);
        }
        model.encoder.backward(&dh);
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

fn split_views(rows: &[f32], has_a: bool, has_b: bool) -> [Option<&[f32]>; 2] {
    match (has_a, has_b) {
        (true, true) => {
            let (a, b) = rows.split_at(rows.len() / 2);
            [Some(a), Some(b)]
        }
        (true, false) => [Some(rows), None],
        (false, _) => [None, Some(rows)],
    }
}

/// The gradient of the online embeddings, `[views * n, d]`: the loss's own and what comes back through the predictor.
pub(super) fn embedding_gradient(
    gradients: &OutputGradients,
    z_views: &[Option<&[f32]>; 2],
    p_views: &[Option<&[f32]>; 2],
    predictor: &mut dyn FnMut(&[f32]) -> Option<Vec<f32>>,
) -> Vec<f32> {
    let mut dz = join_views(&gradients.embedding, z_views);
    if p_views.iter().any(Option::is_some)
        && let Some(through) = predictor(&join_views(&gradients.prediction, p_views))
    {
        dz.iter_mut()
            .zip(through)
            .for_each(|(sum, part)| *sum += part);
    }
    dz
}

/// The gradients of the views that went through the network, one after the other; zero where the loss has none.
fn join_views(gradients: &[Option<Vec<f32>>; 2], views: &[Option<&[f32]>; 2]) -> Vec<f32> {
    let mut joined = Vec::with_capacity(views.iter().flatten().map(|view| view.len()).sum());
    for (gradient, view) in gradients.iter().zip(views) {
        match (gradient, view) {
            (Some(gradient), Some(_)) => joined.extend_from_slice(gradient),
            (None, Some(view)) => joined.resize(joined.len() + view.len(), 0.0),
            (_, None) => {}
        }
    }
    joined
}
