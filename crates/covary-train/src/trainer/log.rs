//! What a run writes while it trains: a line a step, a line a measurement, a line an alarm, and the same numbers for TensorBoard.

use serde_json::{Map, Value};

use super::{Alarm, Alarms, Progress, StepReport};
use crate::TrainError;
use crate::monitor::MonitorReport;
use crate::run::{EventFile, Journal, RunFolder, number, unix_seconds};

/// The journals of a run.
pub(super) struct Logs {
    steps: Journal,
    measurements: Journal,
    alarms: Journal,
    events: EventFile,
}

impl Logs {
    /// Opens the journals, cut behind `step`.
    pub(super) fn open(run: &RunFolder, step: u64) -> Result<Self, TrainError> {
        let write = |path: std::path::PathBuf| move |source| TrainError::Write { path, source };
        Ok(Self {
            steps: Journal::open(&run.steps(), step).map_err(write(run.steps()))?,
            measurements: Journal::open(&run.epochs(), step).map_err(write(run.epochs()))?,
            alarms: Journal::open(&run.alarms(), step).map_err(write(run.alarms()))?,
            events: EventFile::create(run.path(), unix_seconds())
                .map_err(write(run.path().into()))?,
        })
    }

    /// What a resumed run had seen.
    pub(super) fn alarms_so_far(run: &RunFolder) -> Result<Alarms, TrainError> {
        let lines = run.read_lines(&run.alarms())?;
        let alarms = lines.into_iter().map(serde_json::from_value);
        let alarms = alarms.filter_map(Result::ok).collect();
        let (steps, measurements) = (
            run.read_lines(&run.steps())?,
            run.read_lines(&run.epochs())?,
        );
        Ok(Alarms::resume(alarms, &steps, &measurements))
    }

    pub(super) fn step(
        &mut self,
        report: &StepReport,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        let mut scalars = vec![("loss".to_owned(), report.evaluation.total)];
        for term in &report.evaluation.terms {
            scalars.push((format!("term/{}", term.name), term.value));
            scalars.push((format!("weighted/{}", term.name), term.weighted));
        }
        scalars.push(("lr".into(), report.lr));
        scalars.push(("images_per_s".into(), progress.images_per_s));
        if let Some(telemetry) = &report.telemetry {
            scalars.extend(telemetry.scalars());
        }
        write(&mut self.steps, &mut self.events, progress, &scalars, &[])
    }

    pub(super) fn measurement(
        &mut self,
        progress: &Progress,
        report: &MonitorReport,
    ) -> Result<(), TrainError> {
        let outcomes = [
            ("representation", &report.spaces.representation_verdict),
            ("embedding", &report.spaces.embedding_verdict),
        ];
        let outcomes = outcomes.map(|(space, verdict)| {
            let outcome = serde_json::to_value(verdict.outcome).expect("an outcome is a word");
            (format!("{space}/outcome"), outcome)
        });
        write(
            &mut self.measurements,
            &mut self.events,
            progress,
            &report.scalars(),
            &outcomes,
        )
    }

    pub(super) fn alarm(&mut self, alarm: &Alarm) -> Result<(), TrainError> {
        let Ok(Value::Object(record)) = serde_json::to_value(alarm) else {
            unreachable!("an alarm is an object")
        };
        self.alarms
            .append(&record)
            .map_err(|source| TrainError::Write {
                path: "alarms.jsonl".into(),
                source,
            })
    }
}

fn write(
    journal: &mut Journal,
    events: &mut EventFile,
    progress: &Progress,
    scalars: &[(String, f64)],
    words: &[(String, Value)],
) -> Result<(), TrainError> {
    let mut record = Map::from_iter([
        ("step".to_owned(), progress.step.into()),
        ("epoch".to_owned(), progress.epoch.into()),
    ]);
    let numbers = scalars
        .iter()
        .map(|(name, value)| (name.clone(), number(*value)));
    record.extend(numbers);
    record.extend(words.iter().cloned());
    journal
        .append(&record)
        .and_then(|()| events.scalars(unix_seconds(), progress.step, scalars))
        .map_err(|source| TrainError::Write {
            path: "metrics".into(),
            source,
        })
}
