//! Studies with a known truth: run folders written as a run would write them, from an accuracy that each arm is given.

use std::fs;
use std::path::Path;

use covary_score::RunOutcome;
use covary_study::{Design, Plan, PlannedRun};
use serde_json::{Map, Value, json};

/// Steps of a made-up run.
const STEPS: u64 = 300;
/// The hidden tendency of an arm without a line below.
const HEALTHY: f64 = 0.5;

/// What an arm's runs are made to be.
pub(crate) struct Truth {
    /// Final linear accuracy before seed and noise; below 0.2 the run has collapsed.
    pub(crate) accuracy: f64,
    /// Diverges instead.
    pub(crate) diverges: bool,
    /// Loses its representation, whatever its embedding does.
    pub(crate) loses_h: bool,
}

/// A number from -1 to 1 that looks random and is the same every time.
pub(crate) fn noise(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Writes a study's folder; `truth` says what each arm is.
pub(crate) fn study(folder: &Path, plan: &str, truth: impl Fn(&str) -> Truth) {
    fs::create_dir_all(folder.join("runs")).unwrap();
    let path = folder.join("plan.toml");
    fs::write(&path, plan).unwrap();
    let design = Design::new(Plan::read(&path).unwrap()).unwrap();
    for (arm, planned) in design.runs() {
        let name = &design.arms[arm].name;
        run(&folder.join("runs"), planned, name, &truth(name));
    }
}

/// The truth of an ordinary arm.
pub(crate) fn healthy(accuracy: f64) -> Truth {
    Truth {
        accuracy,
        diverges: false,
        loses_h: false,
    }
}

/// The accuracy that a run of this arm and seed ends with: seeds shift all arms alike, and each run has a little noise.
pub(crate) fn accuracy_of(arm: &str, seed: u64, truth: &Truth) -> f64 {
    truth.accuracy + 0.02 * noise(&format!("seed {seed}")) + 0.004 * noise(&format!("{arm} {seed}"))
}

fn run(runs: &Path, planned: &PlannedRun, arm: &str, truth: &Truth) {
    let folder = runs.join(&planned.key);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), planned.config.to_toml()).unwrap();
    let provenance = json!({
        "covary": "0.1.0", "commit": "made-up", "cpu": "made-up", "isa": "avx2", "precision": "f32", "threads": 2,
    });
    fs::write(folder.join("run.json"), provenance.to_string()).unwrap();
    let accuracy = accuracy_of(arm, planned.seed, truth);
    let ends = if truth.diverges { STEPS / 2 } else { STEPS };
    fs::write(folder.join("steps.jsonl"), steps(planned, accuracy, ends)).unwrap();
    fs::write(folder.join("epochs.jsonl"), monitors(accuracy, ends)).unwrap();
    if truth.diverges {
        let failure = json!({"code": 1, "status": "exit status: 1", "message": "error: step 150: term variance is not finite"});
        fs::write(
            runs.join(format!("{}.failure.json", planned.key)),
            failure.to_string(),
        )
        .unwrap();
        return;
    }
    fs::write(
        folder.join("result.json"),
        result(planned, accuracy, truth.loses_h).to_string(),
    )
    .unwrap();
    let values = |slope: f64| {
        (1..=64)
            .map(|i| f64::from(i).powf(-slope))
            .collect::<Vec<_>>()
    };
    let steep = if collapsed(accuracy) { 6.0 } else { 1.5 };
    let spectra = json!({"representation": values(1.0), "embedding": values(steep)});
    fs::write(folder.join("spectra.json"), spectra.to_string()).unwrap();
    let picture = image::RgbImage::from_fn(120, 60, |x, y| {
        image::Rgb([(x * 2) as u8, (y * 4) as u8, planned.seed as u8 * 60])
    });
    picture.save(folder.join("neighbours.png")).unwrap();
}

fn collapsed(accuracy: f64) -> bool {
    accuracy < 0.2
}

fn lines(records: impl Iterator<Item = Map<String, Value>>) -> String {
    records
        .map(|record| Value::Object(record).to_string() + "\n")
        .collect()
}

fn steps(planned: &PlannedRun, accuracy: f64, ends: u64) -> String {
    let terms: Vec<String> = planned
        .config
        .terms
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    lines((1..=ends).map(|step| {
        let part = step as f64 / STEPS as f64;
        let mut record = Map::new();
        let mut set = |key: String, value: f64| record.insert(key, json!(value));
        let wobble = noise(&format!("{accuracy} {step}"));
        set("loss".into(), 10.0 + 15.0 * (-4.0 * part).exp() + wobble);
        set("lr".into(), 1e-3);
        set("images_per_s".into(), 500.0);
        set("epoch".into(), (part * 3.0).ceil());
        for (index, term) in terms.iter().enumerate() {
            let value = (1.0 + index as f64) * (0.2 + (-3.0 * part).exp()) + 0.05 * wobble;
            set(format!("term/{term}"), value);
            set(format!("weighted/{term}"), 2.0 * value);
            if step % 10 == 0 {
                set(format!("gradient_z/{term}"), value);
                set(format!("gradient_h/{term}"), 0.5 * value);
            }
        }
        if step % 10 == 0 && terms.len() > 1 {
            set(
                format!("cosine/{}~{}", terms[0], terms[1]),
                (6.0 * part).sin(),
            );
            set("below_hinge".into(), 1.0 - part);
        }
        record.insert("step".into(), json!(step));
        record
    }))
}

