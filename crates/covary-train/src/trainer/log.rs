//! What a run writes while it trains: a line a step, a line a measurement, a line an alarm, and the same numbers for TensorBoard.

use serde_json::{Map, Value};

use super::{Alarm, Alarms, Progress, StepReport};
use crate::TrainError;
use crate::monitor::MonitorReport;
use crate::run::{
    Belonging, Checkpoint, EventFile, Journal, Keep, RunFolder, number, unix_seconds,
};

/// The journals of a run.
pub(super) struct Logs {
    steps: Journal,
    measurements: Journal,
    alarms: Journal,
    events: EventFile,
}

impl Logs {
    /// Opens the journals, cut behind `step`, with so many measurements and alarms as `belonging` says.
    pub(super) fn open(
        run: &RunFolder,
        step: u64,
        belonging: Option<&Belonging>,
    ) -> Result<Self, TrainError> {
        let lines = |of: fn(&Belonging) -> u64| match belonging {
            Some(belonging) => Keep::Lines {
                count: of(belonging),
                step,
            },
            None => Keep::UpTo(step),
        };
        Ok(Self {
            steps: Journal::open(&run.steps(), Keep::EveryStep(step))?,
            measurements: Journal::open(&run.epochs(), lines(|there| there.measurements))?,
            alarms: Journal::open(&run.alarms(), lines(|there| there.alarms))?,
            events: EventFile::create(run.path(), unix_seconds(), step)?,
        })
    }

    /// Makes a checkpoint the newest of the run, once every line before it is on the disk.
    pub(super) fn save(
        &self,
        mut checkpoint: Checkpoint,
        identity: &str,
        run: &RunFolder,
    ) -> Result<(), TrainError> {
        for journal in [&self.steps, &self.measurements, &self.alarms] {
            journal.sync()?;
        }
        checkpoint.belonging = Some(Belonging {
            identity: identity.into(),
            measurements: self.measurements.lines(),
            alarms: self.alarms.lines(),
        });
        checkpoint.save(&run.checkpoint())
    }

    /// What a resumed run had seen.
    pub(super) fn alarms_so_far(run: &RunFolder) -> Result<Alarms, TrainError> {
        let path = run.alarms();
        let lines = run.read_lines(&path)?.into_iter().enumerate();
        let alarms = lines
            .map(|(index, line)| {
                serde_json::from_value(line).map_err(|error| TrainError::Journal {
                    path: path.clone(),
                    line: index + 1,
                    reason: error.to_string(),
                })
            })
            .collect::<Result<_, _>>()?;
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
        self.alarms.append(&record)
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
    journal.append(&record)?;
    events
        .scalars(unix_seconds(), progress.step, scalars)
        .map_err(|source| TrainError::Write {
            path: events.path().into(),
            source,
        })
}
