//! Two processes that want the same folder at about the same time: one has it, the other says who has it.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rand::RngExt;

use crate::{Bench, Held, is_plain_error, said};

/// Between the two starts at most.
const APART: u64 = 60;

pub(crate) fn fault(bench: &Bench, number: u64) -> Held {
    let mut random = bench.random(3, number);
    let pause = Duration::from_millis(random.random_range(0..=APART));
    match number % 3 {
        0 => {
            let run = format!("raced-{number}");
            let make = || bench.pretrain(&["recipe.toml", "--out", &run]);
            exclusive(bench, &run, &pair(make, pause))
        }
        1 => {
            let run = format!("raced-{number}");
            bench.copy("half", &run);
            let make = || bench.pretrain(&["--resume", &run]);
            exclusive(bench, &run, &pair(make, pause))
        }
        _ => shared(
            bench,
            pair(|| bench.pretrain(&["recipe.toml", "--json"]), pause),
        ),
    }
}

fn pair(make: impl Fn() -> Command, pause: Duration) -> [Output; 2] {
    let start = || -> Child {
        let mut command = make();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let first = start();
    std::thread::sleep(pause);
    let second = start();
    [first, second].map(|child| child.wait_with_output().unwrap())
}

/// One process trains, the other is refused.
fn exclusive(bench: &Bench, run: &str, outputs: &[Output; 2]) -> Held {
    let (done, refused): (Vec<_>, Vec<_>) =
        outputs.iter().partition(|output| output.status.success());
    let talk: String = outputs.iter().map(said).collect::<Vec<_>>().join("\n");
    let is_told = |output: &&Output| {
        let words = said(output);
        is_plain_error(output) && (words.contains("process ") || words.contains("holds a run"))
    };
    if done.len() != 1 || !refused.iter().all(is_told) {
        return Err(talk);
    }
    bench.compare(run)?;
    bench.remove(run);
    Ok("one refused")
}

/// Both train, each in a folder of its own.
fn shared(bench: &Bench, outputs: [Output; 2]) -> Held {
    let runs = outputs.map(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let result: Result<serde_json::Value, _> = serde_json::from_str(text.trim());
        result
            .map(|result| result["run"].as_str().unwrap().to_owned())
            .map_err(|_| said(&output))
    });
    let [first, second] = runs;
    let (first, second) = (first?, second?);
    if first == second {
        return Err(format!("both in {first}"));
    }
    for run in [first, second] {
        bench.compare(&run)?;
        bench.remove(&run);
    }
    Ok("in own folders")
}
