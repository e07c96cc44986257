//! `covary data`: fetch a data set, look at what augmentation makes of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use covary_data::{FetchOptions, PreviewOptions};
use covary_train::config::TrainConfig;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{line, say};

/// Fetch data sets, preview augmentation.
#[derive(Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    /// Download a data set's official archive, checked.
    Fetch {
        /// Name: cifar10 or cifar100.
        name: String,
        /// Folder to put it into.
        #[arg(long, default_value = "data")]
        out: PathBuf,
    },
    /// Write a PNG of images beside their augmented views.
    Preview {
        /// A recipe or the path of a TOML file: its data and augmentation.
        #[arg(default_value = "quick")]
        recipe: String,
        /// Change one key, as in `covary pretrain`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// The picture.
        #[arg(long, short, default_value = "preview.png")]
        out: PathBuf,
        /// Images, one a row.
        #[arg(long, default_value_t = 8)]
        images: usize,
    },
}

impl Data {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            DataCommand::Fetch { name, out } => {
                let bar = ProgressBar::new(0);
                bar.set_style(
                    ProgressStyle::with_template("{bar:24} {bytes}/{total_bytes}, {eta} left")
                        .expect("the template is well-formed"),
                );
                let fetched =
                    covary_data::fetch(&name, &out, &FetchOptions::default(), &mut |progress| {
                        bar.set_length(progress.total);
                        bar.set_position(progress.received);
                    });
                bar.finish_and_clear();
                let path = fetched?;
                line(&path.display().to_string())?;
                say(&format!(
                    "use it with: covary pretrain --set data.path={}",
                    path.display()
                ));
            }
            DataCommand::Preview {
                recipe,
                set,
                out,
                images,
            } => {
                let config = TrainConfig::resolve(&recipe, &set)?;
                let splits = config.data.open(&config.augment)?;
                for note in &splits.notes {
                    say(&format!("data: {note}"));
                }
                let preview = PreviewOptions {
                    images,
                    seed: config.seed,
                    ..PreviewOptions::default()
                };
                covary_data::preview(&splits.train, &config.augment, preview, &out)?;
                line(&out.display().to_string())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
