//! The program itself, as a user runs it: what it prints, what it refuses, what a kill leaves.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod laboratory;
mod runs;
mod scoring;
mod studies;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn covary(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covary"));
    command.current_dir(folder).env_remove("COVARY_ISA");
    command
}

/// A run of seconds: a narrow encoder on generated images.
const SMALL: &str = r#"
method = "tico"
epochs = 3
batch_size = 16
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

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), SMALL).unwrap();
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn last_json(output: &Output) -> Value {
    serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap()
}

#[test]
fn pretrain_prints_a_table_and_one_json_object_and_leaves_a_run() {
    let folder = folder();
    let output = covary(folder.path())
        .args(["pretrain", "small.toml", "--out", "run", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = last_json(&output);
    for key in [
        "linear_top1",
        "knn_top1",
        "random_linear_top1",
        "pixel_linear_top1",
        "loss",
        "images_per_s",
        "epochs",
        "seed",
    ] {
        assert!(result[key].is_number(), "{key}: {}", result[key]);
    }
    assert_eq!(
        (&result["run"], &result["method"]),
        (&Value::from("run"), &Value::from("tico"))
    );
    assert!(result["terms"]["contrast"].is_number() && result["outcome"].is_string());
    let talk = text(&output.stderr);
    for words in [
        "linear top-1",
        "untrained",
        "raw pixels",
        "participation ratio",
        "Next:",
    ] {
        assert!(talk.contains(words), "{words} is missing in:\n{talk}");
    }
    let run = folder.path().join("run");
    for file in [
        "config.toml",
        "run.json",
        "steps.jsonl",
        "epochs.jsonl",
        "checkpoint.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let probed = covary(folder.path())
        .args(["probe", "run", "--json"])
        .output()
        .unwrap();
    assert!(probed.status.success(), "{}", text(&probed.stderr));
    assert_eq!(last_json(&probed)["linear_top1"], result["linear_top1"]);
    assert_eq!(last_json(&probed)["knn_top1"], result["knn_top1"]);
}

#[test]
fn a_printed_configuration_runs_as_it_stands() {
    let folder = folder();
    let print = |recipe: &str| {
        let output = covary(folder.path())
            .args(["pretrain", recipe, "--set", "seed=5", "--print-config"])
            .output()
            .unwrap();
        assert!(output.status.success());
        text(&output.stdout)
    };
    let first = print("small.toml");
    std::fs::write(folder.path().join("printed.toml"), &first).unwrap();
    assert_eq!(print("printed.toml"), first);
}

/// Starts a run and kills it once its journal has so many lines.
fn kill_after(folder: &Path, arguments: &[&str], lines: usize) {
    let mut child = covary(folder)
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let journal = folder.join("killed/steps.jsonl");
    while std::fs::read_to_string(&journal)
        .unwrap_or_default()
        .lines()
        .count()
        < lines
    {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "the run does not get to step {lines}"
        );
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_killed_at_any_step_and_resumed_ends_with_the_bits_of_one_left_alone() {
    let folder = folder();
    let whole = covary(folder.path())
        .args(["pretrain", "small.toml", "--out", "whole"])
        .output()
        .unwrap();
    assert!(whole.status.success());
    // The step is any: it follows the clock.
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let step = 1 + nanoseconds as usize % 24;
    println!("killed after step {step}");
    kill_after(
        folder.path(),
        &["pretrain", "small.toml", "--out", "killed"],
        step,
    );
    let resumed = covary(folder.path())
        .args(["pretrain", "small.toml", "--resume", "killed"])
        .output()
        .unwrap();
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let bytes = |run: &str, file: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
    for file in ["checkpoint.safetensors", "encoder.safetensors"] {
        assert!(
            bytes("whole", file) == bytes("killed", file),
            "{file} differs after a kill at step {step}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_makes_a_checkpoint_and_exits_with_130() {
    let folder = folder();
    let mut child = covary(folder.path())
        .args([
            "pretrain",
            "small.toml",
            "--set",
            "epochs=2000",
            "--out",
            "run",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = folder.path().join("run/steps.jsonl");
    while std::fs::read_to_string(&journal)
        .unwrap_or_default()
        .lines()
        .count()
        < 5
    {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(
        text(&output.stderr).contains("--resume run"),
        "{}",
        text(&output.stderr)
    );
    assert!(folder.path().join("run/checkpoint.safetensors").is_file());
}

/// Files below a folder, to see that nothing was written.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
fn bad_input_is_one_error_with_exit_code_2_and_nothing_written() {
    let folder = folder();
    let path = folder.path();
    std::fs::create_dir(path.join("empty")).unwrap();
    let parquet = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../data/cifar10/test-00000-of-00001.parquet"
    );
    let bytes = std::fs::read(parquet).unwrap();
    std::fs::write(path.join("cut.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    let images = path.join("images");
    std::fs::create_dir(&images).unwrap();
    let pixels =
        image::RgbImage::from_fn(20, 20, |x, y| image::Rgb([x as u8 * 9, y as u8 * 9, 40]));
    for name in 0..40 {
        pixels.save(images.join(format!("{name:02}.png"))).unwrap();
    }
    std::fs::write(images.join("broken.jpg"), b"\xff\xd8\xff\xe0 not a picture").unwrap();
    let before = files(path);
    for (arguments, words) in [
        (
            vec!["pretrain", "nowhere"],
            vec!["nowhere", "hint:", "quick"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "data.path=nowhere"],
            vec!["nowhere"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "data.path=empty"],
            vec!["empty"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "data.path=cut.parquet"],
            vec!["cut.parquet"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "data.path=images"],
            vec!["broken.jpg", "skip_corrupt"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "epoch=3"],
            vec!["epoch", "did you mean epochs?"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "batch_size=1"],
            vec!["--set batch_size=1", "batch_size"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "encoder.width=0"],
            vec!["encoder.width"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "optimizer.lr=nan"],
            vec!["optimizer.lr", "NaN"],
        ),
        (
            vec!["pretrain", "small.toml", "--set", "batch_size=500"],
            vec!["batch_size", "images"],
        ),
        (
            vec!["pretrain", "small.toml", "--resume", "empty"],
            vec!["empty", "config.toml"],
        ),
        (vec!["probe", "empty"], vec!["empty", "config.toml"]),
    ] {
        let output = covary(path).args(&arguments).output().unwrap();
        let talk = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {talk}");
        assert!(
            talk.contains("error: ") && output.stdout.is_empty(),
            "{arguments:?}: {talk}"
        );
        for word in words {
            assert!(
                talk.contains(word),
                "{arguments:?}: {word} is missing in: {talk}"
            );
        }
        assert_eq!(files(path), before, "{arguments:?} wrote something");
    }
    let output = covary(path)
        .env("COVARY_ISA", "sse9")
        .args(["pretrain", "small.toml"])
        .output()
        .unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("sse9"));
}

#[test]
fn images_without_labels_train_and_skip_the_probe_and_corrupt_ones_may_be_left_out() {
    let folder = folder();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for name in 0..40_u32 {
        let pixels = image::RgbImage::from_fn(30, 24, |x, y| {
            image::Rgb([(x * name % 255) as u8, (y * 9) as u8, (name * 6) as u8])
        });
        pixels.save(images.join(format!("{name:02}.png"))).unwrap();
    }
    std::fs::write(images.join("broken.jpg"), b"no picture").unwrap();
    let arguments = [
        "--set",
        "data.path=images",
        "--set",
        "data.skip_corrupt=true",
        "--out",
        "run",
        "--json",
    ];
    let output = covary(folder.path())
        .args(["pretrain", "small.toml"])
        .args(arguments)
        .output()
        .unwrap();
    let talk = text(&output.stderr);
    assert!(output.status.success(), "{talk}");
    assert!(
        talk.contains("broken.jpg") && talk.contains("skipped"),
        "{talk}"
    );
    let result = last_json(&output);
    assert!(
        result["linear_top1"].is_null() && result["embedding"]["participation_ratio"].is_number()
    );
}

#[test]
fn classes_without_a_test_set_are_split_and_scored() {
    let folder = folder();
    for class in ["cats", "dogs"] {
        let images = folder.path().join("images").join(class);
        std::fs::create_dir_all(&images).unwrap();
        for name in 0..20_u32 {
            let pixels = image::RgbImage::from_fn(16, 16, |x, y| {
                image::Rgb([(x * name % 255) as u8, (y * 9) as u8, class.len() as u8])
            });
            pixels.save(images.join(format!("{name:02}.png"))).unwrap();
        }
    }
    let run = |share: &str, out: &str| {
        let share = format!("data.test_share={share}");
        let output = covary(folder.path())
            .args(["pretrain", "small.toml", "--set", "data.path=images"])
            .args(["--set", &share, "--out", out, "--json"])
            .output()
            .unwrap();
        let talk = text(&output.stderr);
        assert!(output.status.success(), "{talk}");
        (last_json(&output), talk)
    };
    let (result, talk) = run("0.2", "split");
    assert!(result["linear_top1"].is_number(), "{talk}");
    assert!(
        talk.contains("8 of 40 labeled images are held out"),
        "{talk}"
    );
    let (result, talk) = run("0", "whole");
    assert!(result["linear_top1"].is_null(), "{talk}");
    assert!(talk.contains("there is no test set"), "{talk}");
}

#[test]
fn a_run_of_another_configuration_is_not_resumed() {
    let folder = folder();
    let first = covary(folder.path())
        .args(["pretrain", "small.toml", "--out", "run"])
        .output()
        .unwrap();
    assert!(first.status.success());
    let again = [
        "pretrain",
        "small.toml",
        "--set",
        "terms.contrast.weight=4",
        "--resume",
        "run",
    ];
    let output = covary(folder.path()).args(again).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("terms.contrast.weight (8.0 -> 4.0)"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn list_and_preview_show_what_there_is() {
    let folder = folder();
    let output = covary(folder.path()).arg("list").output().unwrap();
    let listed = text(&output.stdout);
    for words in [
        "quick",
        "vicreg@paper",
        "off-diagonal",
        "resnet34",
        "vgg6",
        "solarise",
        "rankme",
        "parquet",
    ] {
        assert!(listed.contains(words), "{words} is missing in:\n{listed}");
    }
    let output = covary(folder.path())
        .args(["data", "preview", "small.toml", "--out", "views.png"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let picture = image::open(folder.path().join("views.png")).unwrap();
    assert!(picture.width() > 100 && picture.height() > 100);
}