fn monitors(accuracy: f64, ends: u64) -> String {
    lines((1..=ends).filter(|step| step % 10 == 0).map(|step| {
        let part = step as f64 / STEPS as f64;
        let rise = 1.0 - (-5.0 * part).exp();
        let wobble = 0.02 * noise(&format!("{accuracy} {step} monitor"));
        let rank = if collapsed(accuracy) { 1.0 + 20.0 * (-8.0 * part).exp() } else { 20.0 + 100.0 * accuracy };
        let record = json!({
            "step": step, "epoch": (part * 3.0).ceil(),
            "validation_knn": 0.1 + (accuracy - 0.1) * rise + wobble,
            "representation/participation_ratio": rank * (0.5 - wobble), "embedding/participation_ratio": rank * (1.0 + wobble),
            "embedding/std_of_l2_normalized": 0.04 * accuracy, "embedding/rankme": rank * (2.0 - 3.0 * wobble), "embedding/alignment": null,
        });
        record.as_object().unwrap().clone()
    }))
}

fn result(planned: &PlannedRun, accuracy: f64, loses_h: bool) -> Value {
    let is_collapsed = collapsed(accuracy);
    let outcome = RunOutcome::of(is_collapsed, loses_h).name();
    let word = |is_lost: bool, kind: &'static str| if is_lost { kind } else { "healthy" };
    let test = |score: f64| planned.config.score.then_some(score);
    let space = json!({"participation_ratio": 12.0, "rankme": 40.0, "alignment": null});
    json!({
        "outcome": outcome,
        "embedding_verdict": {"outcome": word(is_collapsed, "complete"), "reason": format!("made up to be {outcome}")},
        "representation_verdict": {
            "outcome": word(loses_h, "dimensional"), "reason": "made up", "participation_ratio": if loses_h { 1.3 } else { 8.0 },
        },
        "representation_collapse_step": if loses_h { json!(40) } else { Value::Null },
        "collapse_step": if is_collapsed { json!(120) } else { Value::Null },
        "linear_top1": test(accuracy), "knn_top1": test(accuracy - 0.03), "knn200_top1": accuracy - 0.04,
        "random_linear_top1": 0.27, "random_knn_top1": 0.23, "pixel_linear_top1": 0.41, "pixel_knn_top1": 0.45,
        "images_per_s": 500.0, "train_s": 10.0, "steps": STEPS, "seed": planned.seed, "method": planned.config.method,
        "data": "made-up images", "representation": space, "embedding": space,
    })
}

/// A plan with everything in it; one name is hostile.
pub(crate) const PLAN: &str = r#"
title = "Terms of VICReg <made up>"
question = "What does each term do?"
seeds = [0, 1, 2]
[base]
name = "vicreg"
set = ["data.path=synthetic"]
[[variant]]
name = "better"
set = ["terms.covariance.weight=2"]
[[variant]]
name = "worse, \"quoted\" & <script>alert(1)</script>"
set = ["terms.covariance.weight=0"]
[[variant]]
name = "the same"
set = ["terms.invariance.weight=24"]
[[variant]]
name = "collapses"
set = ["terms.variance.weight=0"]
[[variant]]
name = "diverges"
set = ["optimizer.lr=1"]
[[factorial]]
name = "BatchNorm and predictor"
a = ["projector.batch_norm=true", "projector.batch_norm=false"]
b = ["predictor.kind=none", "predictor.kind=mlp"]
[[contrast]]
left = "vicreg"
right = "better"
expect = "left > right"
source = "a guess"
[[contrast]]
left = "vicreg"
right = "collapses"
expect = "left > right"
[[contrast]]
left = "the same"
right = "vicreg"
expect = "left < right"
[[contrast]]
left = "collapses"
expect = "left collapses"
"#;

/// What the arms of [`PLAN`] are.
pub(crate) fn truth(arm: &str) -> Truth {
    match arm {
        "better" => healthy(HEALTHY + 0.06),
        "collapses" => healthy(0.12),
        "diverges" => Truth {
            accuracy: HEALTHY,
            diverges: true,
            loses_h: false,
        },
        _ if arm.starts_with("worse") => healthy(HEALTHY - 0.05),
        _ if arm.contains("batch_norm=false") && arm.contains("mlp") => healthy(HEALTHY + 0.10),
        _ if arm.contains("batch_norm=false") => healthy(HEALTHY - 0.04),
        _ => healthy(HEALTHY),
    }
}
