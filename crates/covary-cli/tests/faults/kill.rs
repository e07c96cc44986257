//! SIGKILL at random times, up to three times a run; what goes on ends with the bits of a run left alone.

use std::process::Stdio;
use std::time::Duration;

use rand::RngExt;

use crate::{Bench, Held};

/// Kills of one run at most.
const KILLS: u64 = 3;

pub(crate) fn fault(bench: &Bench, number: u64) -> Held {
    let mut random = bench.random(1, number);
    let run = format!("killed-{number}");
    for _ in 0..random.random_range(1..=KILLS) {
        let is_begun = bench.path(&run).join("config.toml").is_file();
        let mut command = if is_begun {
            bench.pretrain(&["--resume", &run])
        } else {
            bench.pretrain(&["recipe.toml", "--out", &run])
        };
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let share: f64 = random.random_range(0.0..1.1);
        std::thread::sleep(Duration::from_secs_f64(
            share * bench.duration.as_secs_f64(),
        ));
        // One that has ended is not there to be killed.
        let _ = child.kill();
        child.wait().unwrap();
    }
    bench.finish(&run)?;
    bench.remove(&run);
    Ok("ended with the same bits")
}
