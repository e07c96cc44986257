//! Training in pieces, on any number of threads, ends with the same bits as in one go.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use covary_train::config::TrainConfig;
use covary_train::run::{Checkpoint, RunFolder};
use covary_train::trainer::Event;
use covary_train::{Ending, Pretraining, TrainError};

const WHITENED_VGG: &str = "[encoder]\nname = \"vgg6\"\nwidth = 4\nexpand = 24\nstem = \"whitened\"\ninitialisation = \"dirac\"";

/// Groups of views beside the pair, and a pair whose size changes in the middle of training.
const GROUPS: &str =
    "[augment]\nsize = 16\npair_size = [[0.0, 8], [0.5, 16]]\nviews = [{ count = 2, size = 8 }]";

fn config(method: &str, precision: &str) -> TrainConfig {
    config_with(method, precision, "")
}

fn config_with(method: &str, precision: &str, more: &str) -> TrainConfig {
    let table = |name: &str, usual: &'static str| {
        let is_own = more.starts_with(&format!("[{name}]"));
        if is_own { "" } else { usual }
    };
    let encoder = table("encoder", "[encoder]\nwidth = 4\n");
    let augment = table("augment", "[augment]\nsize = 16\n");
    let text = format!(
        "method = \"{method}\"\nepochs = 2\nbatch_size = 16\nprecision = \"{precision}\"\n[data]\npath = \"synthetic:96\"\n\
         {augment}{encoder}[projector]\nhidden = 16\ndim = 8\n[predictor]\nhidden = 8\n\
         [monitor]\nimages = 32\n[checkpoint]\nevery_steps = 4\n{more}\n"
    );
    TrainConfig::parse("test", &text).unwrap()
}

const MUON: &str = "[optimizer]\nname = \"muon\"\nlr = 0.02\nclip = 1.0\ngroups = [{ match = \"norm-biases\", lr = 64.0 }]";
const LARS: &str = "[optimizer]\nname = \"lars\"\nlr = 0.3\nlars = { eta = 0.02, clip = true }";

const EMA: &str = "[optimizer.average]\nkind = \"ema\"\ndecay = 0.9";
const LOOKAHEAD: &str = "[optimizer.average]\nkind = \"lookahead\"\nevery = 2\n[[schedule.phases]]\nuntil = 0.4\nshape = \"linear\"\nto = 1.0\n\
                         [[schedule.phases]]\nuntil = 1.0\nshape = \"cosine\"\nto = 0.1";

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
        let run = if resume {
            RunFolder::resume(folder)
        } else {
            RunFolder::create(folder)
        };
        pretraining
            .run(&run.unwrap(), &stop, &mut |event| {
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
    for (method, precision, more) in [
        ("tico", "f32", ""),
        ("byol", "bf16", WHITENED_VGG),
        ("vicreg", "bf16", ""),
        ("simsiam", "f32", ""),
        ("barlow-twins", "f32", ""),
        ("byol", "f32", MUON),
        ("vicreg", "bf16", LARS),
        ("tico", "bf16", EMA),
        ("vicreg", "f32", LOOKAHEAD),
        ("tico", "bf16", GROUPS),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
        let config = config_with(method, precision, more);
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
    let own = config("vicreg", "f32");
    train(&own, &run, false, 1, 2);
    let mut other = own;
    other.seed = 1;
    other.optimizer.lr = 0.5;
    let stop = AtomicBool::new(false);
    let error = Pretraining::prepare(other)
        .unwrap()
        .run(&RunFolder::resume(&run).unwrap(), &stop, &mut |_| {})
        .unwrap_err();
    let TrainError::ConfigDiffers { keys, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(keys, ["optimizer.lr (0.001 -> 0.5)", "seed (0 -> 1)"]);
    let error = RunFolder::create(&run).unwrap_err();
    assert!(matches!(error, TrainError::RunExists { .. }));
}

#[test]
fn a_learning_rate_that_explodes_ends_in_an_error_that_names_term_and_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("vicreg", "f32");
    config.optimizer.lr = 1e30;
    let stop = AtomicBool::new(false);
    let error = Pretraining::prepare(config)
        .unwrap()
        .run(
            &RunFolder::create(&folder.path().join("run")).unwrap(),
            &stop,
            &mut |_| {},
        )
        .unwrap_err();
    assert!(
        matches!(&error, TrainError::NotFinite { what, .. } if what.starts_with("term ")),
        "{error}"
    );
}
