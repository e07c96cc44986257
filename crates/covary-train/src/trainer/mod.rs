//! Training: the networks, the step, the loop over batches, and what goes into a checkpoint.

mod alarm;
mod alarms;
mod averaged;
mod embedding_gradient;
mod event;
mod forward;
mod log;
mod model;
mod representation_signs;
mod step;
mod telemetry;
mod train;

use std::path::Path;

use covary_kernels::Isa;
use covary_nn::EngineConfig;

pub use alarm::{Alarm, AlarmKind};
pub use alarms::Alarms;
pub use event::{Event, Outcome, Phase, Progress};
pub(crate) use model::projector_config;
pub use model::{Model, Target};
pub use step::{Phases, StepReport};
pub use telemetry::{Spread, Telemetry, TermTelemetry};
pub use train::train;

use crate::TrainError;
use crate::config::TrainConfig;
use crate::optim::{Average, EmaSchedule, Optimizer, Schedule};
use crate::run::{Belonging, Checkpoint};
use covary_loss::Objective;
use covary_loss::method::TargetOrder;

/// Everything that changes while training.
#[derive(Debug)]
pub struct TrainState {
    /// The networks.
    pub model: Model,
    /// The loss, with what its terms keep between steps.
    pub objective: Objective,
    /// Steps taken.
    pub step: u64,
    total_steps: u64,
    optimizer: Optimizer,
    average: Option<Average>,
    schedule: Schedule,
    target_decay: EmaSchedule,
    target_order: TargetOrder,
    isa: Isa,
    /// What the checkpoint that this was restored from says of its run.
    restored: Option<Belonging>,
}

impl TrainState {
    /// The state before the first of `total_steps` steps.
    ///
    /// # Errors
    /// Sizes and settings that make no network, loss or optimizer.
    pub fn new(
        config: &TrainConfig,
        engine: &EngineConfig,
        isa: Isa,
        total_steps: u64,
    ) -> Result<Self, TrainError> {
        let mut model = Model::new(config, engine)?;
        let networks: Vec<_> = model
            .trained_mut()
            .into_iter()
            .map(|(name, network)| (name, network.layout().clone()))
            .collect();
        let layouts: Vec<_> = networks
            .iter()
            .map(|(name, layout)| (*name, layout))
            .collect();
        let average = config.optimizer.average.as_ref();
        let average = average.map(|average| Average::new(average, isa, &model.trained_mut()));
        Ok(Self {
            average,
            objective: Objective::of_views(&config.method_config(), config.view_count())?,
            step: 0,
            total_steps,
            optimizer: Optimizer::new(&config.optimizer, isa, &layouts)?,
            schedule: Schedule::new(
                config.optimizer.lr,
                config.schedule.warmup,
                &config.schedule.phases,
                total_steps,
            ),
            target_decay: EmaSchedule::new(
                config.target.decay,
                config.target.final_decay,
                total_steps,
            ),
            target_order: config.target.order,
            isa,
            model,
            restored: None,
        })
    }

    /// Everything needed to go on with the same bits.
    pub fn checkpoint(&mut self) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            step: self.step,
            ..Checkpoint::default()
        };
        for (name, network) in self.model.networks_mut() {
            checkpoint
                .vectors
                .insert(format!("{name}.parameters"), network.parameters().to_vec());
            checkpoint
                .vectors
                .insert(format!("{name}.statistics"), network.statistics().to_vec());
        }
        let state = self
            .optimizer
            .state()
            .into_iter()
            .map(|(name, vector)| (format!("optimizer.{name}"), vector.to_vec()));
        checkpoint.vectors.extend(state);
        let averages = self.average.iter_mut().flat_map(Average::state_mut);
        let averages =
            averages.map(|(name, weights)| (format!("average.{name}"), weights.to_vec()));
        checkpoint.vectors.extend(averages);
        let state = self
            .objective
            .state()
            .into_iter()
            .map(|(name, vector)| (format!("loss.{name}"), vector));
        checkpoint.vectors.extend(state);
        checkpoint
    }

    /// Goes back to a checkpoint of the same configuration.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] when a vector is missing, of another length, or left over.
    pub fn restore(&mut self, mut checkpoint: Checkpoint, path: &Path) -> Result<(), TrainError> {
        for (name, network) in self.model.networks_mut() {
            let len = network.parameters().len();
            network.parameters_mut().copy_from_slice(&checkpoint.take(
                path,
                &format!("{name}.parameters"),
                len,
            )?);
            let len = network.statistics().len();
            network.statistics_mut().copy_from_slice(&checkpoint.take(
                path,
                &format!("{name}.statistics"),
                len,
            )?);
        }
        for (name, vector) in self.optimizer.state_mut() {
            vector.copy_from_slice(&checkpoint.take(
                path,
                &format!("optimizer.{name}"),
                vector.len(),
            )?);
        }
        for (name, weights) in self.average.iter_mut().flat_map(Average::state_mut) {
            let name = format!("average.{name}");
            weights.copy_from_slice(&checkpoint.take(path, &name, weights.len())?);
        }
        self.step = checkpoint.step;
        self.restored = checkpoint.belonging.take();
        let loss = std::mem::take(&mut checkpoint.vectors)
            .into_iter()
            .map(|(name, vector)| {
                (
                    name.strip_prefix("loss.")
                        .map_or_else(|| name.clone(), str::to_owned),
                    vector,
                )
            });
        self.objective
            .load_state(loss.collect())
            .map_err(|error| TrainError::Checkpoint {
                path: path.into(),
                reason: error.to_string(),
            })
    }
}
