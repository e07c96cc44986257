//! Run folders as users treat them: shared, moved, finished, mistyped, of other configurations, of older versions, interrupted.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;

use crate::{covary, folder, last_json, text};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    covary(folder).args(arguments).output().unwrap()
}

/// [`run`] that has to succeed.
fn succeed(folder: &Path, arguments: &[&str]) -> Output {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// [`run`] that has to end in one error with these words.
fn refuse(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = run(folder, arguments);
    let talk = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {talk}");
    for word in words {
        assert!(talk.contains(word), "{word} is missing in: {talk}");
    }
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap()
}

/// Waits for a file to hold so many lines.
fn wait_for(path: &Path, lines: usize) {
    let start = Instant::now();
    let there = || std::fs::read(path).map(|bytes| bytes.split(|byte| *byte == b'\n').count());
    while there().map_or(true, |count| count <= lines) {
        assert!(
            start.elapsed() < Duration::from_mins(2),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_finished_run_says_so_and_stays_as_it_is() {
    let folder = folder();
    let path = folder.path();
    let first = succeed(path, &["pretrain", "small.toml", "--out", "run", "--json"]);
    let before =
        ["result.json", "steps.jsonl", "run.json"].map(|file| read(&path.join("run"), file));
    let again = succeed(path, &["pretrain", "--resume", "run", "--json"]);
    assert!(text(&again.stderr).contains("run is finished; nothing was changed"));
    assert_eq!(last_json(&again), last_json(&first));
    let after =
        ["result.json", "steps.jsonl", "run.json"].map(|file| read(&path.join("run"), file));
    assert!(before == after);
    refuse(
        path,
        &["pretrain", "--resume", "run", "--set", "epochs=9"],
        &[
            "run is finished",
            "epochs (3 -> 9)",
            "run/config.toml --set epochs",
        ],
    );
}

#[test]
fn the_folder_is_looked_at_first_and_quick_is_a_recipe_like_any_other() {
    let folder = folder();
    refuse(
        folder.path(),
        &["pretrain", "--resume", "typo"],
        &["typo", "no such folder"],
    );
    succeed(folder.path(), &["pretrain", "small.toml", "--out", "run"]);
    refuse(
        folder.path(),
        &["pretrain", "quick", "--resume", "run"],
        &["epochs", "batch_size (16 -> "],
    );
}

#[test]
fn a_folder_with_a_checkpoint_is_not_taken_over_and_one_of_another_configuration_is_refused() {
    let folder = folder();
    let path = folder.path();
    succeed(path, &["pretrain", "small.toml", "--out", "a"]);
    std::fs::create_dir(path.join("b")).unwrap();
    std::fs::copy(
        path.join("a/checkpoint.safetensors"),
        path.join("b/checkpoint.safetensors"),
    )
    .unwrap();
    refuse(
        path,
        &["pretrain", "small.toml", "--out", "b"],
        &["b holds a run already", "checkpoint.safetensors"],
    );
    succeed(
        path,
        &["pretrain", "small.toml", "--out", "c", "--set", "seed=1"],
    );
    std::fs::remove_file(path.join("c/result.json")).unwrap();
    for file in ["checkpoint.safetensors", "encoder.safetensors"] {
        std::fs::copy(path.join("a").join(file), path.join("c").join(file)).unwrap();
    }
    for arguments in [
        &["pretrain", "--resume", "c"][..],
        &["probe", "c"],
        &["diagnose", "c"],
    ] {
        refuse(
            path,
            arguments,
            &["c/", "another configuration", "config.toml"],
        );
    }
}

#[test]
fn runs_of_older_versions_without_digests_go_on_with_a_note() {
    let folder = folder();
    let path = folder.path();
    succeed(path, &["pretrain", "small.toml", "--out", "run"]);
    let whole = read(path, "run/result.json");
    for (file, keep) in [("checkpoint", &["step"][..]), ("encoder", &[])] {
        let file = path.join(format!("run/{file}.safetensors"));
        let bytes = std::fs::read(&file).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut metadata: HashMap<String, String> = header.metadata().clone().unwrap();
        metadata.retain(|key, _| keep.contains(&key.as_str()));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let plain = safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap();
        std::fs::write(&file, plain).unwrap();
    }
    for file in ["steps.jsonl", "epochs.jsonl", "alarms.jsonl"] {
        let file = path.join("run").join(file);
        let lines = std::fs::read_to_string(&file).unwrap();
        let lines = lines.lines().map(|line| {
            let end = line.find(",\"crc32c\"").unwrap();
            format!("{}}}\n", &line[..end])
        });
        std::fs::write(&file, lines.collect::<String>()).unwrap();
    }
    std::fs::remove_file(path.join("run/run.json")).unwrap();
    std::fs::remove_file(path.join("run/result.json")).unwrap();
    let note = "is of an older version and holds no digest";
    let probed = succeed(path, &["probe", "run", "--json"]);
    assert!(text(&probed.stderr).contains(note));
    let resumed = succeed(path, &["pretrain", "--resume", "run", "--json"]);
    assert_eq!(text(&resumed.stderr).matches(note).count(), 1);
    assert!(!text(&resumed.stderr).contains("NaN"));
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    for key in ["linear_top1", "loss", "terms"] {
        assert_eq!(last_json(&resumed)[key], whole[key], "{key}");
    }
    assert!(last_json(&resumed)["images_per_s"].is_number());
}

/// Two classes of noise with a test set, from a seed.
fn images(folder: &Path, seed: u32) {
    for split in ["train", "test"] {
        for class in ["cats", "dogs"] {
            let folder = folder.join(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..24_u32 {
                let pixels = image::RgbImage::from_fn(16, 16, |x, y| {
                    let value = (x * 7 + y * 13 + number * 31 + seed).wrapping_mul(2_654_435_761);
                    image::Rgb([value as u8, (value >> 8) as u8, class.len() as u8])
                });
                pixels
                    .save(folder.join(format!("{number:02}.png")))
                    .unwrap();
            }
        }
    }
}

#[test]
fn data_that_moved_are_taken_where_they_are_the_same() {
    let folder = folder();
    let path = folder.path();
    // A folder whose name is a number is a path.
    images(&path.join("2024"), 1);
    images(&path.join("others"), 2);
    let set = ["--set", "data.path=2024"];
    succeed(
        path,
        &[
            &["pretrain", "small.toml", "--out", "run", "--json"],
            &set[..],
        ]
        .concat(),
    );
    std::fs::rename(path.join("2024"), path.join("moved")).unwrap();
    std::fs::remove_file(path.join("run/result.json")).unwrap();
    for arguments in [
        &["probe", "run"][..],
        &["diagnose", "run"],
        &["pretrain", "--resume", "run"],
    ] {
        refuse(
            path,
            arguments,
            &["images of run are not at 2024", "--set data.path=PATH"],
        );
        let others = [arguments, &["--set", "data.path=others"]].concat();
        refuse(path, &others, &["others", "not the training images"]);
        succeed(path, &[arguments, &["--set", "data.path=moved"]].concat());
    }
    // Resuming keeps the new place.
    succeed(path, &["probe", "run"]);
}

#[test]
fn two_processes_never_share_a_run() {
    let folder = folder();
    let path = folder.path();
    let long = [
        "pretrain",
        "small.toml",
        "--set",
        "epochs=4000",
        "--set",
        "score=false",
    ];
    let mut first = covary(path)
        .args([&long[..], &["--out", "run"]].concat())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&path.join("run/steps.jsonl"), 4);
    let process = format!("process {}", first.id());
    refuse(
        path,
        &["pretrain", "--resume", "run"],
        &["run is being written to by", &process],
    );
    refuse(
        path,
        &["pretrain", "small.toml", "--out", "run"],
        &["run holds a run already"],
    );
    // A dead holder does not block.
    first.kill().unwrap();
    first.wait().unwrap();
    let left = path
        .join("run")
        .join(format!(".covary-{}-x.tmp", first.id()));
    std::fs::write(&left, "half a checkpoint").unwrap();
    let mut second = covary(path)
        .args(["pretrain", "--resume", "run"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = text(&read(path, "run/steps.jsonl")).lines().count();
    wait_for(&path.join("run/steps.jsonl"), lines + 4);
    interrupt(second.id());
    assert_eq!(second.wait().unwrap().code(), Some(130));
    assert!(!left.exists());
}

fn interrupt(process: u32) {
    let sent = Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_scoring_too_and_what_is_on_disk_goes_on() {
    let folder = folder();
    let path = folder.path();
    let child = covary(path)
        .args(["pretrain", "small.toml", "--out", "run"])
        .args(["--set", "data.path=synthetic:6000", "--set", "epochs=1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&path.join("run/encoder.safetensors"), 1);
    let start = Instant::now();
    interrupt(child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(
        text(&output.stderr).contains("--resume run"),
        "{}",
        text(&output.stderr)
    );
    assert!(!path.join("run/result.json").exists());
    let resumed = succeed(path, &["pretrain", "--resume", "run", "--json"]);
    assert!(last_json(&resumed)["linear_top1"].is_number());
}

#[test]
fn sizes_beyond_any_machine_are_refused_and_threads_are_capped() {
    let folder = folder();
    refuse(
        folder.path(),
        &[
            "pretrain",
            "small.toml",
            "--set",
            "projector.dim=2000000000",
            "--out",
            "run",
        ],
        &[
            "projector.dim = 2000000000 needs at least",
            "this machine has",
            "hint: lower projector.dim",
        ],
    );
    assert!(!folder.path().join("run").exists());
    let output = succeed(
        folder.path(),
        &[
            "pretrain",
            "small.toml",
            "--set",
            "threads=100000",
            "--set",
            "epochs=1",
        ],
    );
    assert!(text(&output.stderr).contains("threads = 100000 is out of proportion"));
    assert!(folder.path().join("runs/tico-001/result.json").is_file());
}
