//! Signs of collapse while training, told in words, each kind once a run.
//!
//! | sign | from |
//! |---|---|
//! | the loss stands at its value at complete collapse, a closed form | a step with telemetry |
//! | the batch's embeddings are all but the same | a step with telemetry |
//! | the batch's embeddings differ along ever fewer directions | a step with telemetry |
//! | the variance hinge is saturated: no dimension reaches γ | a step with telemetry |
//! | the output's BatchNorm hides a constant | a measurement in eval mode |
//!
//! Thresholds were set on runs with seeds 0 to 2 and scored on others (`results/alarms.md`).

use serde::{Deserialize, Serialize};

use super::{StepReport, Telemetry};
use crate::loss::{Objective, TermDescription};
use crate::monitor::MonitorReport;

/// Share of the loss's first distance from its collapsed value (or of that value, where larger) that counts as standing at it.
const AT_CLOSED_FORM: f64 = 0.01;
/// Relative standard deviation of the batch below which a loss at its collapsed value means collapse.
const CLOSED_FORM_STD: f64 = 0.5;
/// Relative standard deviation of the batch below which embeddings are all but the same.
const CONSTANT_STD: f64 = 0.2;
/// Participation ratio of the batch below which embeddings lie on about a line.
const FEW_DIRECTIONS: f64 = 2.5;
/// Share of dimensions below γ from which on the hinge is saturated.
const SATURATED: f64 = 0.999;
/// Steps before which nothing but the first two signs counts: networks start with few directions and below the hinge.
const EARLY: u64 = 50;
/// Relative standard deviation before the output's normalisation below which, and behind it above which, that hides a constant.
const MASKED: (f64, f64) = (0.1, 0.5);

/// A kind of sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// The loss stands at its collapsed value.
    ClosedForm,
    /// Embeddings are all but the same.
    Constant,
    /// Embeddings differ along few directions.
    FewDirections,
    /// No dimension reaches the hinge's γ.
    SaturatedHinge,
    /// The output's normalisation hides a constant.
    MaskedConstant,
}

/// A sign that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Steps taken when it was seen.
    pub step: u64,
    /// What was seen.
    pub kind: AlarmKind,
    /// In words, with the numbers.
    pub message: String,
}

/// Watches a run.
#[derive(Debug, Clone, Default)]
pub struct Alarms {
    raised: Vec<Alarm>,
    /// Distance of the first loss seen from its collapsed value.
    first_distance: Option<f64>,
}

impl Alarms {
    /// Goes on after these.
    pub fn resume(raised: Vec<Alarm>) -> Self {
        Self {
            raised,
            first_distance: None,
        }
    }

    /// All that were seen.
    pub fn raised(&self) -> &[Alarm] {
        &self.raised
    }

    /// New signs in a step; none without telemetry.
    pub fn observe(
        &mut self,
        objective: &Objective,
        n: usize,
        d: usize,
        report: &StepReport,
    ) -> Vec<Alarm> {
        let Some(telemetry) = &report.telemetry else {
            return Vec::new();
        };
        let mut seen = Vec::new();
        if let Some(message) =
            self.closed_form(&objective.describe(n, d, report.step), report, telemetry)
        {
            seen.push((AlarmKind::ClosedForm, message));
        }
        let spread = telemetry.embedding;
        if spread.relative_std < CONSTANT_STD {
            let message = format!(
                "embeddings of the batch are all but the same: the std of l2-normalised ones is {:.3} of an isotropic set's",
                spread.relative_std
            );
            seen.push((AlarmKind::Constant, message));
        }
        if report.step >= EARLY {
            seen.extend(later_signs(telemetry));
        }
        self.take_new(report.step, seen)
    }

    /// New signs in a measurement after `step` steps.
    pub fn observe_monitor(&mut self, step: u64, report: &MonitorReport) -> Vec<Alarm> {
        let Some(behind) = report.relative_std_behind_norm else {
            return Vec::new();
        };
        let before = report.spaces.embedding_verdict.relative_std;
        let mut seen = Vec::new();
        if before < MASKED.0 && behind > MASKED.1 {
            let message = format!(
                "the normalisation of the projector's output hides a constant: relative std {before:.3} before it, {behind:.3} behind it"
            );
            seen.push((AlarmKind::MaskedConstant, message));
        }
        self.take_new(step, seen)
    }

    fn closed_form(
        &mut self,
        descriptions: &[TermDescription],
        report: &StepReport,
        telemetry: &Telemetry,
    ) -> Option<String> {
        let terms = descriptions.iter().zip(&report.evaluation.terms);
        let weighted = terms.filter(|(_, value)| value.weight != 0.0);
        let collapsed = weighted
            .map(|(term, value)| Some(value.weight * term.collapsed?))
            .sum::<Option<f64>>()?;
        let loss = report.evaluation.total;
        let distance = (loss - collapsed).abs();
        let scale = self
            .first_distance
            .get_or_insert(distance)
            .max(collapsed.abs());
        (distance <= AT_CLOSED_FORM * scale && telemetry.embedding.relative_std < CLOSED_FORM_STD)
            .then(|| {
                format!("the loss, {loss:.4}, is its value at complete collapse, {collapsed:.4}")
            })
    }

    fn take_new(&mut self, step: u64, seen: Vec<(AlarmKind, String)>) -> Vec<Alarm> {
        let is_known = |kind| self.raised.iter().any(|alarm| alarm.kind == kind);
        let new: Vec<Alarm> = seen
            .into_iter()
            .filter(|(kind, _)| !is_known(*kind))
            .map(|(kind, message)| Alarm {
                step,
                kind,
                message,
            })
            .collect();
        self.raised.extend(new.iter().cloned());
        new
    }
}

fn later_signs(telemetry: &Telemetry) -> Vec<(AlarmKind, String)> {
    let mut seen = Vec::new();
    let directions = telemetry.embedding.participation_ratio;
    if directions < FEW_DIRECTIONS {
        let message = format!(
            "embeddings of the batch differ along few directions: participation ratio {directions:.2}"
        );
        seen.push((AlarmKind::FewDirections, message));
    }
    if let Some(share) = telemetry.below_hinge.filter(|share| *share >= SATURATED) {
        let message = format!(
            "the variance hinge is saturated: {:.1} % of the dimensions are below gamma",
            100.0 * share
        );
        seen.push((AlarmKind::SaturatedHinge, message));
    }
    seen
}
