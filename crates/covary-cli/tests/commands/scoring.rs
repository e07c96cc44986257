//! Scores of what people have: few images, one class, classes one after the other, large images, embeddings as other programs save them.

use std::path::Path;
use std::process::Output;

use image::{Rgb, RgbImage};
use serde_json::Value;

use super::{covary, folder, last_json, text};

/// Writes images of one hue, each of another brightness.
fn class(folder: &Path, images: u32, hue: u8) {
    std::fs::create_dir_all(folder).unwrap();
    for index in 0..images {
        let image = RgbImage::from_fn(16, 16, |x, y| {
            let light = (x * 7 + y * 3 + index * 11) % 200;
            Rgb([hue, light as u8, 255 - hue])
        });
        image.save(folder.join(format!("{index:03}.png"))).unwrap();
    }
}

fn pretrain(folder: &Path, set: &[&str]) -> Output {
    let mut command = covary(folder);
    command.args(["pretrain", "small.toml", "--out", "run", "--json"]);
    for set in ["data.path=images", "epochs=1", "batch_size=8"]
        .iter()
        .chain(set)
    {
        command.args(["--set", set]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(folder.join("run/encoder.safetensors").is_file());
    output
}

fn split(folder: &Path, train: [u32; 2], test: [u32; 2]) {
    for (name, counts) in [("train", train), ("test", test)] {
        for (class_name, (images, hue)) in ["cat", "dog"].iter().zip(counts.iter().zip([20, 200])) {
            if *images > 0 {
                let path = folder.join("images").join(name).join(class_name);
                class(&path, *images, hue);
            }
        }
    }
}

#[test]
fn what_few_images_or_one_class_do_not_allow_is_skipped_and_said() {
    for (train, test, said, missing, there) in [
        ([62, 2], [5, 5], "", "", "linear_top1 knn_top1"),
        (
            [64, 0],
            [16, 0],
            "all 64 images have one label: the linear probe is skipped",
            "linear_top1 knn_top1 random_knn_top1 pixel_linear_top1",
            "",
        ),
        (
            [10, 10],
            [4, 4],
            "18 images cannot give 20 neighbors: kNN while training is skipped",
            "knn200_top1",
            "linear_top1 knn_top1",
        ),
        (
            [20, 20],
            [1, 0],
            "one image is too few to score: the linear probe is skipped",
            "linear_top1 knn_top1",
            "",
        ),
        (
            [5, 4],
            [4, 4],
            "9 training images have no tenth",
            "linear_top1 knn_top1",
            "",
        ),
    ] {
        let folder = folder();
        split(folder.path(), train, test);
        let output = pretrain(folder.path(), &[]);
        let told = text(&output.stderr);
        assert!(told.contains(said), "{train:?} {test:?}: {told}");
        let result = last_json(&output);
        for key in missing.split_whitespace() {
            assert!(result[key].is_null(), "{train:?} {test:?} {key}: {result}");
        }
        for key in there.split_whitespace() {
            assert!(
                result[key].is_number(),
                "{train:?} {test:?} {key}: {result}"
            );
        }
        assert!(result["representation"]["participation_ratio"].is_number());
    }
}

#[test]
fn large_views_are_scored_in_bounded_memory() {
    let folder = folder();
    split(folder.path(), [12, 12], [3, 3]);
    let output = pretrain(folder.path(), &["augment.size=224"]);
    let result = last_json(&output);
    assert!(
        text(&output.stderr)
            .contains("raw pixels, a line to compare with, are scored at 32 x 32 pixels")
    );
    assert_eq!(
        (&result["pixel_side"], &result["schema"]),
        (&32.into(), &1.into())
    );
    assert!(result["pixel_linear_top1"].is_number());
    let peak = result["peak_memory_bytes"].as_f64().unwrap();
    assert!(peak < 1.5e9, "{peak}");
}

#[test]
fn scores_of_the_encoder_are_on_disk_before_the_lines_to_compare_with() {
    let folder = folder();
    split(folder.path(), [20, 20], [8, 8]);
    // References are kept beside the run. A folder in the way of their file is the first thing that fails.
    let first = pretrain(folder.path(), &[]);
    let kept = std::fs::read_dir(folder.path()).unwrap();
    let kept: Vec<_> = kept
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(".reference")
        })
        .collect();
    assert_eq!(kept.len(), 2);
    for path in &kept {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    }
    let mut again = covary(folder.path());
    again.args(["pretrain", "small.toml", "--out", "again"]);
    for set in ["data.path=images", "epochs=1", "batch_size=8"] {
        again.args(["--set", set]);
    }
    let output = again.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let written = std::fs::read(folder.path().join("again/result.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["linear_top1"], last_json(&first)["linear_top1"]);
    assert!(written["random_linear_top1"].is_null());
}

#[test]
fn embeddings_of_other_programs_are_read_and_their_table_is_data() {
    let folder = folder();
    let header = "{'descr': '<f2', 'fortran_order': True, 'shape': (40, 3)}";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    // Bits of halves between 1 and 2.
    bytes.extend((0..120_u16).flat_map(|i| (0x3c00 + i * 37 % 1024).to_le_bytes()));
    std::fs::write(folder.path().join("z.npy"), &bytes).unwrap();
    let diagnose = |file: &str| {
        covary(folder.path())
            .args(["diagnose", file])
            .output()
            .unwrap()
    };
    let output = diagnose("z.npy");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(
        table.contains("participation ratio") && table.contains("embeddings: "),
        "{table}"
    );
    let last = bytes.len() - 1;
    bytes[last] = 0x7e;
    std::fs::write(folder.path().join("nan.npy"), &bytes).unwrap();
    let output = diagnose("nan.npy");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("nan.npy") && said.contains("row 39, column 2 is NaN"),
        "{said}"
    );
}
