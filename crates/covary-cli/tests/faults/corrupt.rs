//! Random damage to the files of a run: flipped bits, files cut short, blocks of zeros. Whatever reads the run then says which file is
//! damaged, or comes to the very same numbers.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;

use crate::{Bench, Held, entries, is_plain_error, said};

/// Bytes of a block that reads as zeros.
const BLOCK: usize = 64;

/// A finished run, one that was interrupted, and what is computed from the finished one.
pub(crate) struct Victims {
    probed: Value,
    diagnosed: Value,
}

impl Victims {
    pub(crate) fn new(bench: &Bench) -> Self {
        // Interrupted after some steps, so that there is a checkpoint and more to do.
        let mut child = bench
            .pretrain(&["recipe.toml", "--out", "half"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let journal = bench.path("half").join("steps.jsonl");
        let lines = || std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
        while lines() < 8 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let signal = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(signal.unwrap().success());
        child.wait().unwrap();
        Self {
            probed: read(bench, "probe", "whole", "").expect("a whole run is scored"),
            diagnosed: read(bench, "diagnose", "whole", "").expect("a whole run is measured"),
        }
    }

    pub(crate) fn fault(&self, bench: &Bench, number: u64) -> Held {
        let mut random = bench.random(2, number);
        let action = ["resume", "probe", "diagnose"][random.random_range(0..3)];
        let victim = if action == "resume" { "half" } else { "whole" };
        let run = format!("damaged-{number}");
        bench.copy(victim, &run);
        let files = entries(&bench.path(&run));
        let file = &files[random.random_range(0..files.len())];
        let path = bench.path(&run).join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.is_empty() {
            bench.remove(&run);
            return Ok("harmless");
        }
        let at = random.random_range(0..bytes.len());
        let damage = random.random_range(0..4);
        match damage {
            0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            _ => {
                let end = bytes.len().min(at + BLOCK);
                bytes[at..end].fill(0);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let what = format!("{action}, {file} damaged at {at} by {damage}");
        let outcome = if action == "resume" {
            let output = bench.pretrain(&["--resume", &run]).output().unwrap();
            if output.status.success() {
                bench.compare(&run).map(|()| "harmless")
            } else {
                told(&output, file)
            }
        } else {
            let expected = if action == "probe" {
                &self.probed
            } else {
                &self.diagnosed
            };
            match read(bench, action, &run, file) {
                Ok(value) if value == *expected => Ok("harmless"),
                Ok(_) => Err("other numbers, without a word".into()),
                Err(way) => way,
            }
        };
        bench.remove(&run);
        outcome.map_err(|reason| format!("{what}: {reason}"))
    }
}

/// What a command says of a run but for its name, or how it failed.
fn read(bench: &Bench, action: &str, run: &str, damaged: &str) -> Result<Value, Held> {
    let output = bench
        .command()
        .args([action, run, "--json"])
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(told(&output, damaged));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let mut value: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    value["run"] = Value::Null;
    Ok(value)
}

/// Whether an error names the file that is damaged. A configuration that says something else is told by what it says.
fn told(output: &Output, file: &str) -> Held {
    let words = said(output);
    if is_plain_error(output) && (words.contains(file) || file == "config.toml") {
        Ok("told")
    } else {
        Err(words)
    }
}
