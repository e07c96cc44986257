//! Training in pieces, on any number of threads, ends with the same bits as in one go.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use covary_train::config::TrainConfig;
use covary_train::run::Checkpoint;
use covary_train::trainer::Event;
use covary_train::{Ending, Pretraining, TrainError};

/// Groups of views beside the pair, and a pair whose size changes in the middle of training.
const GROUPS: &str = "pair_size = [[0.0, 8], [0.5, 16]]\nviews = [{ count = 2, size = 8 }]\n";

fn config(method: &str, precision: &str, augment: &str) -> TrainConfig {
    let text = format!(
        "method = \"{method}\"\nepochs = 2\nbatch_size = 16\nprecision = \"{precision}\"\n[data]\npath = \"synthetic:96\"\n\
         [augment]\nsize = 16\n{augment}[encoder]\nwidth = 4\n[projector]\nhidden = 16\ndim = 8\n[predictor]\nhidden = 8\n\
         [monitor]\nimages = 32\n[checkpoint]\nevery_steps = 4\n"
    );
    TrainConfig::parse("test", &text).unwrap()
}

/// Trains on some threads, asked to stop after `stop_after` steps.
fn train(
    config: &TrainConfig,
    folder: &Path,
    resume: bool,
    threads: usize,
    stop_after: u64,
) -> Ending {
    let stop = AtomicBool::new(false);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let mut pretraining = Pretraining::prepare(config.clone()).unwrap();
        pretraining
            .run(folder, resume, &stop, &mut |event| {
                if let Event::Step(report, _) = event {
                    stop.store(report.step >= stop_after, Ordering::Relaxed);
                }
            })
            .unwrap()
    })
}

fn bits(folder: &Path) -> Checkpoint {
    Checkpoint::load(&folder.join("checkpoint.safetensors")).unwrap()
}

#[test]
fn a_run_in_pieces_on_other_threads_ends_with_the_same_bits() {
    for (method, precision, augment) in [
        ("tico", "f32", ""),
        ("byol", "bf16", ""),
        ("vicreg", "bf16", ""),
        ("simsiam", "f32", ""),
        ("barlow-twins", "f32", ""),
        ("tico", "bf16", GROUPS),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
        let config = config(method, precision, augment);
        assert!(matches!(
            train(&config, &whole, false, 2, u64::MAX),
            Ending::Finished(_)
        ));
        assert!(matches!(
            train(&config, &pieces, false, 1, 3),
            Ending::Interrupted(3)
        ));
        assert!(matches!(
            train(&config, &pieces, true, 2, 7),
            Ending::Interrupted(7)
        ));
        let Ending::Finished(result) = train(&config, &pieces, true, 1, u64::MAX) else {
            panic!("{method} does not finish")
        };
        assert!(bits(&whole) == bits(&pieces), "{method}");
        for file in ["steps.jsonl", "epochs.jsonl"] {
            let steps = |run: &Path| -> Vec<u64> {
                let text = std::fs::read_to_string(run.join(file)).unwrap();
                text.lines()
                    .map(|line| {
                        serde_json::from_str::<serde_json::Value>(line).unwrap()["step"]
                            .as_u64()
                            .unwrap()
                    })
                    .collect()
            };
            assert_eq!(steps(&whole), steps(&pieces), "{method} {file}");
        }
        for key in [
            "linear_top1",
            "knn_top1",
            "random_linear_top1",
            "pixel_linear_top1",
            "loss",
        ] {
            assert!(
                result[key].is_number(),
                "{method}: {key} is {}",
                result[key]
            );
        }
    }
}

#[test]
fn a_run_resumes_only_with_its_own_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let own = config("vicreg", "f32", "");
    train(&own, &run, false, 1, 2);
    let mut other = own.clone();
    other.seed = 1;
    other.optimizer.lr = 0.5;
    let stop = AtomicBool::new(false);
    let error = Pretraining::prepare(other)
        .unwrap()
        .run(&run, true, &stop, &mut |_| {})
        .unwrap_err();
    let TrainError::ConfigDiffers { keys, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(keys, ["optimizer.lr (0.001 -> 0.5)", "seed (0 -> 1)"]);
    let error = Pretraining::prepare(own)
        .unwrap()
        .run(&run, false, &stop, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, TrainError::RunExists { .. }));
}

#[test]
fn a_learning_rate_that_explodes_ends_in_an_error_that_names_term_and_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("vicreg", "f32", "");
    config.optimizer.lr = 1e30;
    let stop = AtomicBool::new(false);
    let error = Pretraining::prepare(config)
        .unwrap()
        .run(&folder.path().join("run"), false, &stop, &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(&error, TrainError::NotFinite { what, .. } if what.starts_with("term ")),
        "{error}"
    );
}
