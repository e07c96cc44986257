//! `covary pretrain`: an encoder from images without labels, then its score.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use covary_train::config::TrainConfig;
use covary_train::run::RunFolder;
use covary_train::trainer::{Event, Phase, Progress, StepReport};
use covary_train::{Ending, Pretraining, TrainError, finished_result, other_keys};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::summary;
use crate::output::{line, say};
use crate::{INTERRUPTED, interrupt, threads};

/// Learn an encoder without labels, then score it on the test set.
///
/// With no argument: VICReg on the bundled CIFAR-10 (JPEG) with a narrow ResNet-18, minutes on two cores.
#[derive(Args)]
pub(crate) struct Pretrain {
    /// A recipe (`covary list`) or the path of a TOML file. Default: quick; resuming, the run's own configuration.
    recipe: Option<String>,
    /// Change one key, for example `--set optimizer.lr=3e-3`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What the networks run on, as `--set device=`: cpu (this project's kernels), or Burn's operations on flex, wgpu or cuda.
    #[arg(long)]
    device: Option<String>,
    /// Folder of the run. Default: the first of runs/METHOD-001, runs/METHOD-002, ... that does not exist.
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
        let resumed = self.resume.as_deref().map(RunFolder::resume).transpose()?;
        let config = self.config(resumed.as_ref())?;
        if self.print_config {
            line(config.to_toml().trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(run) = &resumed
            && let Some(result) = finished_result(run)?
        {
            return self.tell_finished(run, &config, &result);
        }
        threads::pool(config.threads)?.install(|| self.train(resumed, &config))
    }

    /// The recipe with overrides; resuming without naming a recipe, the run's own configuration.
    fn config(&self, resumed: Option<&RunFolder>) -> Result<TrainConfig> {
        let own = resumed.map(|run| run.config().display().to_string());
        let recipe = self.recipe.clone().or(own);
        let mut set = self.set.clone();
        set.extend(self.device.iter().map(|device| format!("device={device}")));
        let recipe = recipe.as_deref().unwrap_or("quick");
        Ok(TrainConfig::resolve(recipe, &set)?)
    }

    /// A run that has ended stays as it is.
    fn tell_finished(
        &self,
        run: &RunFolder,
        config: &TrainConfig,
        result: &Value,
    ) -> Result<ExitCode> {
        let keys = other_keys(&run.read_config()?, config);
        if !keys.is_empty() {
            let path = run.path().into();
            return Err(TrainError::RunFinished { path, keys }.into());
        }
        say(&format!(
            "{} is finished; nothing was changed",
            run.path().display()
        ));
        self.tell(result)
    }

    fn tell(&self, result: &Value) -> Result<ExitCode> {
        say(&summary::table(result));
        if self.json {
            line(&result.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn train(&self, resumed: Option<RunFolder>, config: &TrainConfig) -> Result<ExitCode> {
        let mut pretraining = match &resumed {
            Some(run) => Pretraining::prepare_for(run, config.clone())?,
            None => Pretraining::prepare(config.clone())?,
        };
        let run = match (resumed, &self.out) {
            (Some(run), _) => run,
            (None, Some(folder)) => RunFolder::create(folder)?,
            (None, None) => {
                RunFolder::create_numbered(Path::new("runs"), &config.method.replace('@', "-"))?
            }
        };
        announce(&pretraining, config, run.path());
        let advice = format!(
            "go on with: covary pretrain --resume {}",
            run.path().display()
        );
        interrupt::advise(advice.clone());
        let bar = progress_bar(pretraining.total_steps());
        let ending = pretraining.run(&run, interrupt::stop(), &mut |event| {
            show(&bar, &event, config.epochs);
        });
        bar.finish_and_clear();
        match ending? {
            Ending::Interrupted(step) => {
                say(&format!("stopped after step {step}; {advice}"));
                Ok(ExitCode::from(INTERRUPTED))
            }
            Ending::Finished(result) => self.tell(&result),
        }
    }
}

fn announce(pretraining: &Pretraining, config: &TrainConfig, folder: &Path) {
    let data = pretraining.train_set();
    for note in pretraining.data_notes() {
        say(&format!("data: {note}"));
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
    for reason in pretraining.left_out() {
        say(&reason);
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
        Event::Phase(phase) => interrupt::finishes_by_itself(*phase == Phase::Steps),
        Event::Note(note) => bar.suspend(|| say(note)),
        Event::Alarm(alarm) => {
            let text = format!("step {}: {}", alarm.step, alarm.message);
            bar.suspend(|| say(&text));
        }
        Event::Unmeasured(progress, reason) => {
            let text = format!("step {}: nothing was measured: {reason}", progress.step);
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
