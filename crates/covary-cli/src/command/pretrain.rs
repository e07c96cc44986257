//! `covary pretrain`: an encoder from images without labels, then its score.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use covary_train::config::TrainConfig;
use covary_train::trainer::{Event, Progress, StepReport};
use covary_train::{Ending, Pretraining};
use indicatif::{ProgressBar, ProgressStyle};

use super::summary;
use crate::INTERRUPTED;
use crate::output::{line, say};

/// Learn an encoder without labels, then score it on the test set.
///
/// With no argument: VICReg on the bundled CIFAR-10 (JPEG) with a narrow ResNet-18, minutes on two cores.
#[derive(Args)]
pub(crate) struct Pretrain {
    /// A recipe (`covary list`) or the path of a TOML file.
    #[arg(default_value = "quick")]
    recipe: String,
    /// Change one key, for example `--set optimizer.lr=3e-3`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What the networks run on, as `--set device=`: cpu (this project's kernels), or Burn's operations on flex, wgpu or cuda.
    #[arg(long)]
    device: Option<String>,
    /// Folder of the run. Default: runs/METHOD-DATE-TIME.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder, from its last checkpoint.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
    /// Print the whole configuration as TOML, which runs as it stands, and stop.
    #[arg(long)]
    print_config: bool,
}

impl Pretrain {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let config = self.config()?;
        if self.print_config {
            line(config.to_toml().trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        let threads = config.threads;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .context("starting the threads")?;
        pool.install(|| self.train(&config))
    }

    /// The recipe with overrides; resuming without naming a recipe, the run's own configuration.
    fn config(&self) -> Result<TrainConfig> {
        let own = self
            .resume
            .as_ref()
            .filter(|_| self.recipe == "quick")
            .map(|folder| folder.join("config.toml"));
        let recipe = match &own {
            Some(path) if path.is_file() => path.display().to_string(),
            _ => self.recipe.clone(),
        };
        let mut set = self.set.clone();
        set.extend(self.device.iter().map(|device| format!("device={device}")));
        Ok(TrainConfig::resolve(&recipe, &set)?)
    }

    fn train(&self, config: &TrainConfig) -> Result<ExitCode> {
        let folder = match (&self.resume, &self.out) {
            (Some(folder), _) | (None, Some(folder)) => folder.clone(),
            (None, None) => free_folder(&config.method),
        };
        let mut pretraining = Pretraining::prepare(config.clone())?;
        announce(&pretraining, config, &folder);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed))
            .context("listening for Ctrl-C")?;
        let bar = progress_bar(pretraining.total_steps());
        let ending = pretraining.run(&folder, self.resume.is_some(), &stop, &mut |event| {
            show(&bar, &event, config.epochs);
        });
        bar.finish_and_clear();
        match ending? {
            Ending::Interrupted(step) => {
                say(&format!(
                    "stopped after step {step}; go on with: covary pretrain --resume {}",
                    folder.display()
                ));
                Ok(ExitCode::from(INTERRUPTED))
            }
            Ending::Finished(result) => {
                say(&summary::table(&result));
                if self.json {
                    line(&result.to_string());
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn free_folder(method: &str) -> PathBuf {
    let plain = method.replace('@', "-");
    (1_u32..=u32::MAX)
        .map(|number| Path::new("runs").join(format!("{plain}-{number:03}")))
        .find(|folder| !folder.exists())
        .expect("numbers do not end")
}

fn announce(pretraining: &Pretraining, config: &TrainConfig, folder: &Path) {
    let data = pretraining.train_set();
    for skipped in data.skipped() {
        say(&format!(
            "left out {}: {}",
            skipped.location, skipped.reason
        ));
    }
    say(&format!(
        "{} on {} ({} images, {} epochs of {} steps), {} of width {}, projector {}-{}, run in {}",
        config.method,
        data.name(),
        pretraining.images_per_epoch(),
        config.epochs,
        pretraining.total_steps() / config.epochs,
        config.encoder.name,
        config.encoder.width,
        config.projector.hidden,
        config.projector.dim,
        folder.display()
    ));
    if let Some(reason) = pretraining.unscored() {
        say(&format!("{reason}: the linear probe and kNN are skipped"));
    }
}

fn progress_bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} steps, {eta} left, {msg}")
        .expect("the template is well-formed");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn show(bar: &ProgressBar, event: &Event<'_>, epochs: u64) {
    match event {
        Event::Step(report, progress) => {
            bar.set_position(report.step);
            bar.set_message(message(report, progress, epochs));
        }
        Event::Alarm(alarm) => {
            let text = format!("step {}: {}", alarm.step, alarm.message);
            bar.suspend(|| say(&text));
        }
        Event::Monitor(progress, report) => {
            let of = |name: &str, space: &[covary_score::Measurement]| {
                space
                    .iter()
                    .find(|m| m.name == name)
                    .and_then(|m| m.value)
                    .unwrap_or(f64::NAN)
            };
            let knn = report.validation_knn.map_or_else(String::new, |knn| {
                format!(", kNN on held-out training images {:.1} %", 100.0 * knn)
            });
            let spaces = [
                ("h", &report.spaces.representation_verdict),
                ("z", &report.spaces.embedding_verdict),
            ];
            let lost = spaces.iter().filter(|(_, verdict)| verdict.is_collapse());
            let collapsed: Vec<_> = lost
                .map(|(space, verdict)| format!("; {space} collapsed: {}", verdict.reason))
                .collect();
            let collapsed = collapsed.concat();
            let text = format!(
                "epoch {}/{epochs}, step {}: participation ratio h {:.1}, z {:.1}{knn}{collapsed}",
                progress.epoch,
                progress.step,
                of("participation_ratio", &report.spaces.representation),
                of("participation_ratio", &report.spaces.embedding),
            );
            bar.suspend(|| say(&text));
        }
    }
}

fn message(report: &StepReport, progress: &Progress, epochs: u64) -> String {
    let terms: Vec<String> = report
        .evaluation
        .terms
        .iter()
        .map(|term| format!("{} {:.3}", term.name, term.value))
        .collect();
    format!(
        "epoch {}/{epochs}, {:.0} images/s, loss {:.3} ({})",
        progress.epoch,
        progress.images_per_s,
        report.evaluation.total,
        terms.join(", ")
    )
}
