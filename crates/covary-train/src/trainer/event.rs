//! What a run tells whoever watches it, and how it ended.

use covary_score::EmbeddingError;

use super::alarm::Alarm;
use super::step::StepReport;
use crate::monitor::MonitorReport;

/// What the loop tells whoever watches it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was taken.
    Step(&'a StepReport, Progress),
    /// The model was measured, at this place.
    Monitor(Progress, &'a MonitorReport),
    /// The model could not be measured at this place, for this reason; training goes on.
    Unmeasured(Progress, &'a EmbeddingError),
    /// A sign of collapse.
    Alarm(&'a Alarm),
    /// Another part of the run begins.
    Phase(Phase),
    /// Something that whoever runs it should know.
    Note(&'a str),
}

/// Parts of a run, by what an interrupt does to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Steps: the stop flag ends them after the present one, with a checkpoint.
    Steps,
    /// A measurement of a model in training; the process may end at any time and goes on from the last checkpoint.
    Measuring,
    /// Scores of the trained encoder; the process may end at any time and begins them anew.
    Scoring,
}

/// How far training is and how fast it goes.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Epoch of this step, counted from 1.
    pub epoch: u64,
    /// Steps taken.
    pub step: u64,
    /// Source images a second since the run was started or resumed, the first step and everything but training left out.
    pub images_per_s: f64,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken.
    Finished,
    /// It was asked to stop; a checkpoint was made.
    Interrupted,
    /// The embedding or the representation collapsed, and the configuration says to stop there.
    Collapsed,
}
