//! Files that cannot grow (a limit of the process, EFBIG) and a stdout that is full (`/dev/full`, ENOSPC): one error, and a run that
//! goes on to the same bits once there is room.

use std::fs::File;
use std::process::{Command, Stdio};

use rand::RngExt;

use crate::{Bench, Held, is_plain_error, said};

/// Units of the limit, 512 bytes each (POSIX `ulimit -f`); a checkpoint has some hundreds of them.
const UNITS: u64 = 800;

pub(crate) fn fault(bench: &Bench, number: u64) -> Held {
    if number.is_multiple_of(2) {
        limited(bench, number)
    } else {
        full_stdout(bench, number)
    }
}

fn limited(bench: &Bench, number: u64) -> Held {
    let run = format!("filled-{number}");
    let units = bench.random(4, number).random_range(1..UNITS);
    let script = format!("ulimit -f {units}; exec \"$0\" pretrain recipe.toml --out {run}");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_covary")])
        .current_dir(bench.folder.path())
        .output()
        .unwrap();
    let way = if output.status.success() {
        bench.compare(&run)?;
        "had room"
    } else if is_plain_error(&output) && said(&output).contains("cannot write") {
        bench.finish(&run)?;
        "told, and ended with the same bits"
    } else {
        return Err(format!("{units} units: {}", said(&output)));
    };
    bench.remove(&run);
    Ok(way)
}

fn full_stdout(bench: &Bench, number: u64) -> Held {
    let commands: [&[&str]; 6] = [
        &["list"],
        &["pretrain", "--print-config"],
        &["probe", "whole", "--json"],
        &["diagnose", "whole", "--json"],
        &["pretrain", "--resume", "whole", "--json"],
        &["--help"],
    ];
    let arguments = commands[(number / 2) as usize % commands.len()];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = bench
        .command()
        .args(arguments)
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    if is_plain_error(&output) && said(&output).contains("cannot write to stdout") {
        Ok("told of stdout")
    } else {
        Err(format!("{arguments:?}: {}", said(&output)))
    }
}
