//! The whole way: configuration, data, run folder, training, frozen encoder, scores.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use covary_data::{DataError, Dataset, Loader, LoaderConfig, ReadOptions, Split, hold_out};
use covary_kernels::{Isa, Precision};
use covary_nn::EngineConfig;
use fs_err as fs;
use serde_json::{Map, Value, json};

use crate::config::{TrainConfig, differences};
use crate::evaluate::{self, Data, Line, Spaces, represent, score, sgd_score, spaces};
use crate::metrics::Measurement;
use crate::monitor::Monitor;
use crate::run::{Checkpoint, Provenance, RunFolder, number, peak_memory_bytes};
use crate::trainer::{self, Event, Model, Outcome, TrainState};
use crate::{TrainError, Verdict};

/// A run that is ready to train: nothing of a new one is written before [`Pretraining::run`].
#[derive(Debug)]
pub struct Pretraining {
    config: TrainConfig,
    isa: Isa,
    precision: Precision,
    train: Arc<Dataset>,
    test: Option<Dataset>,
    loader: Loader,
}

/// Who follows a run.
pub type Watch<'a> = dyn FnMut(Event<'_>) + 'a;

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Trained and scored; the object of `result.json`.
    Finished(Value),
    /// Stopped on request after this step, with a checkpoint.
    Interrupted(u64),
}

impl Pretraining {
    /// Reads the data and checks that the configuration can run on it.
    ///
    /// # Errors
    /// Data that cannot be read, or fewer images than a batch.
    pub fn prepare(config: TrainConfig) -> Result<Self, TrainError> {
        let isa = Isa::active()?;
        let options = ReadOptions {
            skip_corrupt: config.data.skip_corrupt,
        };
        let path = Path::new(&config.data.path);
        let train = Arc::new(covary_data::open(path, Split::Train, options)?);
        let test = match covary_data::open(path, Split::Test, options) {
            _ if train.labels().is_none() => None,
            Err(DataError::MissingSplit { .. }) => None,
            opened => Some(opened?),
        };
        let limit = (config.data.limit != 0).then_some(config.data.limit);
        let loader = LoaderConfig {
            batch_size: config.batch_size,
            views: 2,
            seed: config.seed,
            limit,
            drop_last: true,
        };
        let loader = Loader::new(Arc::clone(&train), config.augment.clone(), loader)?;
        if loader.batches_per_epoch() == 0 {
            let reason = format!("{} images do not fill one batch", loader.images_per_epoch());
            return Err(TrainError::BadValue {
                layer: "configuration".into(),
                key: "batch_size".into(),
                reason,
            });
        }
        Ok(Self {
            precision: config.precision.resolve(isa),
            config,
            isa,
            train,
            test,
            loader,
        })
    }

    /// Training images.
    pub fn train_set(&self) -> &Dataset {
        &self.train
    }

