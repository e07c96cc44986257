//! The loop over batches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use covary_data::Loader;
use serde_json::Map;

use super::{StepReport, TrainState};
use crate::TrainError;
use crate::config::TrainConfig;
use crate::monitor::{Monitor, MonitorReport};
use crate::run::{EventFile, Journal, RunFolder, number, unix_seconds};

/// What the loop tells whoever watches it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was taken.
    Step(&'a StepReport, Progress),
    /// The model was measured at the end of an epoch.
    Monitor(u64, &'a MonitorReport),
}

/// How far training is and how fast it goes.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Epoch of this step, counted from 1.
    pub epoch: u64,
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
}

/// Where the loop writes.
struct Logs {
    steps: Journal,
    epochs: Journal,
    events: EventFile,
}

/// Trains until all steps are taken or `stop` is set, which finishes the step and makes a checkpoint.
///
/// # Errors
/// A number that is not finite, or a file that cannot be written; the last checkpoint stays as it was.
pub fn train(
    config: &TrainConfig,
    state: &mut TrainState,
    loader: &mut Loader,
    monitor: &Monitor,
    run: &RunFolder,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<(Outcome, f64), TrainError> {
    let mut logs = Logs::open(run, state.step)?;
    let steps_per_epoch = loader.batches_per_epoch() as u64;
    let total_steps = config.epochs * steps_per_epoch;
    let mut views = Vec::new();
    let mut clock = Clock::default();
    let mut saved = state.step;
    while state.step < total_steps && !stop.load(Ordering::Relaxed) {
        let (epoch, batch) = (state.step / steps_per_epoch, state.step % steps_per_epoch);
        let start = Instant::now();
        loader.fill(epoch, batch as usize, &mut views);
        let report = state.train_step(&views)?;
        clock.add(start, config.batch_size);

        let progress = Progress {
            total_steps,
            epoch: epoch + 1,
            images_per_s: clock.images_per_s(),
        };
        logs.step(&report, &progress)?;
        watch(Event::Step(&report, progress));
        if batch + 1 == steps_per_epoch
            && config.monitor.every_epochs != 0
            && (epoch + 1) % config.monitor.every_epochs == 0
        {
            let measured = monitor.measure(state)?;
            logs.epoch(epoch + 1, state.step, &measured)?;
            watch(Event::Monitor(epoch + 1, &measured));
        }
        if state.step.is_multiple_of(config.checkpoint.every_steps) {
            state.checkpoint().save(&run.checkpoint())?;
            saved = state.step;
        }
    }
    if saved != state.step || !run.checkpoint().exists() {
        state.checkpoint().save(&run.checkpoint())?;
    }
    let outcome = if state.step < total_steps {
        Outcome::Interrupted
    } else {
        Outcome::Finished
    };
    Ok((outcome, clock.images_per_s()))
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

impl Logs {
    fn open(run: &RunFolder, step: u64) -> Result<Self, TrainError> {
        let write = |path: std::path::PathBuf| move |source| TrainError::Write { path, source };
        Ok(Self {
            steps: Journal::open(&run.steps(), step).map_err(write(run.steps()))?,
            epochs: Journal::open(&run.epochs(), step).map_err(write(run.epochs()))?,
            events: EventFile::create(run.path(), unix_seconds())
                .map_err(write(run.path().into()))?,
        })
    }

    fn step(&mut self, report: &StepReport, progress: &Progress) -> Result<(), TrainError> {
        let mut scalars = vec![("loss".to_owned(), report.evaluation.total)];
        for term in &report.evaluation.terms {
            scalars.push((format!("term/{}", term.name), term.value));
            scalars.push((format!("weighted/{}", term.name), term.weighted));
        }
        scalars.push(("lr".into(), report.lr));
        scalars.push(("images_per_s".into(), progress.images_per_s));
        Self::write(
            &mut self.steps,
            &mut self.events,
            report.step,
            progress.epoch,
            &scalars,
        )
    }

    fn epoch(&mut self, epoch: u64, step: u64, report: &MonitorReport) -> Result<(), TrainError> {
        Self::write(
            &mut self.epochs,
            &mut self.events,
            step,
            epoch,
            &report.scalars(),
        )
    }

    fn write(
        journal: &mut Journal,
        events: &mut EventFile,
        step: u64,
        epoch: u64,
        scalars: &[(String, f64)],
    ) -> Result<(), TrainError> {
        let mut record = Map::from_iter([
            ("step".to_owned(), step.into()),
            ("epoch".to_owned(), epoch.into()),
        ]);
        record.extend(
            scalars
                .iter()
                .map(|(name, value)| (name.clone(), number(*value))),
        );
        journal
            .append(&record)
            .and_then(|()| events.scalars(unix_seconds(), step, scalars))
            .map_err(|source| TrainError::Write {
                path: "metrics".into(),
                source,
            })
    }
}
