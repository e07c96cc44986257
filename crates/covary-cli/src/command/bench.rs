//! `covary bench`: how fast a configuration trains on this machine.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_train::config::TrainConfig;
use covary_train::{KernelSpeed, Pretraining, bench};

use crate::output::{Table, line, say};
use crate::threads;

/// Time training steps: end to end, by phase, augmentation alone, inference, each kernel. Nothing is written.
#[derive(Args)]
pub(crate) struct Bench {
    /// A recipe or the path of a TOML file.
    #[arg(default_value = "quick")]
    recipe: String,
    /// Change one key, as in `covary pretrain`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What the networks run on, as `--set device=`: cpu (this project's kernels), or Burn's operations on flex, wgpu or cuda.
    #[arg(long)]
    device: Option<String>,
    /// Steps to time, after two that are not.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Leave the kernels by layer shape out.
    #[arg(long)]
    no_kernels: bool,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut set = self.set;
        set.extend(self.device.map(|device| format!("device={device}")));
        let config = TrainConfig::resolve(&self.recipe, &set)?;
        let pool = threads::pool(config.threads)?;
        let speed = pool.install(|| {
            bench(
                &mut Pretraining::prepare(config)?,
                self.steps,
                !self.no_kernels,
            )
        })?;
        say(&format!(
            "\n{:.0} source images/s end to end: {} steps of {} images, {}, {}, {} threads, {}\n",
            speed.images_per_s,
            speed.steps,
            speed.batch_size,
            if speed.device == "cpu" {
                &speed.isa
            } else {
                &speed.device
            },
            speed.precision,
            speed.threads,
            speed.cpu
        ));
        let mut table = Table::new(&["phase", "ms a step", "share"]);
        let phases = &speed.phases;
        for (name, seconds) in [
            ("augmentation", speed.augment_s),
            ("forward", phases.forward_s),
            ("loss", phases.loss_s),
            ("backward", phases.backward_s),
            ("optimizer", phases.optimizer_s),
            ("target", phases.target_s),
            ("telemetry", phases.telemetry_s),
            ("step", speed.step_s),
        ] {
            let share = 100.0 * seconds / speed.step_s;
            table.row(vec![
                name.into(),
                format!("{:.1}", 1e3 * seconds),
                format!("{share:.1} %"),
            ]);
        }
        say(&table.render());
        let memory = speed.peak_memory_bytes.map_or_else(
            || "–".into(),
            |bytes| format!("{:.2} GB", bytes as f64 / 1e9),
        );
        let faults = speed
            .page_faults_per_step
            .map_or_else(|| "–".into(), |faults| format!("{faults:.0}"));
        say(&format!(
            "  augmentation alone {:.0} source images/s, inference {:.0} images/s, peak memory {memory}, page faults a step {faults}",
            speed.augment_images_per_s, speed.inference_images_per_s
        ));
        if !self.no_kernels {
            say(&format!(
                "\nKernels at {} images a view, share of the peak of {:.0} GFLOP/s; over 100 % where tiles spare multiplications\n\n{}",
                speed.batch_size,
                speed.peak_gflops,
                kernels(&speed.kernels)
            ));
        }
        if self.json {
            line(&serde_json::to_string(&speed)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn kernels(kernels: &[KernelSpeed]) -> String {
    let mut table = Table::new(&[
        "shape",
        "forward",
        "weight gradient",
        "input gradient",
        "GFLOP/s",
    ]);
    for passes in kernels.chunks(3) {
        let mut row = vec![passes[0].shape.clone()];
        row.extend(
            passes
                .iter()
                .map(|pass| format!("{:.0} %", 100.0 * pass.fraction_of_peak)),
        );
        let rates: Vec<String> = passes
            .iter()
            .map(|pass| format!("{:.0}", pass.gflops))
            .collect();
        row.push(rates.join(" / "));
        table.row(row);
    }
    table.render()
}
