//! How fast a configuration trains on this machine: end to end, by phase of a step, augmentation alone, inference.
//!
//! Nothing is written. The first steps, which fill caches and buffers, are not counted.

use std::time::Instant;

use serde::Serialize;

use crate::evaluate::represent;
use crate::run::{Provenance, peak_memory_bytes};
use crate::trainer::{Phases, TrainState};
use crate::{Pretraining, TrainError};

/// Steps before the clock starts.
const WARM_UP: u64 = 2;
/// Images that inference is timed on, at most.
const INFERRED: usize = 2048;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// Source images a second, end to end: augmentation of two views, forward, loss, backward, optimizer.
    pub images_per_s: f64,
    /// Seconds of a step.
    pub step_s: f64,
    /// Seconds of a step's augmentation.
    pub augment_s: f64,
    /// Seconds of a step's other phases.
    pub phases: Phases,
    /// Source images a second of augmentation alone, two views each.
    pub augment_images_per_s: f64,
    /// Images a second through the encoder in eval mode, reading included.
    pub inference_images_per_s: f64,
    /// Minor page faults a step.
    pub page_faults_per_step: Option<f64>,
    /// Largest resident memory of the process, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Steps that were timed.
    pub steps: u64,
    /// Source images a step.
    pub batch_size: usize,
    /// Processor.
    pub cpu: String,
    /// Instruction set.
    pub isa: String,
    /// Precision.
    pub precision: String,
    /// Threads.
    pub threads: usize,
}

/// Times `steps` training steps of a prepared run.
///
/// # Errors
/// As a training step.
pub fn bench(pretraining: &mut Pretraining, steps: u64) -> Result<Speed, TrainError> {
    let (config, engine, isa) = pretraining.parts();
    let (config, provenance) = (config.clone(), pretraining.provenance());
    let mut state = TrainState::new(&config, &engine, isa, pretraining.total_steps())?;
    let mut views = Vec::new();
    let (mut augment_s, mut phases) = (0.0, Phases::default());
    let (mut start, mut faults) = (Instant::now(), page_faults());
    let batches = pretraining.loader_mut().batches_per_epoch() as u64;
    for step in 0..WARM_UP + steps {
        if step == WARM_UP {
            (start, faults) = (Instant::now(), page_faults());
            (augment_s, phases) = (0.0, Phases::default());
        }
        let before = Instant::now();
        pretraining
            .loader_mut()
            .fill(step / batches, (step % batches) as usize, &mut views);
        augment_s += before.elapsed().as_secs_f64();
        let every = config.monitor.telemetry_every;
        let telemetry = every != 0 && step.is_multiple_of(every);
        phases.add(&state.train_step(&views, telemetry)?.phases);
    }
    let (seconds, count) = (start.elapsed().as_secs_f64(), steps as f64);
    let page_faults_per_step = faults
        .zip(page_faults())
        .map(|(before, after)| (after - before) as f64 / count);

    let images: Vec<u32> = (0..pretraining.train_set().len().min(INFERRED) as u32).collect();
    let before = Instant::now();
    represent(
        &mut state.model.encoder,
        pretraining.train_set(),
        &config.augment,
        Some(&images),
    );
    let inference_s = before.elapsed().as_secs_f64();
    phases.scale(1.0 / count);
    Ok(Speed {
        images_per_s: count * config.batch_size as f64 / seconds,
        step_s: seconds / count,
        augment_s: augment_s / count,
        phases,
        augment_images_per_s: count * config.batch_size as f64 / augment_s,
        inference_images_per_s: images.len() as f64 / inference_s,
        page_faults_per_step,
        peak_memory_bytes: peak_memory_bytes(),
        steps,
        batch_size: config.batch_size,
        cpu: provenance.cpu,
        isa: provenance.isa,
        precision: provenance.precision,
        threads: Provenance::threads(),
    })
}

/// Minor page faults of this process so far (`minflt` of `/proc/self/stat`), where the system tells.
fn page_faults() -> Option<u64> {
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    // The command's name stands in parentheses and may hold spaces; `minflt` is the eighth field behind it.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(7)?
        .parse()
        .ok()
}
