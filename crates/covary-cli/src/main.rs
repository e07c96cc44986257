//! The `covary` command: pretrain an encoder without labels, score it, explain and try losses, diagnose embeddings, look at data.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 the run failed, 2 bad input or a file that cannot be used, 130 interrupted.

mod command;
mod interrupt;
mod output;
mod threads;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A laboratory for self-supervised learning of images, on the CPU you have.
#[derive(Parser)]
#[command(
    name = "covary",
    version,
    about,
    after_help = "Start with: covary pretrain"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pretrain(command::pretrain::Pretrain),
    Probe(command::probe::Probe),
    Diagnose(command::diagnose::Diagnose),
    Explain(command::explain::Explain),
    Loss(command::loss::Loss),
    LossCheck(command::loss_check::LossCheck),
    List(command::list::List),
    Data(command::data::Data),
    Bench(command::bench::Bench),
    Study(command::study::StudyCommand),
    Report(command::report::Report),
    Forecast(command::forecast::Forecast),
}

/// Exit code of a run that was asked to stop.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    covary_train::prepare_heap();
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(words) => return tell(&words),
    };
    if let Err(error) = interrupt::listen() {
        return output::fail(&error);
    }
    let outcome = match command {
        Command::Pretrain(command) => command.run(),
        Command::Probe(command) => command.run(),
        Command::Diagnose(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Loss(command) => command.run(),
        Command::LossCheck(command) => command.run(),
        Command::List(_) => command::list::List::run(),
        Command::Data(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Study(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Forecast(command) => command.run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => output::fail(&error),
    }
}

/// Help and version go to stdout, wrong arguments to stderr; a write that fails is told by the exit code.
fn tell(words: &clap::Error) -> ExitCode {
    let written = words.print();
    let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    match written {
        _ if words.use_stderr() => ExitCode::from(2),
        Err(error) if !is_gone(&error) => {
            output::fail(&anyhow::Error::new(error).context("cannot write to stdout"))
        }
        _ => ExitCode::SUCCESS,
    }
}
