//! The loop over batches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use covary_data::Loader;

use super::event::{Event, Outcome, Phase, Progress};
use super::log::Logs;
use super::representation_signs::PATIENCE;
use super::{Alarms, TrainState};
use crate::TrainError;
use crate::config::{OnCollapse, TrainConfig};
use crate::monitor::{Monitor, Untrained};
use crate::run::RunFolder;

/// Trains until all steps are taken or `stop` is set, which finishes the step and makes a checkpoint. Measurements are held against
/// `untrained`, where there is one.
///
/// The second value are source images a second; none where no step was left to take.
///
/// # Errors
/// Journals that lack what was written before the state's step; a number that is not finite, or a file that cannot be written: the
/// last checkpoint then stays as it was.
pub fn train(
    config: &TrainConfig,
    state: &mut TrainState,
    loader: &mut Loader,
    monitor: &Monitor,
    untrained: Option<&Untrained>,
    run: &RunFolder,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<(Outcome, Option<f64>), TrainError> {
    let identity = run.identity()?;
    let mut logs = Logs::open(run, state.step, state.restored.as_ref())?;
    let mut alarms = Logs::alarms_so_far(run)?;
    let steps_per_epoch = loader.batches_per_epoch() as u64;
    let total_steps = config.epochs * steps_per_epoch;
    let mut views = Vec::new();
    let mut clock = Clock::default();
    let mut saved = state.step;
    let mut collapsed = config.monitor.on_collapse == OnCollapse::Stop
        && was_stopped(run, state.step, &alarms, state.progress())?;
    watch(Event::Phase(Phase::Steps));
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
            images_per_s: clock.images_per_s().expect("a step was timed"),
        };
        logs.step(&report, &progress)?;
        watch(Event::Step(&report, progress));
        let (n, d) = (config.batch_size, config.projector.dim);
        let mut seen = alarms.observe(&state.objective, n, d, &report);
        let ends_epoch = batch + 1 == steps_per_epoch;
        if ends_epoch && is_due(config.monitor.every_epochs, epoch + 1)
            || is_due(config.monitor.every_steps, state.step)
        {
            watch(Event::Phase(Phase::Measuring));
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
                    let share = state.step as f64 / total_steps as f64;
                    let lost = measured.spaces.embedding_verdict.is_collapse();
                    collapsed = config.monitor.on_collapse == OnCollapse::Stop
                        && stops(lost, &alarms, share);
                }
                Err(TrainError::Probe(reason)) => watch(Event::Unmeasured(progress, &reason)),
                Err(other) => return Err(other),
            }
            watch(Event::Phase(Phase::Steps));
        }
        for alarm in &seen {
            logs.alarm(alarm)?;
            watch(Event::Alarm(alarm));
        }
        if state.step.is_multiple_of(config.checkpoint.every_steps) {
            logs.save(state.checkpoint(), &identity, run)?;
            saved = state.step;
        }
    }
    if saved != state.step || !run.checkpoint().exists() {
        logs.save(state.checkpoint(), &identity, run)?;
    }
    let outcome = match (collapsed, state.step < total_steps) {
        (true, _) => Outcome::Collapsed,
        (false, true) => Outcome::Interrupted,
        (false, false) => Outcome::Finished,
    };
    Ok((outcome, clock.images_per_s()))
}

/// Whether a measurement at this share of the steps ends a run that stops at a collapse of either space. Networks start with few
/// directions, so the first steps end none.
fn stops(lost_embedding: bool, alarms: &Alarms, share: f64) -> bool {
    share >= PATIENCE && (lost_embedding || alarms.has_lost_representation(share))
}

/// Whether an earlier part of the run was stopped at this step, as its last measurement found a collapse.
fn was_stopped(
    run: &RunFolder,
    step: u64,
    alarms: &Alarms,
    share: f64,
) -> Result<bool, TrainError> {
    let measurements = run.read_lines(&run.epochs())?;
    let last = measurements.last().filter(|line| line["step"] == step);
    Ok(step > 0
        && last.is_some_and(|line| stops(line["embedding/outcome"] != "healthy", alarms, share)))
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

    fn images_per_s(&self) -> Option<f64> {
        let (seconds, images) = self.first?;
        Some(if self.images == 0 {
            images as f64 / seconds
        } else {
            self.images as f64 / self.seconds
        })
    }
}
