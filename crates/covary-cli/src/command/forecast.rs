//! `covary forecast`: what will become of a run, from the beginning of its training and a study of others.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use covary_study::forecast::{Prediction, predict};
use covary_study::{Record, Study};

use crate::output::{Table, line, say};

/// Forecast a run's chance of collapse and final accuracy from the beginning of its training.
#[derive(Args)]
pub(crate) struct Forecast {
    /// Folder of the run; it may still be trained.
    run: PathBuf,
    /// Folder of the study to learn from.
    #[arg(long, value_name = "STUDY")]
    from: PathBuf,
    /// Fraction of training to look at.
    #[arg(long, default_value_t = 0.1)]
    at: f64,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
}

impl Forecast {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if !(self.at > 0.0 && self.at <= 1.0) {
            bail!(
                "--at {}: a fraction of training is above 0 and at most 1",
                self.at
            );
        }
        let record = Record::read(&self.run)?;
        let prediction = predict(&record, &Study::open(&self.from)?, self.at)?;
        say(&text(&prediction));
        if self.json {
            line(&serde_json::to_string(&prediction)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(prediction: &Prediction) -> String {
    let by = |metric: &Option<String>, otherwise: &str| {
        metric
            .clone()
            .unwrap_or_else(|| format!("no metric is better than the {otherwise}"))
    };
    let percent = |value: f64| format!("{:.1} %", 100.0 * value);
    let mut table = Table::new(&["", "forecast", "95 % interval", "by"]);
    table.row(vec![
        "chance of collapse or divergence".into(),
        percent(prediction.chance_of_collapse),
        "–".into(),
        by(&prediction.collapse_metric, "rate"),
    ]);
    let interval = prediction.interval.map_or_else(
        || "–".into(),
        |[low, high]| format!("{} to {}", percent(low), percent(high)),
    );
    table.row(vec![
        "final linear top-1".into(),
        prediction.accuracy.map_or_else(|| "–".into(), percent),
        interval,
        by(&prediction.accuracy_metric, "mean"),
    ]);
    let judged = &prediction.evaluation;
    format!(
        "\nfrom the first {} steps ({:.0} % of training), learnt from {} runs of {} other variants\n\n{}\n  on variants left out such \
         forecasts of accuracy err by {:.1} points (the mean of the others by {:.1}),\n  hold {:.0} % of accuracies in their interval, and \
         have a Brier score of {:.3} (the rate of the others {:.3})\n  {}\n",
        prediction.step,
        100.0 * prediction.fraction,
        prediction.runs,
        prediction.variants,
        table.render(),
        100.0 * judged.metrics.accuracy_error,
        100.0 * judged.nothing.accuracy_error,
        100.0 * judged.metrics.coverage,
        judged.metrics.brier,
        judged.nothing.brier,
        judged.finding()
    )
}
