//! `covary study`: a plan's runs, trained, and what they say; `covary study status`: how far it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use covary_study::{
    Analysis, Design, Ending, Event, Execution, Plan, Record, RunState, Study, StudyFolder, execute,
};

use super::{study_dry_run, study_tables};
use crate::output::{duration, line, say};
use crate::{INTERRUPTED, interrupt};

/// Train every run of a plan and say what each change does, and how sure that is.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct StudyCommand {
    #[command(subcommand)]
    command: Option<StudySubcommand>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Args)]
struct Arguments {
    /// The plan, a TOML file (docs/studies.md).
    plan: Option<PathBuf>,
    /// Folder of the study. Default: runs/study-PLAN.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the study in its folder; of a changed plan, train only what the change touches.
    #[arg(long)]
    resume: bool,
    /// Runs at a time, each with its part of the cores.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// List and check the runs, time a step of each network, predict the time of those not done, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Print the analysis as one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum StudySubcommand {
    /// Say how far a study is, and what it says so far.
    Status {
        /// Folder of the study.
        study: PathBuf,
        /// Print the analysis as one JSON object as the last line of stdout.
        #[arg(long)]
        json: bool,
    },
}

impl StudyCommand {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Some(StudySubcommand::Status { study, json }) => {
                let study = Study::open(&study)?;
                line(study_tables::progress(&study).trim_end())?;
                conclude(&study, json)?;
                Ok(ExitCode::SUCCESS)
            }
            None => self.arguments.run(),
        }
    }
}

impl Arguments {
    fn run(&self) -> Result<ExitCode> {
        let path = self
            .plan
            .as_ref()
            .context("name a plan: covary study PLAN.toml")?;
        let design = Design::new(Plan::read(path)?)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let execution = Execution {
            program: std::env::current_exe().context("finding this program")?,
            jobs: self.jobs as usize,
            threads: (cores / self.jobs as usize).max(1),
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let default = || Path::new("runs").join(format!("study-{stem}"));
        let folder = self.out.clone().unwrap_or_else(default);
        if self.dry_run {
            let begun = StudyFolder::open(&folder).ok();
            return study_dry_run::print(&design, &execution, begun.as_ref());
        }
        let folder = StudyFolder::create(&folder, &design.plan, self.resume)?;
        if let Some(note) = folder.note() {
            say(note);
        }
        let mut talk = Talk::new(&design, &folder)?;
        say(&format!(
            "{} runs, {} of them done, in {}",
            talk.total,
            talk.ended,
            folder.path().display()
        ));
        interrupt::finishes_by_itself(true);
        let ending = execute(
            &design,
            &folder,
            &execution,
            interrupt::stop(),
            &mut |event| {
                talk.say(event);
            },
        )?;
        if ending == Ending::Interrupted {
            say(&format!(
                "stopped; go on with: covary study {} --out {} --resume",
                path.display(),
                folder.path().display()
            ));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        interrupt::finishes_by_itself(false);
        let study = Study::open(folder.path())?;
        conclude(&study, self.json)?;
        say(&format!(
            "\nnext: covary report {}",
            folder.path().display()
        ));
        let states = design.runs();
        let any_failed = states
            .iter()
            .any(|(_, run)| study.state(&run.key) == RunState::Failed);
        Ok(if any_failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn conclude(study: &Study, json: bool) -> Result<()> {
    let analysis = Analysis::of(study);
    say(&study_tables::analysis(&analysis));
    if json {
        line(&serde_json::to_string(&analysis)?)?;
    }
    Ok(())
}

/// What is said while runs are trained.
struct Talk<'a> {
    folder: &'a StudyFolder,
    total: usize,
    ended: usize,
    /// Of the runs that ended here.
    seconds: Vec<f64>,
}

impl<'a> Talk<'a> {
    fn new(design: &Design, folder: &'a StudyFolder) -> Result<Self> {
        let runs = design.runs();
        let mut ended = 0;
        for (_, run) in &runs {
            ended += usize::from(Record::state_in(folder, &run.key)?.has_ended());
        }
        Ok(Self {
            folder,
            total: runs.len(),
            ended,
            seconds: Vec::new(),
        })
    }

    fn say(&mut self, event: Event<'_>) {
        match event {
            Event::Started { arm, run, resumed } => {
                let verb = if resumed { "goes on" } else { "starts" };
                say(&format!(
                    "{arm}, seed {}: {verb} in {}",
                    run.seed,
                    self.folder.run(&run.key).display()
                ));
            }
            Event::Waiting { arm, run } => say(&format!(
                "{arm}, seed {}: a process of an earlier call still trains it; waiting",
                run.seed
            )),
            Event::Ended {
                arm,
                run,
                state,
                seconds,
            } => {
                self.ended += 1;
                self.seconds.push(seconds);
                let mean = self.seconds.iter().sum::<f64>() / self.seconds.len() as f64;
                let left = mean * (self.total - self.ended.min(self.total)) as f64;
                say(&format!(
                    "[{}/{}] {arm}, seed {}: {} after {}; about {} of computing left",
                    self.ended,
                    self.total,
                    run.seed,
                    state.name(),
                    duration(seconds),
                    duration(left)
                ));
                if !matches!(state, RunState::Ended(_)) {
                    // What cannot be read now is told by the status of the study.
                    let words = Record::failure_in(self.folder, &run.key).ok().flatten();
                    for line in words.iter().flat_map(|words| words.lines()) {
                        say(&format!("    {line}"));
                    }
                }
            }
        }
    }
}
