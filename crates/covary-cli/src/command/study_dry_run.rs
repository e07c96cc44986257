//! `covary study --dry-run`: the runs of a plan, and how long those that are not done would take by a few measured steps.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use covary_study::{Design, Execution, PlannedRun, Record, RunState, StudyFolder, network_key};
use covary_train::{Pretraining, bench};

use crate::output::{Table, duration, line, say};
use crate::threads;

/// Steps that a network is timed by.
const TIMED_STEPS: u64 = 5;

/// Seconds of a step, and the steps of an epoch.
#[derive(Clone, Copy)]
struct Pace {
    step_s: f64,
    steps_per_epoch: u64,
}

/// Lists the runs, times each distinct network that is still to be trained, and adds up. `begun`: the study's folder, where there is one.
pub(super) fn print(
    design: &Design,
    execution: &Execution,
    begun: Option<&StudyFolder>,
) -> Result<ExitCode> {
    let runs = design.runs();
    let mut paces = BTreeMap::new();
    let mut table = Table::new(&["run", "seed", "key", "state", "steps", "training"]);
    let (mut left, mut seconds) = (0, 0.0);
    for (arm, run) in &runs {
        let name = &design.arms[*arm].name;
        let state = begun.map_or(Ok(RunState::Missing), |folder| {
            Record::state_in(folder, &run.key)
        })?;
        let (mut steps, mut training) = (String::new(), String::new());
        if !state.has_ended() {
            let network = network_key(&run.config);
            let pace = match paces.get(&network) {
                Some(pace) => *pace,
                None => *paces
                    .entry(network)
                    .or_insert(measure(name, run, execution)?),
            };
            let count = pace.steps_per_epoch * run.config.epochs;
            let run_seconds = count as f64 * pace.step_s;
            left += 1;
            seconds += run_seconds;
            (steps, training) = (count.to_string(), duration(run_seconds));
        }
        table.row(vec![
            name.clone(),
            run.seed.to_string(),
            run.key.clone(),
            state.name().into(),
            steps,
            training,
        ]);
    }
    line(&table.render())?;
    if left == 0 {
        line(&format!("{} runs, all of them done", runs.len()))?;
        return Ok(ExitCode::SUCCESS);
    }
    line(&format!(
        "{} runs, {} of them done; the others, of {} networks, take about {} of training with {} at a time ({} threads each); \
         monitoring and scoring come on top",
        runs.len(),
        runs.len() - left,
        paces.len(),
        duration(seconds / execution.jobs as f64),
        execution.jobs,
        execution.threads
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn measure(name: &str, run: &PlannedRun, execution: &Execution) -> Result<Pace> {
    say(&format!("timing {TIMED_STEPS} steps of {name}"));
    let pool = threads::pool(execution.threads)?;
    pool.install(|| {
        let mut pretraining = Pretraining::prepare(run.config.clone())?;
        let steps_per_epoch = pretraining.total_steps() / run.config.epochs;
        let step_s = bench(&mut pretraining, TIMED_STEPS, false)?.step_s;
        Ok(Pace {
            step_s,
            steps_per_epoch,
        })
    })
}
