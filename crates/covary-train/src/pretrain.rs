//! The whole way: configuration, data, run folder, training, frozen encoder, scores.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use covary_data::{DataError, Dataset, Loader, LoaderConfig, Splits};
use covary_kernels::{Isa, Precision};
use covary_nn::EngineConfig;
use serde_json::{Map, Value};

use crate::TrainError;
use crate::belonging::{
    REFERENCES, check_identity, check_images, check_own, check_unsaved, note_moved, own_checkpoint,
    unchecked,
};
use crate::config::{TrainConfig, size};
use crate::evaluate::{self, Data, reestimate, represent};
use crate::monitor::{Monitor, Untrained};
use crate::optim::AverageKind;
use crate::result;
use crate::run::{DataDigest, Provenance, RunFolder, number, peak_memory_bytes};
use crate::trainer::{self, Event, Model, Outcome, Phase, TrainState};

/// Key of the configuration's identity in the metadata of an encoder.
const CONFIGURATION: &str = "configuration";

/// A run that is ready to train: nothing of a new one is written before [`Pretraining::run`].
#[derive(Debug)]
pub struct Pretraining {
    config: TrainConfig,
    isa: Isa,
    precision: Precision,
    train: Arc<Dataset>,
    test: Option<Dataset>,
    data_notes: Vec<String>,
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
    /// Sizes beyond the memory of this machine, data that cannot be read, or fewer images than a batch.
    pub fn prepare(config: TrainConfig) -> Result<Self, TrainError> {
        let isa = Isa::active()?;
        if let Some(memory) = size::memory() {
            size::check(&config, memory)?;
        }
        let Splits { train, test, notes } = config.data.open(&config.augment)?;
        let train = Arc::new(train);
        let test = test.filter(|_| config.score);
        let limit = (config.data.limit != 0).then_some(config.data.limit);
        let loader = LoaderConfig {
            batch_size: config.batch_size,
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
            data_notes: notes,
            loader,
        })
    }

    /// [`Pretraining::prepare`] for a run that exists.
    ///
    /// # Errors
    /// As there; [`TrainError::DataMissing`] where its images are not at their place.
    pub fn prepare_for(run: &RunFolder, config: TrainConfig) -> Result<Self, TrainError> {
        Self::prepare(config).map_err(|error| match error {
            TrainError::Data(DataError::MissingPath { path }) => TrainError::DataMissing {
                run: run.path().into(),
                path,
            },
            other => other,
        })
    }

    /// Training images.
    pub fn train_set(&self) -> &Dataset {
        &self.train
    }

    /// What was understood, passed over or left out when the data were read: whole sentences, a line each.
    pub fn data_notes(&self) -> &[String] {
        &self.data_notes
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

    /// What the images are known by.
    fn data_digest(&self) -> DataDigest {
        DataDigest::of(&self.train, self.test.as_ref())
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

    /// Trains in a new folder, or goes on in that of an earlier run of the same configuration from its checkpoint, and scores the
    /// encoder.
    ///
    /// # Errors
    /// A run of another configuration, on other images, or with files that are not what was written; files that cannot be written,
    /// numbers that are not finite.
    pub fn run(
        &mut self,
        run: &RunFolder,
        stop: &AtomicBool,
        watch: &mut Watch<'_>,
    ) -> Result<Ending, TrainError> {
        let folder = run.path();
        if let Some(note) = run.note() {
            watch(Event::Note(note));
        }
        let engine = self.engine();
        let mut state = self.state(&engine, run, watch)?;
        let monitor = self.monitor();
        let untrained = self.untrained(&monitor)?;
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
            untrained.as_ref(),
            run,
            stop,
            &mut follow,
        )?;
        if outcome == Outcome::Interrupted {
            return Ok(Ending::Interrupted(state.step));
        }
        let seconds = start.elapsed().as_secs_f64();
        watch(Event::Phase(Phase::Scoring));
        state.put_average(|model| reestimate(model, &self.train, &self.config.augment));
        self.save_encoder(&state, run)?;

        let mut result = result::scores(
            &self.config,
            &self.train,
            self.data().as_ref(),
            &mut state,
            &monitor,
            untrained.as_ref(),
            run,
        )?;
        result.extend(match (last, images_per_s) {
            (Some(last), Some(images_per_s)) => {
                let mut facts = result::loss(&last);
                facts.insert("images_per_s".into(), number(images_per_s));
                facts
            }
            _ => result::last_step(run)?,
        });
        let facts = [
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
        if let Some(data) = self.data() {
            result.insert(REFERENCES.into(), "pending".into());
            result::write(result.clone(), run)?;
            result.remove(REFERENCES);
            result::add_references(
                &mut result,
                &self.config,
                &engine,
                &data,
                monitor.images(),
                run,
            )?;
            result.insert("total_s".into(), number(start.elapsed().as_secs_f64()));
            let peak = peak_memory_bytes().map_or(Value::Null, Value::from);
            result.insert("peak_memory_bytes".into(), peak);
        }
        Ok(Ending::Finished(result::write(result, run)?))
    }

    /// The state that training begins with in a new folder, or goes on from in that of an earlier run.
    fn state(
        &self,
        engine: &EngineConfig,
        run: &RunFolder,
        watch: &mut Watch<'_>,
    ) -> Result<TrainState, TrainError> {
        let new = || TrainState::new(&self.config, engine, self.isa, self.total_steps());
        let mut state = if run.is_new() {
            self.begin(run)?;
            new()?
        } else {
            check_own(run, &self.config, &self.data_digest())?;
            if !run.provenance().exists() && !run.checkpoint().exists() {
                self.write_provenance(run)?;
            }
            let mut state = new()?;
            if run.checkpoint().exists() {
                let checkpoint = own_checkpoint(run, &mut |note| watch(Event::Note(note)))?;
                state.restore(checkpoint, &run.checkpoint())?;
            } else {
                check_unsaved(run)?;
            }
            note_moved(run, &self.config)?;
            state
        };
        if !run.checkpoint().exists() {
            state.model.fit_stem(&self.train, &self.config.augment)?;
        }
        Ok(state)
    }

    /// What the monitor says of the encoder before training; none where it is off or where the images do not allow it.
    fn untrained(&self, monitor: &Monitor) -> Result<Option<Untrained>, TrainError> {
        if !self.config.monitor.is_on() {
            return Ok(None);
        }
        let mut initial = Model::new(&self.config, &self.engine())?;
        initial.fit_stem(&self.train, &self.config.augment)?;
        match monitor.untrained(initial.encoder) {
            Ok(untrained) => Ok(Some(untrained)),
            Err(TrainError::Probe(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Writes down what a new run is made by. The configuration is first: a folder that holds it can be resumed.
    fn begin(&self, run: &RunFolder) -> Result<(), TrainError> {
        run.write(&run.config(), self.config.to_toml().as_bytes())?;
        self.write_provenance(run)
    }

    fn write_provenance(&self, run: &RunFolder) -> Result<(), TrainError> {
        let mut provenance = self.provenance();
        provenance.data = Some(self.data_digest());
        let Ok(Value::Object(provenance)) = serde_json::to_value(provenance) else {
            unreachable!("provenance is an object of plain values")
        };
        run.write_object(&run.provenance(), &provenance)
    }

    fn save_encoder(&self, state: &TrainState, run: &RunFolder) -> Result<(), TrainError> {
        let entries = [
            ("architecture", self.config.encoder.name.clone()),
            ("width", self.config.encoder.width.to_string()),
            (
                "encoder",
                toml::to_string(&self.config.encoder).expect("an encoder is plain values"),
            ),
            ("method", self.config.method.clone()),
            ("data", self.train.name().to_owned()),
            (CONFIGURATION, run.identity()?),
        ];
        let average = self.config.optimizer.average.as_ref().map(|average| {
            let kind = match average.kind {
                AverageKind::Ema => "moving average, BatchNorm statistics re-estimated",
                AverageKind::Lookahead => "lookahead, BatchNorm statistics re-estimated",
            };
            ("weights", kind.to_owned())
        });
        let metadata: HashMap<String, String> = entries
            .into_iter()
            .chain(average)
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        state.model.encoder.save(&run.encoder(), metadata)?;
        Ok(())
    }
}

/// Reads the images of a run again, at `data` where they moved, and checks that they are the same.
pub(crate) fn prepare_again(
    run: &RunFolder,
    mut config: TrainConfig,
    data: Option<&str>,
) -> Result<Pretraining, TrainError> {
    let there = config.clone();
    if let Some(data) = data {
        data.clone_into(&mut config.data.path);
    }
    let pretraining = Pretraining::prepare_for(run, config)?;
    check_images(run, &there, &pretraining.config, &pretraining.data_digest())?;
    Ok(pretraining)
}

/// Scores the encoder that a finished run left, on the data that its configuration names or, where they moved, on those at `data`.
///
/// # Errors
/// A folder without a run, an encoder or data that cannot be read or are not what was written, data without labels.
pub fn probe_run(
    folder: &Path,
    data: Option<&str>,
    say: &mut dyn FnMut(&str),
) -> Result<Value, TrainError> {
    let run = RunFolder::open(folder)?;
    let mut config = run.read_config()?;
    config.score = true;
    let pretraining = prepare_again(&run, config, data)?;
    let mut encoder = Model::new(&pretraining.config, &pretraining.engine())?.encoder;
    let loaded = encoder.load(&run.encoder())?;
    match loaded.metadata.get(CONFIGURATION) {
        Some(identity) => check_identity(&run, identity, &run.encoder())?,
        None => say(&unchecked(&run.encoder())),
    }
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
    result.insert("data_notes".into(), pretraining.data_notes.clone().into());
    Ok(Value::Object(result))
}
