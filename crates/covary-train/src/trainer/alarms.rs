//! Signs of collapse while training, told in words, each kind once a run.
//!
//! | sign | from |
//! |---|---|
//! | the loss stands at its value at complete collapse, a closed form | a step with telemetry |
//! | the batch's embeddings are all but the same | a step with telemetry |
//! | the batch's embeddings differ along ever fewer directions | a step with telemetry |
//! | the variance hinge is saturated: it costs what a constant would | a step with telemetry |
//! | the output's BatchNorm hides a constant | a measurement in eval mode |
//! | the representation is lost | `representation_signs.rs` |
//!
//! Thresholds were set on runs with seeds 0 to 2 and scored on others (`results/alarms.md`).

use serde_json::Value;

use super::alarm::{Alarm, AlarmKind};
use super::representation_signs::RepresentationSigns;
use super::{StepReport, Telemetry};
use crate::monitor::{MonitorReport, Untrained};
use covary_loss::{Objective, TermDescription};

/// Share of the loss's first distance from its collapsed value (or of that value, where larger) that counts as standing at it.
const AT_CLOSED_FORM: f64 = 0.01;
/// Relative standard deviation of the batch below which a loss at its collapsed value means collapse.
const CLOSED_FORM_STD: f64 = 0.5;
/// Relative standard deviation of the batch below which embeddings are all but the same.
const CONSTANT_STD: f64 = 0.35;
/// Participation ratio of the batch below which embeddings lie on about a line.
const FEW_DIRECTIONS: f64 = 1.3;
/// Share of a variance hinge's value at collapse from which on it is saturated. That all dimensions are below γ is no sign: in the first
/// epochs of healthy runs they all are.
const SATURATED: f64 = 0.95;
/// Steps before which nothing but the first two signs counts: networks start with few directions and below the hinge.
const EARLY: u64 = 20;
/// Relative standard deviation before the output's normalisation below which, and behind it above which, that hides a constant.
const MASKED: (f64, f64) = (0.1, 0.5);

/// Watches a run.
#[derive(Debug, Clone, Default)]
pub struct Alarms {
    raised: Vec<Alarm>,
    /// Distance of the first loss seen from its collapsed value.
    first_distance: Option<f64>,
    representation: RepresentationSigns,
}

impl Alarms {
    /// Goes on after these, and after the lines of `steps.jsonl` and `epochs.jsonl`.
    pub fn resume(raised: Vec<Alarm>, steps: &[Value], measurements: &[Value]) -> Self {
        Self {
            raised,
            first_distance: None,
            representation: RepresentationSigns::resume(steps, measurements),
        }
    }

    /// All that were seen.
    pub fn raised(&self) -> &[Alarm] {
        &self.raised
    }

    /// Whether the measurements up to this share of the steps say that the representation is lost.
    pub fn has_lost_representation(&self, share: f64) -> bool {
        self.representation.is_lost(share)
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
        let mut seen: Vec<(AlarmKind, String)> = Vec::new();
        let descriptions = objective.describe(n, d, report.step);
        if let Some(message) = self.closed_form(&descriptions, report, telemetry) {
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
            seen.extend(few_directions(telemetry));
            seen.extend(saturated_hinge(&descriptions, report, telemetry));
        }
        let step = report.step;
        let seen = seen.into_iter();
        let mut seen: Vec<_> = seen
            .map(|(kind, message)| Alarm::at(step, kind, message))
            .collect();
        let h = telemetry.representation;
        seen.extend(self.representation.observe(step, h));
        self.take_new(seen)
    }

