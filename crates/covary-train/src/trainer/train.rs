//! The loop over batches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use covary_data::Loader;
use covary_score::EmbeddingError;

use super::log::Logs;
use super::representation_signs::PATIENCE;
use super::{Alarm, StepReport, TrainState};
use crate::TrainError;
use crate::config::{OnCollapse, TrainConfig};
use crate::monitor::{Monitor, MonitorReport, Untrained};
use crate::run::RunFolder;

/// What the loop tells whoever watches it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was taken.
    Step(&'a StepReport, Progress),
    /// The model was measured, at this place.
    Monitor(Progress, &'a MonitorReport),
    /// The model could not be measured at this place, for this reason; training goes on.
    Unmeasured(Progress, &'a EmbeddingError),
    /// A sign of collapse.
    Alarm(&'a Alarm),
}

/// How far training is and how fast it goes.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Epoch of this step, counted from 1.
    pub epoch: u64,
    /// Steps taken.
    pub step: u64,
    /// Source images a second since the run was started or resumed, the first step and everything but training left out.
    pub images_per_s: f64,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken.
    Finished,
    /// It was asked to stop; a checkpoint was made.
    Interrupted,
    /// The embedding or the representation collapsed, and the configuration says to stop there.
    Collapsed,
}

/// Trains until all steps are taken or `stop` is set, which finishes the step and makes a checkpoint. Measurements are held against
/// `untrained`, where there is one.
///
/// # Errors
/// A number that is not finite, or a file that cannot be written; the last checkpoint stays as it was.
pub fn train(
    config: &TrainConfig,
    state: &mut TrainState,
    loader: &mut Loader,
    monitor: &Monitor,
    untrained: Option<&Untrained>,
    run: &RunFolder,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<(Outcome, f64), TrainError> {
    let mut logs = Logs::open(run, state.step)?;
    let mut alarms = Logs::alarms_so_far(run)?;
    let steps_per_epoch = loader.batches_per_epoch() as u64;
    let total_steps = config.epochs * steps_per_epoch;
    let mut views = Vec::new();
    let mut clock = Clock::default();
    let mut saved = state.step;
    let mut collapsed = false;
    while state.step < total_steps && !collapsed && !stop.load(Ordering::Relaxed) {
        let (epoch, batch) = (state.step / steps_per_epoch, state.step % steps_per_epoch);
        let start = Instant::now();
        loader.fill(epoch, batch as usize, state.progress(), &mut views);
        let telemetry = is_due(config.monitor.telemetry_every, state.step);
        let report = state.train_step(&views, telemetry)?;
        clock.add(start, config.batch_size);

        let progress = Progress {
            total_steps,
            epoch: epoch + 1,
            step: state.step,
            images_per_s: clock.images_per_s(),
        };
        logs.step(&report, &progress)?;
        watch(Event::Step(&report, progress));
        let (n, d) = (config.batch_size, config.projector.dim);
        let mut seen = alarms.observe(&state.objective, n, d, &report);
        let ends_epoch = batch + 1 == steps_per_epoch;
        if ends_epoch && is_due(config.monitor.every_epochs, epoch + 1)
            || is_due(config.monitor.every_steps, state.step)
        {
            match monitor.measure(state) {
                Ok(measured) => {
                    logs.measurement(&progress, &measured)?;
                    watch(Event::Monitor(progress, &measured));
                    seen.extend(alarms.observe_monitor(
                        state.step,
                        total_steps,
                        &measured,
                        untrained,
                    ));
                    // Networks start with few directions.
                    let share = state.step as f64 / total_steps as f64;
                    let lost_embedding = measured.spaces.embedding_verdict.is_collapse();
                    collapsed = config.monitor.on_collapse == OnCollapse::Stop
                        && share >= PATIENCE
                        && (lost_embedding || alarms.has_lost_representation(share));
                }
                Err(TrainError::Probe(reason)) => watch(Event::Unmeasured(progress, &reason)),
                Err(other) => return Err(other),
            }
        }
        for alarm in &seen {
            logs.alarm(alarm)?;
            watch(Event::Alarm(alarm));
        }
        if state.step.is_multiple_of(config.checkpoint.every_steps) {
            state.checkpoint().save(&run.checkpoint())?;
            saved = state.step;
        }
    }
    if saved != state.step || !run.checkpoint().exists() {
        state.checkpoint().save(&run.checkpoint())?;
    }
    let outcome = match (collapsed, state.step < total_steps) {
        (true, _) => Outcome::Collapsed,
        (false, true) => Outcome::Interrupted,
        (false, false) => Outcome::Finished,
    };
    Ok((outcome, clock.images_per_s()))
}

/// Whether something that is done every so many times, 0 for never, is due.
fn is_due(every: u64, count: u64) -> bool {
    every != 0 && count.is_multiple_of(every)
}

/// Time spent in steps; the first, which warms caches and buffers, does not count where there are more.
#[derive(Debug, Default)]
struct Clock {
    first: Option<(f64, usize)>,
    seconds: f64,
    images: usize,
}

impl Clock {
    fn add(&mut self, start: Instant, images: usize) {
        let seconds = start.elapsed().as_secs_f64();
        if self.first.is_none() {
            self.first = Some((seconds, images));
        } else {
            self.seconds += seconds;
            self.images += images;
        }
    }

    fn images_per_s(&self) -> f64 {
        match self.first {
            Some((seconds, images)) if self.images == 0 => images as f64 / seconds,
            Some(_) => self.images as f64 / self.seconds,
            None => f64::NAN,
        }
    }
}
