//! Losses and embeddings of anybody: explain, loss, loss-check, diagnose, and a run that collapses.

use std::path::Path;
use std::process::Output;

use safetensors::SafeTensors;

use crate::{covary, folder, last_json, text};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden");

fn run(folder: &Path, arguments: &[&str]) -> Output {
    covary(folder).args(arguments).output().unwrap()
}

fn doubles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = file.tensor(name).unwrap().data();
    let (chunks, _) = data.as_chunks::<8>();
    chunks
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect()
}

fn singles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = file.tensor(name).unwrap().data();
    let (chunks, _) = data.as_chunks::<4>();
    chunks
        .iter()
        .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
        .collect()
}

#[test]
fn losses_of_files_and_their_gradients_are_the_references() {
    let folder = folder();
    let path = format!("{GOLDEN}/losses.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let names: Vec<&str> = golden
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix("tiny.")?.strip_suffix(".loss"))
        .collect();
    assert_eq!(names.len(), 12);
    for name in names {
        let (a, b) = (format!("{path}:tiny.z_a"), format!("{path}:tiny.z_b"));
        let arguments = [
            "loss",
            name,
            "--a",
            &a,
            "--b",
            &b,
            "--json",
            "--gradients",
            "g.safetensors",
        ];
        let output = run(folder.path(), &arguments);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let expected = doubles(&golden, &format!("tiny.{name}.loss"))[0];
        let loss = last_json(&output)["loss"].as_f64().unwrap();
        assert!(
            (loss - expected).abs() < 1e-5 * expected.abs().max(1.0),
            "{name}: {loss} {expected}"
        );
        let written = std::fs::read(folder.path().join("g.safetensors")).unwrap();
        let written = SafeTensors::deserialize(&written).unwrap();
        for side in ["grad_a", "grad_b"] {
            let expected = doubles(&golden, &format!("tiny.{name}.{side}"));
            let scale = expected.iter().fold(1e-12_f64, |max, g| max.max(g.abs()));
            for (ours, theirs) in singles(&written, side).iter().zip(&expected) {
                assert!(
                    (ours - theirs).abs() < 1e-4 * scale,
                    "{name}.{side}: {ours} {theirs}"
                );
            }
        }
    }
}

#[test]
fn a_stopped_view_gets_a_gradient_of_zeros() {
    let folder = folder();
    let path = format!("{GOLDEN}/losses.safetensors");
    let (a, b) = (format!("{path}:tiny.z_a"), format!("{path}:tiny.z_b"));
    let arguments = [
        "loss",
        "invariance",
        "--a",
        &a,
        "--b",
        &b,
        "--stop-gradient",
        "b",
        "--gradients",
        "g.safetensors",
    ];
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = std::fs::read(folder.path().join("g.safetensors")).unwrap();
    let written = SafeTensors::deserialize(&written).unwrap();
    assert!(singles(&written, "grad_b").iter().all(|g| *g == 0.0));
    assert!(singles(&written, "grad_a").iter().any(|g| *g != 0.0));
}

#[test]
fn explain_prints_factors_and_differences() {
    let folder = folder();
    let output = run(folder.path(), &["explain", "tico@lightly"]);
    let said = text(&output.stdout);
    for words in [
        "8 · contrast",
        "0.9 C_t-1",
        "momentum target",
        "L tends to 8",
    ] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    let output = run(
        folder.path(),
        &["explain", "vicreg@paper", "--against", "vicreg@official"],
    );
    let said = text(&output.stdout);
    assert!(said.contains("0.5 times that of vicreg@paper"), "{said}");
    let output = run(
        folder.path(),
        &["explain", "vicreg", "--against", "vicreg@official"],
    );
    assert_eq!(text(&output.stdout), "no difference\n");
}

#[test]
fn explain_takes_a_kind_of_term() {
    let folder = folder();
    let output = run(
        folder.path(),
        &[
            "explain",
            "nt-xent",
            "--set",
            "terms.nt-xent.temperature=0.2",
        ],
    );
    assert!(text(&output.stdout).contains("exp(s_ii+/0.2)"));
    let output = run(folder.path(), &["explain", "log-det"]);
    assert!(text(&output.stdout).starts_with("L = 1 · log-det"));
}

#[test]
fn a_mistyped_method_comes_with_the_nearest_one() {
    let folder = folder();
    for (name, nearest) in [("vicreg-momentun", "vicreg-momentum"), ("quik", "quick")] {
        let output = run(folder.path(), &["explain", name]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("did you mean {nearest}?")), "{said}");
    }
}

