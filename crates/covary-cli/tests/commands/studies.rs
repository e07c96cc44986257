//! Studies as a user runs them: what is trained, what a kill leaves, what a changed plan costs, what is refused.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::{SMALL, covary, last_json, text};

const PLAN: &str = r#"
seeds = [0, 1]
[base]
recipe = "small.toml"
[[variant]]
name = "no-covariance"
set = ["terms.covariance.weight=0"]
[[variant]]
name = "diverges"
set = ["optimizer.lr=1e30", "schedule.warmup=0"]
[[contrast]]
left = "diverges"
expect = "left collapses"
"#;

fn folder(plan: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // A scored run of seconds that does not collapse.
    let recipe = SMALL
        .replace("\"tico\"", "\"vicreg\"")
        .replace("epochs = 3", "epochs = 2");
    std::fs::write(folder.path().join("small.toml"), recipe).unwrap();
    std::fs::write(folder.path().join("plan.toml"), plan).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    covary(folder).args(arguments).output().unwrap()
}

/// [`run`], with what it said where it fails.
fn succeed(folder: &Path, arguments: &[&str]) -> Output {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// When each run's result was written, by key.
fn results(study: &Path) -> BTreeMap<String, SystemTime> {
    let entries = std::fs::read_dir(study.join("runs")).unwrap();
    let folders = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let finished = folders.filter(|path| path.join("result.json").is_file());
    finished
        .map(|path| {
            let written = path
                .join("result.json")
                .metadata()
                .unwrap()
                .modified()
                .unwrap();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                written,
            )
        })
        .collect()
}

/// Waits until some run of the study has taken so many steps.
fn wait_for_steps(study: &Path, child: &mut Child, steps: usize) {
    let start = Instant::now();
    loop {
        let entries = std::fs::read_dir(study.join("runs")).into_iter().flatten();
        let journals: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path().join("steps.jsonl"))
            .collect();
        let lines =
            |path: &PathBuf| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
        if journals.iter().any(|path| lines(path) >= steps) {
            return;
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "the study ended before step {steps}"
        );
        assert!(start.elapsed() < Duration::from_mins(2), "no step {steps}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_study_ends_with_effects_and_a_diverged_run_is_an_outcome() {
    let folder = folder(PLAN);
    let output = succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--json"],
    );
    let analysis = last_json(&output);
    let states: Vec<_> = analysis["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| {
            (
                arm["name"].clone(),
                arm["lost"]["k"].clone(),
                arm["lost"]["n"].clone(),
            )
        })
        .collect();
    assert_eq!(
        states[2],
        ("diverges".into(), 2.into(), 2.into()),
        "{states:?}"
    );
    assert_eq!(analysis["contrasts"][0]["verdict"], "agrees");
    let talk = text(&output.stderr);
    assert!(talk.contains("[6/6]"), "{talk}");

    // The numbers are those of the runs' own results.
    let linear = |arm: &Value, seed: usize| {
        let key = arm["runs"][seed]["key"].as_str().unwrap();
        let path = folder
            .path()
            .join("study/runs")
            .join(key)
            .join("result.json");
        let result: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        result["linear_top1"].as_f64().unwrap()
    };
    let (base, variant) = (&analysis["arms"][0], &analysis["arms"][1]);
    assert_eq!(
        (&base["lost"]["k"], &variant["lost"]["k"]),
        (&0.into(), &0.into())
    );
    let mean = (0..2)
        .map(|seed| linear(variant, seed) - linear(base, seed))
        .sum::<f64>()
        / 2.0;
    let paired = &analysis["effects"][0]["variants"][0]["paired"]["difference"]["value"];
    assert!((paired.as_f64().unwrap() - mean).abs() < 1e-12);

    // Nothing is trained twice, a changed variant alone is trained anew, and status reads it all from anywhere.
    let before = results(&folder.path().join("study"));
    let refused = run(folder.path(), &["study", "plan.toml", "--out", "study"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("--resume"),
        "{}",
        text(&refused.stderr)
    );
    let changed = PLAN.replace("terms.covariance.weight=0", "terms.covariance.weight=0.5");
    std::fs::write(folder.path().join("plan.toml"), changed).unwrap();
    succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--resume"],
    );
    let after = results(&folder.path().join("study"));
    assert_eq!(after.len(), before.len() + 2);
    assert!(before.iter().all(|(key, written)| after[key] == *written));
    let elsewhere = tempfile::tempdir().unwrap();
    let study = folder.path().join("study");
    let status = succeed(
        elsewhere.path(),
        &["study", "status", study.to_str().unwrap()],
    );
    assert!(
        text(&status.stdout).contains("diverged"),
        "{}",
        text(&status.stdout)
    );
}

