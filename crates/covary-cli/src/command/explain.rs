//! `covary explain`: a loss in words, and what tells it from another.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_loss::tables::differences;
use covary_loss::{Objective, difference};
use covary_train::config::TrainConfig;

use crate::output::line;

/// Print the formula of a method's loss with every factor filled in, or the difference between two.
#[derive(Args)]
pub(crate) struct Explain {
    /// A preset, a recipe, a kind of term (`covary list`) or the path of a TOML file.
    #[arg(default_value = "quick")]
    method: String,
    /// Change one key, as in `covary pretrain`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Say what tells this one apart from the first.
    #[arg(long, value_name = "METHOD")]
    against: Option<String>,
}

impl Explain {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let config = TrainConfig::resolve_loss(&self.method, &self.set)?;
        let Some(other) = self.against else {
            let objective = Objective::of_views(&config.method_config(), config.view_count())?;
            line(
                objective
                    .explain(config.batch_size, config.projector.dim)
                    .trim_end(),
            )?;
            return Ok(ExitCode::SUCCESS);
        };
        let against = TrainConfig::resolve_loss(&other, &[])?;
        let methods = [config.method_config(), against.method_config()];
        let mut sentences = difference((&self.method, &methods[0]), (&other, &methods[1]))?;
        let projector = |config: &TrainConfig| {
            let mut table = config.to_table();
            table.retain(|key, _| key == "projector");
            table
        };
        sentences.extend(differences(&projector(&config), &projector(&against)));
        if sentences.is_empty() {
            line("no difference")?;
        }
        for sentence in sentences {
            line(&sentence)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