    /// Why the encoder will not be scored, if it will not.
    pub fn unscored(&self) -> Option<&'static str> {
        match (&self.test, self.train.labels()) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("there is no test set"),
            (None, None) => Some("the images have no labels"),
        }
    }

    /// Images of an epoch.
    pub fn images_per_epoch(&self) -> usize {
        self.loader.images_per_epoch()
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.config.epochs * self.loader.batches_per_epoch() as u64
    }

    /// Configuration, engine and instruction set.
    pub(crate) fn parts(&self) -> (&TrainConfig, EngineConfig, Isa) {
        (&self.config, self.engine(), self.isa)
    }

    pub(crate) fn loader_mut(&mut self) -> &mut Loader {
        &mut self.loader
    }

    /// What this run would be made by.
    pub(crate) fn provenance(&self) -> Provenance {
        let precision = match self.precision {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        };
        Provenance::collect(self.isa.name(), precision)
    }

    fn engine(&self) -> EngineConfig {
        EngineConfig::Kernels {
            isa: self.isa,
            precision: self.precision,
        }
    }

    /// Trains in a new folder, or goes on in that of an earlier run of the same configuration, and scores the encoder.
    ///
    /// # Errors
    /// A folder that holds a run (or, resuming, none, or one of another configuration), files that cannot be written, numbers that are
    /// not finite.
    pub fn run(
        &mut self,
        folder: &Path,
        resume: bool,
        stop: &AtomicBool,
        watch: &mut Watch<'_>,
    ) -> Result<Ending, TrainError> {
        let run = if resume {
            self.reopen(folder)?
        } else {
            self.create(folder)?
        };
        let engine = self.engine();
        let mut state = TrainState::new(&self.config, &engine, self.isa, self.total_steps())?;
        if run.checkpoint().exists() {
            state.restore(Checkpoint::load(&run.checkpoint())?, &run.checkpoint())?;
        }
        let monitor = Monitor::new(
            Arc::clone(&self.train),
            self.config.augment.clone(),
            self.config.monitor.images,
        );
        let start = Instant::now();
        let mut last = None;
        let mut follow = |event: Event<'_>| {
            if let Event::Step(report, _) = &event {
                last = Some(report.evaluation.clone());
            }
            watch(event);
        };
        let (outcome, images_per_s) = trainer::train(
            &self.config,
            &mut state,
            &mut self.loader,
            &monitor,
            &run,
            stop,
            &mut follow,
        )?;
        if outcome == Outcome::Interrupted {
            return Ok(Ending::Interrupted(state.step));
        }
        let seconds = start.elapsed().as_secs_f64();
        self.save_encoder(&state, &run)?;

        let mut result = self.scores(&mut state, &monitor, folder)?;
        let last = last.map_or_else(|| last_step(&run), |last| Ok(summary(&last)))?;
        result.extend(last);
        result.insert("images_per_s".into(), number(images_per_s));
        result.insert("train_s".into(), number(seconds));
        result.insert("total_s".into(), number(start.elapsed().as_secs_f64()));
        result.insert(
            "peak_memory_bytes".into(),
            peak_memory_bytes().map_or(Value::Null, Value::from),
        );
        result.insert("run".into(), folder.display().to_string().into());
        result.insert("epochs".into(), self.config.epochs.into());
        result.insert("steps".into(), state.step.into());
        result.insert("seed".into(), self.config.seed.into());
        result.insert("method".into(), self.config.method.clone().into());
        result.insert("data".into(), self.train.name().into());
        result.insert("images".into(), self.loader.images_per_epoch().into());
        let result = Value::Object(result);
        let text = serde_json::to_string_pretty(&result).expect("a result is plain values");
        run.write(&run.result(), text.as_bytes())?;
        Ok(Ending::Finished(result))
    }

    fn create(&self, folder: &Path) -> Result<RunFolder, TrainError> {
        let run = RunFolder::create(folder)?;
        let provenance = self.provenance();
        let provenance =
            serde_json::to_string_pretty(&provenance).expect("provenance is plain values");
        run.write(&run.provenance(), provenance.as_bytes())?;
        run.write(&run.config(), self.config.to_toml().as_bytes())?;
        Ok(run)
    }

    fn reopen(&self, folder: &Path) -> Result<RunFolder, TrainError> {
        let run = RunFolder::open(folder)?;
        let path = run.config();
        let text = fs::read_to_string(&path).map_err(|source| TrainError::Read {
            path: path.clone(),
            source,
        })?;
        let there = TrainConfig::parse(&path.display().to_string(), &text)?;
        let keys: Vec<_> = differences(&there.to_table(), &self.config.to_table());
        // The number of threads changes no result.
        let keys: Vec<_> = keys
            .into_iter()
            .filter(|key| !key.starts_with("threads "))
            .collect();
        if keys.is_empty() {
            Ok(run)
        } else {
            Err(TrainError::ConfigDiffers {
                path: folder.into(),
                keys,
            })
        }
    }

    fn save_encoder(&self, state: &TrainState, run: &RunFolder) -> Result<(), TrainError> {
        let entries = [
            ("architecture", self.config.encoder.name.clone()),
            ("width", self.config.encoder.width.to_string()),
            ("stem", "3x3, stride 1, padding 1, no pooling".into()),
            ("method", self.config.method.clone()),
            ("data", self.train.name().to_owned()),
        ];
        let metadata: HashMap<String, String> = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        state.model.encoder.save(&run.encoder(), metadata)?;
        Ok(())
    }

    /// Everything that is measured on the frozen encoder.
    fn scores(
        &self,
        state: &mut TrainState,
        monitor: &Monitor,
        folder: &Path,
    ) -> Result<Map<String, Value>, TrainError> {
        let engine = self.engine();
        let mut result = Map::new();
        let width = state.model.representation_width();
        let sample = hold_out(self.train.len()).fit;
        let sample = &sample[..monitor.images().min(sample.len())];
        let augment = &self.config.augment;
        let train = represent(&mut state.model.encoder, &self.train, augment, None);
        let h: Vec<f32> = sample
            .iter()
            .flat_map(|&index| train[index as usize * width..][..width].iter().copied())
            .collect();
        let z = state.model.projector.infer(&h);
        let measured = spaces(&h, width, &z, state.model.projector.output_width())?;
        insert_spaces(&mut result, "", &measured);
        let collapsed = measured.embedding_verdict.outcome != crate::Outcome::Healthy;
        result.insert(
            "outcome".into(),
            if collapsed { "collapsed" } else { "healthy" }.into(),
        );
        result.insert(
            "embedding_verdict".into(),
            verdict(&measured.embedding_verdict),
        );
        result.insert(
            "representation_verdict".into(),
            verdict(&measured.representation_verdict),
        );
        let Some(test) = &self.test else {
            for key in [
                "linear_top1",
                "knn_top1",
                "random_linear_top1",
                "pixel_linear_top1",
            ] {
                result.insert(key.into(), Value::Null);
            }
            return Ok(result);
        };
        let data = Data {
            train: &self.train,
            test,
            augment,
        };
        let scored = represent(&mut state.model.encoder, test, augment, None);
        insert_line(&mut result, "", &score(&data, &train, &scored, width)?);
        result.insert(
            "linear_top1_sgd".into(),
            number(sgd_score(&data, &train, &scored, width)?.linear_top1),
        );
        let (line, measured) = evaluate::untrained(&self.config, &engine, &data, sample)?;
        insert_line(&mut result, "random_", &line);
        insert_spaces(&mut result, "random_", &measured);
        result.extend(pixel_reference(&data, sample, folder)?);
        Ok(result)
    }
}

