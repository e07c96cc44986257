//! `covary explain`: a loss in words, and what tells it from another.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_train::config::TrainConfig;
use covary_train::loss::{Objective, difference};

use crate::output::line;

/// Print the formula of a method's loss with every factor filled in, or the difference between two.
#[derive(Args)]
pub(crate) struct Explain {
    /// A preset, a recipe (`covary list`) or the path of a TOML file.
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
        let config = TrainConfig::resolve(&self.method, &self.set)?;
        let Some(other) = self.against else {
            let objective = Objective::new(&config.method_config())?;
            line(
                objective
                    .explain(config.batch_size, config.projector.dim)
                    .trim_end(),
            );
            return Ok(ExitCode::SUCCESS);
        };
        let against = TrainConfig::resolve(&other, &[])?;
        let sentences = difference((&self.method, &config), (&other, &against))?;
        if sentences.is_empty() {
            line("no difference");
        }
        for sentence in sentences {
            line(&sentence);
        }
        Ok(ExitCode::SUCCESS)
    }
}
