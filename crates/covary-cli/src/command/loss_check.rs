//! `covary loss-check`: does a loss by itself hold collapse off?

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_loss::{CheckOptions, check};
use covary_train::config::TrainConfig;

use crate::output::{Table, line, say};

/// Optimise free embeddings under a loss, without a network, from three starts: does it hold collapse off?
///
/// Verdicts: collapses, dimensional, unbounded, resists. Seconds, before any training.
#[derive(Args)]
pub(crate) struct LossCheck {
    /// A preset, a recipe, a kind of term (`covary list`) or the path of a TOML file.
    method: String,
    /// Change one key, as in `covary pretrain`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Steps from each start.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
}

impl LossCheck {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let config = TrainConfig::resolve_loss(&self.method, &self.set)?;
        let options = CheckOptions {
            steps: self.steps,
            views: config.view_count(),
            ..CheckOptions::default()
        };
        let report = check(&config.method_config(), options)?;
        let mut table = Table::new(&[
            "start",
            "loss",
            "std",
            "relative std",
            "participation ratio",
        ]);
        let change = |[before, after]: [f64; 2]| format!("{before:.4} → {after:.4}");
        for course in &report.courses {
            table.row(vec![
                word(&course.start),
                change(course.loss),
                change(course.std),
                change(course.relative_std),
                change(course.participation_ratio),
            ]);
        }
        say(&format!(
            "\n{} free embeddings of width {}, {} steps\n\n{}",
            options.n,
            options.d,
            options.steps,
            table.render()
        ));
        let [at_1, at_10, at_100] = report.scaled;
        say(&format!(
            "  spread and aligned, scaled by 1, 10, 100: loss {at_1:.4}, {at_10:.4}, {at_100:.4}\n"
        ));
        say(&format!("{}: {}", word(&report.verdict), report.reason));
        if self.json {
            line(&serde_json::to_string(&report)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