    /// New signs in a measurement after `step` of `total` steps, beside that of the untrained encoder.
    pub fn observe_monitor(
        &mut self,
        step: u64,
        total: u64,
        report: &MonitorReport,
        untrained: Option<&Untrained>,
    ) -> Vec<Alarm> {
        let signs = &mut self.representation;
        let mut seen = signs.observe_monitor(step, total, report, untrained);
        let before = report.spaces.embedding_verdict.relative_std;
        if let Some(behind) = report.relative_std_behind_norm
            && before < MASKED.0
            && behind > MASKED.1
        {
            let message = format!(
                "the normalisation of the projector's output hides a constant: relative std {before:.3} before it, {behind:.3} behind it"
            );
            seen.push(Alarm::at(step, AlarmKind::MaskedConstant, message));
        }
        self.take_new(seen)
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

    fn take_new(&mut self, mut seen: Vec<Alarm>) -> Vec<Alarm> {
        seen.retain(|new| self.raised.iter().all(|alarm| alarm.kind != new.kind));
        self.raised.extend(seen.iter().cloned());
        seen
    }
}

fn few_directions(telemetry: &Telemetry) -> Option<(AlarmKind, String)> {
    let directions = telemetry.embedding.participation_ratio;
    (directions < FEW_DIRECTIONS).then(|| {
        let message = format!(
            "embeddings of the batch differ along few directions: participation ratio {directions:.2}"
        );
        (AlarmKind::FewDirections, message)
    })
}

fn saturated_hinge(
    descriptions: &[TermDescription],
    report: &StepReport,
    telemetry: &Telemetry,
) -> Option<(AlarmKind, String)> {
    let mut terms = descriptions.iter().zip(&report.evaluation.terms);
    let (term, value) = terms.find(|(term, value)| {
        let saturated = |collapsed| value.value >= SATURATED * collapsed;
        term.hinge.is_some() && value.weight > 0.0 && term.collapsed.is_some_and(saturated)
    })?;
    let message = format!(
        "the variance hinge is saturated: {} is {:.3}, at collapse it is {:.3}; {:.1} % of the dimensions are below gamma",
        term.name,
        value.value,
        term.collapsed.unwrap_or(f64::NAN),
        100.0 * telemetry.below_hinge.unwrap_or(f64::NAN)
    );
    Some((AlarmKind::SaturatedHinge, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::trainer::telemetry::Spread;
    use covary_loss::{BranchOutputs, Branches, Evaluation};

    const N: usize = 8;
    const D: usize = 4;

    fn watch(method: &str, losses: &[&[f32]], relative_std: f64) -> Vec<Alarm> {
        let config = TrainConfig::resolve(method, &[]).expect("a preset");
        let mut method = config.method_config();
        method.target = covary_loss::method::TargetConfig::default();
        let mut objective = Objective::new(&method).expect("a loss");
        let mut alarms = Alarms::default();
        for (step, z) in losses.iter().enumerate() {
            let outputs = BranchOutputs {
                n: N,
                d: D,
                branches: Branches {
                    embedding: vec![Some(*z), Some(*z)],
                    prediction: vec![Some(*z), Some(*z)],
                    target: vec![],
                },
            };
            let evaluation = objective.evaluate(&outputs, 0.0).expect("a value");
            let report = report(step as u64 + 1, evaluation, relative_std);
            alarms.observe(&objective, N, D, &report);
        }
        alarms.raised().to_vec()
    }

    fn report(step: u64, evaluation: Evaluation, relative_std: f64) -> StepReport {
        let spread = Spread {
            relative_std,
            participation_ratio: 4.0,
        };
        StepReport {
            step,
            lr: 0.1,
            evaluation,
            phases: crate::trainer::Phases::default(),
            telemetry: Some(Telemetry {
                terms: Vec::new(),
                cosines: Vec::new(),
                below_hinge: None,
                embedding: spread,
                representation: spread,
            }),
        }
    }

    fn spread() -> Vec<f32> {
        (0..N * D).map(|i| ((i * 7919) % 13) as f32 - 6.0).collect()
    }

    #[test]
    fn a_loss_at_its_collapsed_value_is_told_in_words() {
        let constant = [0.5, -1.0, 2.0, 0.25].repeat(N);
        for (method, value) in [("tico", "8 "), ("simsiam", "-1"), ("vicreg", "24.75")] {
            let mut steps = vec![spread()];
            steps.extend(vec![constant.clone(); 99]);
            let steps: Vec<&[f32]> = steps.iter().map(Vec::as_slice).collect();
            let raised = watch(method, &steps, 0.01);
            let closed = raised.iter().find(|a| a.kind == AlarmKind::ClosedForm);
            let closed = closed.unwrap_or_else(|| panic!("{method}: {raised:?}"));
            assert!(
                closed.message.contains("value at complete collapse"),
                "{value}"
            );
            assert!(raised.iter().any(|a| a.kind == AlarmKind::Constant));
            let hinge = raised.iter().any(|a| a.kind == AlarmKind::SaturatedHinge);
            assert_eq!(hinge, method == "vicreg", "{method}");
            let kinds = raised.iter().filter(|a| a.kind == AlarmKind::ClosedForm);
            assert_eq!(kinds.count(), 1, "each kind once");
        }
    }

    #[test]
    fn spread_embeddings_raise_nothing() {
        for method in ["tico", "simsiam", "vicreg", "byol", "barlow-twins"] {
            let z = spread();
            assert_eq!(watch(method, &vec![z.as_slice(); 80], 0.9), []);
        }
    }
}