#[test]
fn a_killed_study_goes_on_and_ends_with_the_bits_of_one_left_alone() {
    // Some seconds of training, so that a signal meets it before its end.
    let plan = "seeds = [0]\n[base]\nrecipe = \"small.toml\"\nset = [\"epochs=100\"]\n[[variant]]\nname = \"longer\"\nset = [\"epochs=101\"]\n";
    let folder = folder(plan);
    succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "whole", "--jobs", "2"],
    );
    let start = |resume: bool| {
        let mut command = covary(folder.path());
        command
            .args(["study", "plan.toml", "--out", "killed"])
            .args(resume.then_some("--resume"));
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let killed = folder.path().join("killed");
    let mut child = start(false);
    wait_for_steps(&killed, &mut child, 4);
    child.kill().unwrap();
    child.wait().unwrap();

    // The run's own process may live on; the study waits for it, and Ctrl-C stops both with a checkpoint. What it says of the run tells
    // that it listens for the signal.
    let mut child = start(true);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("base, seed 0") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it never began");
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");

    let output = start(true).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let keys: Vec<_> = results(&folder.path().join("whole")).into_keys().collect();
    assert_eq!(keys, results(&killed).into_keys().collect::<Vec<_>>());
    for key in keys {
        let encoder = |study: &str| {
            let run = folder.path().join(study).join("runs").join(&key);
            std::fs::read(run.join("encoder.safetensors")).unwrap()
        };
        assert!(encoder("whole") == encoder("killed"), "{key}");
    }
}

