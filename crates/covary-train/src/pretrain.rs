//! The whole way: configuration, data, run folder, training, frozen encoder, scores.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use covary_data::{DataError, Dataset, Loader, LoaderConfig, ReadOptions, Split};
use covary_kernels::{Isa, Precision};
use covary_nn::EngineConfig;
use serde_json::{Map, Value};

use crate::TrainError;
use covary_loss::tables::differences;

use crate::config::TrainConfig;
use crate::evaluate::{self, Data, represent};
use crate::monitor::Monitor;
use crate::result;
use crate::run::{Checkpoint, Provenance, RunFolder, number, peak_memory_bytes};
use crate::trainer::{self, Event, Model, Outcome, TrainState};

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
            _ if train.labels().is_none() || !config.score => None,
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
            precision: config.device.precision(config.precision, isa),
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
            _ if !self.config.score => Some("score = false"),
            (Some(_), _) => None,
            (None, Some(_)) => Some("there is no test set"),
            (None, None) => Some("the images have no labels"),
        }
    }

    /// What will not be measured of this run for want of classes or images, and what will be measured otherwise, a sentence each.
    pub fn left_out(&self) -> Vec<String> {
        let mut reasons = self
            .data()
            .as_ref()
            .map_or_else(Vec::new, evaluate::left_out);
        if self.train.labels().is_some()
            && let Some(why) = self.monitor().without_knn()
        {
            reasons.push(format!("{why}: kNN while training is skipped"));
        }
        reasons
    }

    pub(crate) fn monitor(&self) -> Monitor {
        Monitor::new(
            Arc::clone(&self.train),
            self.config.augment.clone(),
            self.config.monitor.images,
        )
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
        Provenance::collect(self.isa.name(), precision, self.config.device.name())
    }

    /// The data that encoders are scored on, where there are labels and a test set.
    pub(crate) fn data(&self) -> Option<Data<'_>> {
        Some(Data {
            train: &self.train,
            test: self.test.as_ref()?,
            augment: &self.config.augment,
        })
    }

    fn engine(&self) -> EngineConfig {
        let engine = self.config.device.engine(self.isa, self.precision);
        engine.expect("a configuration names a device of this build")
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
        let monitor = self.monitor();
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

        let mut result = result::scores(self, &mut state, &monitor, &run)?;
        let last = last.map_or_else(|| result::last_step(&run), |last| Ok(result::loss(&last)))?;
        result.extend(last);
        let facts = [
            ("images_per_s", number(images_per_s)),
            ("train_s", number(seconds)),
            ("total_s", number(start.elapsed().as_secs_f64())),
            ("run", folder.display().to_string().into()),
            ("epochs", self.config.epochs.into()),
            ("steps", state.step.into()),
            ("stopped", (outcome == Outcome::Collapsed).into()),
            ("seed", self.config.seed.into()),
            ("method", self.config.method.clone().into()),
            ("data", self.train.name().into()),
            ("images", self.loader.images_per_epoch().into()),
            (
                "peak_memory_bytes",
                peak_memory_bytes().map_or(Value::Null, Value::from),
            ),
        ];
        result.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        // The encoder's own scores are safe before the references, which may take longer, are begun.
        let mut written = result::write(result.clone(), &run)?;
        if let Some(data) = self.data() {
            result::add_references(&mut result, self, &data, monitor.images(), &run)?;
            result.insert("total_s".into(), number(start.elapsed().as_secs_f64()));
            let peak = peak_memory_bytes().map_or(Value::Null, Value::from);
            result.insert("peak_memory_bytes".into(), peak);
            written = result::write(result, &run)?;
        }
        Ok(Ending::Finished(written))
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
        let there = run.read_config()?;
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
}

/// Scores the encoder that a finished run left, on the data that its configuration names.
///
/// # Errors
/// A folder without a run, an encoder or data that cannot be read, data without labels.
pub fn probe_run(folder: &Path) -> Result<Value, TrainError> {
    let run = RunFolder::open(folder)?;
    let mut config = run.read_config()?;
    config.score = true;
    let pretraining = Pretraining::prepare(config)?;
    let mut encoder = Model::new(&pretraining.config, &pretraining.engine())?.encoder;
    encoder.load(&run.encoder())?;
    let Some(data) = pretraining.data() else {
        return Err(TrainError::NoLabels {
            path: pretraining.config.data.path.clone().into(),
        });
    };
    let train = represent(&mut encoder, data.train, data.augment, None);
    let mut result = Map::new();
    result::insert_scores(&mut result, &mut encoder, &data, &train)?;
    result.insert("run".into(), folder.display().to_string().into());
    result.insert("data".into(), data.train.name().into());
    Ok(Value::Object(result))
}