#[test]
fn loss_check_says_its_verdict_with_numbers() {
    let folder = folder();
    let output = run(
        folder.path(),
        &[
            "loss-check",
            "vicreg",
            "--set",
            "terms.variance.weight=0",
            "--json",
        ],
    );
    let report = last_json(&output);
    assert_eq!(report["verdict"], "collapses");
    assert_eq!(report["courses"].as_array().unwrap().len(), 3);
    let output = run(folder.path(), &["loss-check", "vicreg", "--json"]);
    assert_eq!(last_json(&output)["verdict"], "resists");
}

#[test]
fn diagnose_measures_matrices_and_runs() {
    let folder = folder();
    let path = format!("{GOLDEN}/metrics.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    for (case, outcome) in [
        ("isotropic", "healthy"),
        ("rank_one", "dimensional"),
        ("constant", "complete"),
    ] {
        let output = run(
            folder.path(),
            &["diagnose", &format!("{path}:{case}.z"), "--json"],
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        let found = last_json(&output);
        assert_eq!(found["outcome"], outcome, "{case}");
        for key in ["std_of_l2_normalized", "participation_ratio", "uniformity"] {
            let expected = doubles(&golden, &format!("{case}.{key}"))[0];
            match found[key].as_f64() {
                Some(value) => assert!(
                    (value - expected).abs() < 1e-6 * expected.abs().max(1.0),
                    "{case}.{key}"
                ),
                None => assert!(expected.is_nan(), "{case}.{key}"),
            }
        }
    }
    let output = run(
        folder.path(),
        &[
            "pretrain",
            "small.toml",
            "--out",
            "run",
            "--set",
            "score=false",
        ],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = run(folder.path(), &["diagnose", "run", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found = last_json(&output);
    for space in ["representation", "embedding"] {
        for key in ["alignment", "lidar", "participation_ratio"] {
            assert!(
                found[space][key].is_number(),
                "{space}.{key}: {}",
                found[space][key]
            );
        }
    }
    // Ten views of an image differ less than images do.
    assert!(found["embedding"]["lidar"].as_f64().unwrap() >= 1.0);
}

#[test]
fn a_run_that_collapses_stops_where_it_is_told_to_and_reports_as_any_other() {
    let folder = folder();
    let mut arguments = vec!["pretrain", "small.toml", "--out", "run", "--json"];
    for set in [
        "method=vicreg-without-variance",
        "terms.covariance.weight=0",
        "epochs=40",
        "optimizer.lr=0.02",
        "monitor.every_steps=10",
        "monitor.on_collapse=stop",
    ] {
        arguments.extend(["--set", set]);
    }
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = last_json(&output);
    let outcome = result["outcome"].as_str().unwrap();
    assert!(outcome.ends_with("-collapsed"), "{outcome}");
    assert_eq!(result["stopped"], true);
    assert!(result["steps"].as_u64().unwrap() < 400);
    for (space, step) in [
        ("embedding", "collapse_step"),
        ("representation", "representation_collapse_step"),
    ] {
        let is_lost = result[format!("{space}_verdict")]["outcome"] != "healthy";
        assert_eq!(result[step].is_u64(), is_lost, "{space}");
    }
    let before = &result["untrained_representation_verdict"]["participation_ratio"];
    assert!(before.is_number() && result["untrained_validation_knn"].is_number());
    assert!(result["linear_top1"].is_number() && result["random_knn_top1"].is_number());
    assert!(!result["alarms"].as_array().unwrap().is_empty());
    assert!(text(&output.stderr).contains(" collapsed, measured so from step"));
    for file in ["alarms.jsonl", "spectra.json", "neighbours.png"] {
        assert!(folder.path().join("run").join(file).is_file(), "{file}");
    }
}

#[test]
fn files_that_hold_no_matrix_are_one_error_with_a_hint() {
    let folder = folder();
    std::fs::write(folder.path().join("z.csv"), "1,2\n").unwrap();
    std::fs::write(folder.path().join("broken.npy"), "nothing").unwrap();
    for (source, words) in [
        ("z.csv", ".npy"),
        ("missing.npy", "missing.npy"),
        ("broken.npy", "broken.npy"),
        (&format!("{GOLDEN}/losses.safetensors"), "FILE:TENSOR"),
    ] {
        let output = run(folder.path(), &["diagnose", source]);
        assert_eq!(output.status.code(), Some(2), "{source}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("error: ") && said.contains(words),
            "{source}: {said}"
        );
    }
}