/// Scores the encoder that a finished run left, on the data that its configuration names.
///
/// # Errors
/// A folder without a run, an encoder or data that cannot be read, data without labels.
pub fn probe_run(folder: &Path) -> Result<Value, TrainError> {
    let run = RunFolder::open(folder)?;
    let path = run.config();
    let text = fs::read_to_string(&path).map_err(|source| TrainError::Read {
        path: path.clone(),
        source,
    })?;
    let config = TrainConfig::parse(&path.display().to_string(), &text)?;
    let pretraining = Pretraining::prepare(config)?;
    let mut encoder = Model::new(&pretraining.config, &pretraining.engine())?.encoder;
    encoder.load(&run.encoder())?;
    let Some(test) = &pretraining.test else {
        return Err(TrainError::NoLabels {
            path: pretraining.config.data.path.clone().into(),
        });
    };
    let augment = &pretraining.config.augment;
    let data = Data {
        train: &pretraining.train,
        test,
        augment,
    };
    let train = represent(&mut encoder, data.train, augment, None);
    let scored = represent(&mut encoder, test, augment, None);
    let mut result = Map::new();
    insert_line(
        &mut result,
        "",
        &score(&data, &train, &scored, encoder.output_width())?,
    );
    result.insert(
        "linear_top1_sgd".into(),
        number(sgd_score(&data, &train, &scored, encoder.output_width())?.linear_top1),
    );
    result.insert("run".into(), folder.display().to_string().into());
    result.insert("data".into(), data.train.name().into());
    Ok(Value::Object(result))
}

/// Scores and metrics of raw pixels depend on the data alone, so runs side by side share them.
fn pixel_reference(
    data: &Data<'_>,
    sample: &[u32],
    folder: &Path,
) -> Result<Map<String, Value>, TrainError> {
    let digest = [data.train, data.test].map(|set| {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let labels = set
            .labels()
            .unwrap_or_default()
            .iter()
            .map(|label| *label as u8);
        let pixels = (0..set.len()).flat_map(|index| set.image(index).pixels.iter().copied());
        for byte in pixels.chain(labels) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash
    });
    let (size, images) = (data.augment.size, sample.len());
    let name = format!(
        ".pixels-{:016x}{:016x}-{size}-{images}.json",
        digest[0], digest[1]
    );
    let path = folder.parent().unwrap_or(Path::new(".")).join(name);
    let kept = fs::read(&path).ok();
    if let Some(reference) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(reference);
    }
    let (line, metrics) = evaluate::pixels(data, sample)?;
    let mut reference = Map::new();
    insert_line(&mut reference, "pixel_", &line);
    reference.insert("pixel_metrics".into(), values(&metrics));
    let text = serde_json::to_vec(&reference).expect("scores are plain values");
    RunFolder::open(folder)?.write(&path, &text)?;
    Ok(reference)
}

fn values(measurements: &[Measurement]) -> Value {
    let value = |m: &Measurement| (m.name.to_owned(), m.value.map_or(Value::Null, number));
    Value::Object(measurements.iter().map(value).collect())
}

fn insert_line(result: &mut Map<String, Value>, prefix: &str, line: &Line) {
    for (name, value) in [
        ("linear_top1", line.linear_top1),
        ("knn_top1", line.knn_top1),
        ("knn200_top1", line.knn200_top1),
        ("l2", line.l2),
    ] {
        result.insert(format!("{prefix}{name}"), number(value));
    }
}

fn insert_spaces(result: &mut Map<String, Value>, prefix: &str, spaces: &Spaces) {
    for (space, measurements) in [
        ("representation", &spaces.representation),
        ("embedding", &spaces.embedding),
    ] {
        result.insert(format!("{prefix}{space}"), values(measurements));
    }
}

fn verdict(verdict: &Verdict) -> Value {
    serde_json::to_value(verdict).expect("a verdict is plain values")
}

fn summary(evaluation: &crate::loss::Evaluation) -> Map<String, Value> {
    let terms: Map<String, Value> = evaluation
        .terms
        .iter()
        .map(|term| (term.name.clone(), number(term.value)))
        .collect();
    Map::from_iter([
        ("loss".to_owned(), number(evaluation.total)),
        ("terms".to_owned(), Value::Object(terms)),
    ])
}

/// Loss and terms of the last step, from the journal of a run that had no step left to take.
fn last_step(run: &RunFolder) -> Result<Map<String, Value>, TrainError> {
    let path = run.steps();
    let text = fs::read_to_string(&path).map_err(|source| TrainError::Read { path, source })?;
    let last: Map<String, Value> = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default();
    let terms: Map<String, Value> = last
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("term/")?.to_owned(), value.clone())))
        .collect();
    Ok(Map::from_iter([
        (
            "loss".to_owned(),
            last.get("loss").cloned().unwrap_or(json!(null)),
        ),
        ("terms".to_owned(), Value::Object(terms)),
    ]))
}
