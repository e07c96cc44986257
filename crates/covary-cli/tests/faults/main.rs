//! What faults do to runs: kills at random times, random damage to files, two processes on one folder, disks that fill. By seed.
//!
//! Small by default. `COVARY_FAULTS=KILLS,CORRUPTIONS,RACES` sets how many of each (disks fill as often as there are kills), and
//! `COVARY_FAULTS_SEED` the seed. A table of what held ends the test; anything that did not is named above it with the seed and
//! number that bring it back.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod corrupt;
mod fill;
mod kill;
mod race;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use covary_data::rng::{Stream, stream};
use serde_json::Value;

/// Kills, corruptions, races of a call that does not say.
const SMALL: [u64; 3] = [4, 30, 4];

/// A run of a second that goes through every part: steps, measurements, checkpoints, scores, references.
const RECIPE: &str = r#"
method = "tico"
epochs = 3
batch_size = 16
threads = 1
[data]
path = "synthetic:160"
[augment]
size = 16
[encoder]
width = 4
[projector]
hidden = 16
dim = 8
[monitor]
images = 32
[checkpoint]
every_steps = 3
"#;

/// Files of a run that follow from its configuration to the bit.
const EXACT: [&str; 4] = [
    "checkpoint.safetensors",
    "encoder.safetensors",
    "epochs.jsonl",
    "spectra.json",
];

/// The folder that everything happens in, with a run that nothing happened to.
struct Bench {
    folder: tempfile::TempDir,
    seed: u64,
    /// How long a run takes here.
    duration: Duration,
}

/// What came of one fault: how it was withstood, or what went wrong.
type Held = Result<&'static str, String>;
/// Name, number and making of faults of one kind.
type Kind<'a> = (&'a str, u64, &'a dyn Fn(u64) -> Held);

impl Bench {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
        let mut bench = Self {
            folder,
            seed,
            duration: Duration::ZERO,
        };
        // The first run computes the reference lines that the others share.
        for run in ["first", "whole"] {
            let start = Instant::now();
            let output = bench
                .pretrain(&["recipe.toml", "--out", run])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", said(&output));
            bench.duration = start.elapsed();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_covary"));
        command
            .current_dir(self.folder.path())
            .env_remove("COVARY_ISA");
        command
    }

    fn pretrain(&self, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("pretrain").args(arguments);
        command
    }

    /// Random numbers of the fault `number` of a kind.
    fn random(&self, kind: u64, number: u64) -> Stream {
        stream(self.seed, kind, number, 0)
    }

    /// Whether a run ended with the bits of the one that nothing happened to, and nothing but a run's files is left.
    fn compare(&self, run: &str) -> Result<(), String> {
        for file in EXACT {
            let [whole, other] = ["whole", run].map(|run| std::fs::read(self.path(run).join(file)));
            let other = other.map_err(|error| format!("{file}: {error}"))?;
            if whole.unwrap() != other {
                return Err(format!("{file} differs"));
            }
        }
        let [whole, other] = ["whole", run].map(|run| losses(&self.path(run)));
        if whole != other {
            return Err("steps.jsonl differs".into());
        }
        let left = entries(&self.path(run))
            .into_iter()
            .find(|name| name.starts_with(".covary-"));
        left.map_or(Ok(()), |name| Err(format!("{name} is left behind")))
    }

    /// Goes on with a run until it ends.
    fn finish(&self, run: &str) -> Result<(), String> {
        let output = if self.path(run).join("config.toml").is_file() {
            self.pretrain(&["--resume", run]).output().unwrap()
        } else {
            self.pretrain(&["recipe.toml", "--out", run])
                .output()
                .unwrap()
        };
        if output.status.success() {
            self.compare(run)
        } else {
            Err(format!("does not go on: {}", said(&output)))
        }
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::create_dir(self.path(to)).unwrap();
        for name in entries(&self.path(from)) {
            std::fs::copy(self.path(from).join(&name), self.path(to).join(&name)).unwrap();
        }
    }

    fn remove(&self, run: &str) {
        std::fs::remove_dir_all(self.path(run)).unwrap();
    }
}

/// Names of a folder's files, sorted.
fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Steps of a journal with their losses.
fn losses(run: &Path) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(run.join("steps.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        (
            line["step"].as_u64().unwrap(),
            line["loss"].as_f64().unwrap(),
        )
    });
    lines.collect()
}

fn said(output: &Output) -> String {
    format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// Whether an output is one error as a user should see it: exit code 2, a message, no panic.
fn is_plain_error(output: &Output) -> bool {
    let talk = String::from_utf8_lossy(&output.stderr);
    output.status.code() == Some(2) && talk.contains("error: ") && !talk.contains("panicked")
}

#[test]
fn runs_hold_against_kills_damage_races_and_full_disks() {
    let counts = std::env::var("COVARY_FAULTS").ok();
    let counts: Vec<u64> = counts.map_or_else(
        || SMALL.into(),
        |text| {
            text.split(',')
                .map(|count| count.trim().parse().unwrap())
                .collect()
        },
    );
    let [kills, corruptions, races] = *counts else {
        panic!("COVARY_FAULTS takes three numbers: kills, corruptions, races")
    };
    let seed = std::env::var("COVARY_FAULTS_SEED").map_or(0, |seed| seed.parse().unwrap());
    let bench = Bench::new(seed);
    let corruption = corrupt::Victims::new(&bench);
    let kinds: [Kind<'_>; 4] = [
        ("kills", kills, &|number| kill::fault(&bench, number)),
        ("corruptions", corruptions, &|number| {
            corruption.fault(&bench, number)
        }),
        ("races", races, &|number| race::fault(&bench, number)),
        ("full disks", kills, &|number| fill::fault(&bench, number)),
    ];
    let mut table = format!("\nseed {seed}\n");
    let mut failures = Vec::new();
    for (kind, count, fault) in kinds {
        let mut ways = BTreeMap::new();
        for number in 0..count {
            match fault(number) {
                Ok(way) => *ways.entry(way).or_insert(0_u64) += 1,
                Err(reason) => failures.push(format!("{kind} {number} of seed {seed}: {reason}")),
            }
        }
        let held: u64 = ways.values().sum();
        let mut line = format!("{kind:<12} {held:>5} of {count:>5} held");
        for (way, count) in ways {
            line = format!("{line}; {count} {way}");
        }
        table.push_str(&line);
        table.push('\n');
    }
    // The harness of tests hides what is printed by macros where a test passes.
    std::io::stderr().write_all(table.as_bytes()).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
