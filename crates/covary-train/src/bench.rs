//! How fast a configuration trains on this machine: end to end, by phase of a step, augmentation alone, inference, and each kernel at
//! each layer's shape as a fraction of the processor's peak.
//!
//! Nothing is written. The first steps, which fill caches and buffers, are not counted.

use std::time::Instant;

use covary_kernels::{
    ConvGeometry, Isa, KernelRates, Precision, convolution_rates, linear_rates, peak_gflops,
};
use serde::Serialize;

use crate::config::TrainConfig;
use crate::run::{Provenance, peak_memory_bytes};
use crate::trainer::{Phases, TrainState, projector_config};
use crate::{Pretraining, TrainError};

/// Steps before the clock starts.
const WARM_UP: u64 = 2;
/// Images that go through the encoder at once in inference, and how many times.
const INFERRED: (usize, usize) = (256, 8);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// Source images a second, end to end: augmentation of all views, forward, loss, backward, optimizer.
    pub images_per_s: f64,
    /// Seconds of a step.
    pub step_s: f64,
    /// Seconds of a step's augmentation.
    pub augment_s: f64,
    /// Seconds of a step's other phases.
    pub phases: Phases,
    /// Source images a second of augmentation alone, all views of each.
    pub augment_images_per_s: f64,
    /// Images a second through the encoder in eval mode, from normalised images in memory.
    pub inference_images_per_s: f64,
    /// Peak of multiply-adds of all threads together, 10⁹ operations a second.
    pub peak_gflops: f64,
    /// Kernels by layer shape.
    pub kernels: Vec<KernelSpeed>,
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
    /// What the networks ran on.
    pub device: String,
    /// Threads.
    pub threads: usize,
}

/// A kernel at one layer's shape.
#[derive(Debug, Clone, Serialize)]
pub struct KernelSpeed {
    /// Layer and shape.
    pub shape: String,
    /// `forward`, `weight gradient` or `input gradient`.
    pub pass: &'static str,
    /// 10⁹ operations a second, of a convolution those of the sum over its taps, however it is computed.
    pub gflops: f64,
    /// Share of a peak measured just before; more than 1 where a convolution takes fewer multiplications than that sum has.
    pub fraction_of_peak: f64,
}

/// Times `steps` training steps of a prepared run, and each kernel by itself where asked for.
///
/// # Errors
/// As a training step.
pub fn bench(
    pretraining: &mut Pretraining,
    steps: u64,
    with_kernels: bool,
) -> Result<Speed, TrainError> {
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
        let (epoch, batch) = (step / batches, (step % batches) as usize);
        let loader = pretraining.loader_mut();
        loader.fill(epoch, batch, state.progress(), &mut views);
        augment_s += before.elapsed().as_secs_f64();
        let every = config.monitor.telemetry_every;
        let telemetry = every != 0 && step.is_multiple_of(every);
        phases.add(&state.train_step(&views, telemetry)?.phases);
    }
    let (seconds, count) = (start.elapsed().as_secs_f64(), steps as f64);
    let page_faults_per_step = faults
        .zip(page_faults())
        .map(|(before, after)| (after - before) as f64 / count);

    let side = config.augment.size;
    let clean = vec![0.5; INFERRED.0 * side * side * 3];
    let (inferred, images) = (INFERRED.0, clean.as_slice());
    state.model.encoder.infer(images);
    let before = Instant::now();
    (0..INFERRED.1).for_each(|_| drop(state.model.encoder.infer(images)));
    let inference_s = before.elapsed().as_secs_f64();
    let precision = config.device.precision(config.precision, isa);
    phases.scale(1.0 / count);
    Ok(Speed {
        images_per_s: count * config.batch_size as f64 / seconds,
        step_s: seconds / count,
        augment_s: augment_s / count,
        phases,
        augment_images_per_s: count * config.batch_size as f64 / augment_s,
        inference_images_per_s: (inferred * INFERRED.1) as f64 / inference_s,
        peak_gflops: peak_gflops(isa, precision),
        kernels: if with_kernels {
            kernels(&config, isa, precision)?
        } else {
            Vec::new()
        },
        page_faults_per_step,
        peak_memory_bytes: peak_memory_bytes(),
        steps,
        batch_size: config.batch_size,
        cpu: provenance.cpu,
        isa: provenance.isa,
        precision: provenance.precision,
        device: provenance.device,
        threads: Provenance::threads(),
    })
}

/// Rates of every distinct convolution of the encoder and of the projector's layers.
fn kernels(
    config: &TrainConfig,
    isa: Isa,
    precision: Precision,
) -> Result<Vec<KernelSpeed>, TrainError> {
    let mut found = Vec::new();
    let mut add = |shape: String, rates: &dyn Fn() -> KernelRates| {
        let peak = peak_gflops(isa, precision);
        let rates = rates();
        for (pass, gflops) in [
            ("forward", rates.forward),
            ("weight gradient", rates.weight_gradient),
            ("input gradient", rates.input_gradient),
        ] {
            found.push(KernelSpeed {
                shape: shape.clone(),
                pass,
                gflops,
                fraction_of_peak: gflops / peak,
            });
        }
    };
    for geometry in config.encoder.convolutions([config.augment.size; 2])? {
        let ConvGeometry {
            height,
            width,
            c_in,
            c_out,
            kernel,
            stride,
        } = geometry;
        let shape = format!("{kernel}x{kernel}/{stride} {c_in} → {c_out}, {height}x{width}");
        add(shape, &|| {
            convolution_rates(isa, precision, geometry, config.batch_size)
        });
    }
    let mut sizes: Vec<[usize; 2]> = Vec::new();
    for pair in projector_config(config)?.sizes.windows(2) {
        if !sizes.contains(&[pair[0], pair[1]]) {
            sizes.push([pair[0], pair[1]]);
        }
    }
    for [inputs, outputs] in sizes {
        let rows = config.view_count().all * config.batch_size;
        add(
            format!("linear {inputs} → {outputs}, {rows} rows"),
            &|| linear_rates(isa, precision, rows, inputs, outputs),
        );
    }
    Ok(found)
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
