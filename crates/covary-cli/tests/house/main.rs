//! The house's rules, read off its sources: arrows between crates point down, no two files import each other, not even round a corner,
//! `unsafe` stays in the kernels, and files stay short.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod circles;
mod sources;

use std::path::PathBuf;

use sources::{Crate, crates};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Each crate with the crates of this workspace that it may use, from the lowest up.
const ARROWS: &[(&str, &[&str])] = &[
    ("covary-kernels", &[]),
    ("covary-data", &[]),
    ("covary-score", &["covary-kernels"]),
    ("covary-nn", &["covary-kernels"]),
    ("covary-loss", &["covary-data", "covary-nn", "covary-score"]),
    (
        "covary-train",
        &[
            "covary-data",
            "covary-kernels",
            "covary-loss",
            "covary-nn",
            "covary-score",
        ],
    ),
    (
        "covary-study",
        &["covary-loss", "covary-nn", "covary-score", "covary-train"],
    ),
    (
        "covary-cli",
        &[
            "covary-data",
            "covary-loss",
            "covary-score",
            "covary-study",
            "covary-train",
        ],
    ),
];

/// Crates that may name Burn.
const BURN: &[&str] = &["covary-loss", "covary-nn", "covary-train"];

#[test]
fn crates_use_those_below_them_alone() {
    let found = crates(&root());
    assert_eq!(found.len(), ARROWS.len(), "a crate is missing in ARROWS");
    for Crate { name, manifest, .. } in &found {
        let (_, allowed) = ARROWS.iter().find(|(known, _)| known == name).unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for dependency in dependencies.keys() {
            let is_ours = dependency.starts_with("covary-");
            assert!(
                !is_ours || allowed.contains(&dependency.as_str()),
                "{name} must not use {dependency}"
            );
            assert!(
                dependency != "burn" || BURN.contains(&name.as_str()),
                "{name} must not use Burn"
            );
        }
    }
}

#[test]
fn no_two_files_import_each_other_round_any_corner() {
    let mut circles = Vec::new();
    for found in crates(&root()) {
        circles.extend(circles::circles(&found));
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn unsafe_code_stays_in_the_kernels() {
    for Crate { name, files, .. } in crates(&root()) {
        for file in files.iter().filter(|_| name != "covary-kernels") {
            let has_unsafe = ["unsafe {", "unsafe fn", "unsafe impl"]
                .iter()
                .any(|word| file.code.contains(word));
            assert!(!has_unsafe, "{} holds unsafe code", file.path.display());
        }
    }
}

#[test]
fn files_are_short() {
    for Crate { files, .. } in crates(&root()) {
        for file in files {
            assert!(
                file.lines <= 500,
                "{} has {} lines",
                file.path.display(),
                file.lines
            );
        }
    }
}