#[test]
fn a_study_has_a_report_and_forecasts_a_run() {
    let plan = "seeds = [0, 1]\n[base]\nrecipe = \"small.toml\"\nset = [\"epochs=4\"]\n\
        [[variant]]\nname = \"no-covariance\"\nset = [\"terms.covariance.weight=0\"]\n\
        [[variant]]\nname = \"no-variance\"\nset = [\"terms.variance.weight=0\"]\n\
        [[variant]]\nname = \"slow\"\nset = [\"optimizer.lr=1e-4\"]\n";
    let folder = folder(plan);
    succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--jobs", "2"],
    );

    let report = succeed(folder.path(), &["report", "study", "-o", "out/page.html"]);
    assert_eq!(text(&report.stdout).trim(), "out/page.html");
    let html = std::fs::read_to_string(folder.path().join("out/page.html")).unwrap();
    assert!(html.contains("no-covariance") && html.contains("<section id=\"spectra\">"));
    let csv = std::fs::read_to_string(folder.path().join("out/page-tables/runs.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 8);

    let key = results(&folder.path().join("study"))
        .into_keys()
        .next()
        .unwrap();
    let one = format!("study/runs/{key}");
    succeed(folder.path(), &["report", &one]);
    assert!(folder.path().join(&one).join("report.html").is_file());

    let output = succeed(
        folder.path(),
        &["forecast", &one, "--from", "study", "--at", "0.5", "--json"],
    );
    let forecast = last_json(&output);
    assert_eq!(
        (&forecast["runs"], &forecast["variants"], &forecast["step"]),
        (&6.into(), &3.into(), &20.into())
    );
    let chance = forecast["chance_of_collapse"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&chance));
    assert!(
        text(&output.stderr).contains("learnt from 6 runs of 3 other variants"),
        "{}",
        text(&output.stderr)
    );

    for (arguments, words) in [
        (["report", "."].as_slice(), "neither a run"),
        (&["forecast", &one, "--from", &one], "holds no study"),
        (
            &["forecast", &one, "--from", "study", "--at", "2"],
            "above 0 and at most 1",
        ),
        (&["study", "status", "out"], "holds no study"),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(words),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_study_of_margins_draws_where_a_technique_is_lost() {
    let plan = "kind = \"margin\"\nseeds = [0]\n[base]\nrecipe = \"small.toml\"\nset = [\"epochs=1\", \"score=false\"]\n\
        [margin]\nlr = [1, 1e30]\nweight = [1, 0]\n[[variant]]\nname = \"vicreg\"\nset = [\"schedule.warmup=0\"]\n\
        regulariser = [\"variance\", \"covariance\"]\n";
    let folder = folder(plan);
    let output = succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--json"],
    );
    let map = &last_json(&output)["margins"][0];
    for row in 0..2 {
        assert_eq!(map["cells"][row][1]["diverged"], 1, "{map}");
        assert!(map["cells"][row][0]["accuracy"].is_number(), "{map}");
    }
}

#[test]
fn a_dry_run_lists_the_runs_and_writes_nothing() {
    let folder = folder(PLAN);
    let output = succeed(folder.path(), &["study", "plan.toml", "--dry-run"]);
    let list = text(&output.stdout);
    assert!(list.contains("6 runs, 0 of them done"), "{list}");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_dry_run_of_a_study_that_was_begun_counts_what_is_left() {
    let folder = folder(PLAN);
    succeed(folder.path(), &["study", "plan.toml", "--out", "study"]);
    let plan = PLAN.replace("seeds = [0, 1]", "seeds = [0, 1, 2]");
    std::fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let output = succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--dry-run"],
    );
    let list = text(&output.stdout);
    assert!(list.contains("9 runs, 6 of them done"), "{list}");
    assert_eq!(list.matches("missing").count(), 3, "{list}");

    std::fs::write(folder.path().join("plan.toml"), PLAN).unwrap();
    let done = succeed(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--dry-run"],
    );
    assert!(text(&done.stdout).contains("6 runs, all of them done"));
    assert!(!text(&done.stderr).contains("timing"));
}

#[test]
fn runs_that_cannot_start_are_told_and_tried_again() {
    let folder = folder(
        "seeds = [0]\n[base]\nrecipe = \"small.toml\"\nset = [\"data.path=missing\"]\n[[variant]]\nname = \"a\"\nset = [\"epochs=1\"]\n",
    );
    let output = run(folder.path(), &["study", "plan.toml", "--out", "study"]);
    let talk = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(
        talk.contains("missing") && talk.contains("ended without a result"),
        "{talk}"
    );
    let again = run(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--resume"],
    );
    assert!(
        text(&again.stderr).contains("[2/2]"),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn a_plan_that_cannot_be_run_is_refused_before_anything_is_written() {
    for (plan, words, hint) in [
        (
            "[base]\n[[varient]]\nname = \"a\"",
            "unknown field `varient`",
            "docs/studies.md",
        ),
        (
            "[base]\n[[variant]]\nname = \"a\"\nset = [\"encoder.width=0\"]",
            "a: --set encoder.width=0",
            "",
        ),
        (
            "[base]\n[[variant]]\nname = \"a\"\nset = [\"optimiser.lr=1\"]",
            "unknown key optimiser",
            "did you mean optimizer",
        ),
        (
            "[base]\n[[variant]]\nname = \"a\"\nset = [\"epochs=1\"]\n[[contrast]]\nleft = \"b\"\nexpect = \"left survives\"",
            "there is no b",
            "docs/studies.md",
        ),
    ] {
        let folder = folder(plan);
        let output = run(folder.path(), &["study", "plan.toml"]);
        let talk = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{talk}");
        assert!(
            talk.contains(words) && talk.contains(hint),
            "{words}: {talk}"
        );
        assert!(!folder.path().join("runs").exists());
    }
}

#[test]
fn a_study_that_runs_is_not_gone_through_by_another_process() {
    let folder = folder(PLAN);
    let arguments = ["study", "plan.toml", "--out", "study"];
    let mut first = covary(folder.path())
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_steps(&folder.path().join("study"), &mut first, 2);
    let second = run(
        folder.path(),
        &["study", "plan.toml", "--out", "study", "--resume"],
    );
    let said = text(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("process {}", first.id())), "{said}");
    let interrupted = Command::new("kill")
        .args(["-INT", &first.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    assert_eq!(first.wait().unwrap().code(), Some(130));
}
