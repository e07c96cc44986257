//! Signs that the representation h is lost, whatever the embedding does: the loss sees z alone, and a user keeps h.
//!
//! | sign | from |
//! |---|---|
//! | h of the batch differs along about one direction, in training mode, several looks in a row | steps with telemetry |
//! | h is lost by the rule of the outcome, in eval mode | two measurements in a row, or one in the second half of the steps |
//! | kNN on h is no better than on the untrained encoder's | measurements in the second half of the steps |
//!
//! The first two tell the step at which it began. Networks start with few directions: h of an untrained `ResNet`'s batch has a
//! participation ratio of 1.7 to 5.6, and a Barlow Twins encoder that ends well was measured at 1.7 after an eighth of a short run,
//! which is why one look is no sign. After step 20 the batches of runs that ended well stayed above 1.8. Of two VICReg runs that lost h at
//! ten times the learning rate, with z well, one stayed below 1.3 and one between 1.6 and 2.0, which the measurements tell
//! (`results/alarms.md`).

use serde_json::Value;

use super::Spread;
use super::alarm::{Alarm, AlarmKind};
use crate::monitor::{MonitorReport, Untrained};

/// Participation ratio of a batch's h below which it lies on about a line.
const FEW_DIRECTIONS: f64 = 1.5;
/// Looks in a row that make it a sign.
const LOOKS: usize = 3;
/// Steps before which no look counts.
const EARLY: u64 = 20;
/// Share of the steps before which no measurement is a sign.
pub(super) const PATIENCE: f64 = 0.1;
/// Share of the steps from which on one measurement is enough, and before which kNN near the untrained encoder's is no sign.
const HALF: f64 = 0.5;
/// Share of the held-out images that kNN must gain over the untrained encoder's.
const GAIN: f64 = 0.02;

/// What was seen of h so far.
#[derive(Debug, Clone, Default)]
pub(super) struct RepresentationSigns {
    looks: Streak,
    measurements: Streak,
}

/// How long something has been so.
#[derive(Debug, Clone, Copy, Default)]
struct Streak {
    since: u64,
    length: usize,
}

impl Streak {
    fn add(&mut self, step: u64, is_so: bool) {
        if is_so && self.length == 0 {
            self.since = step;
        }
        self.length = if is_so { self.length + 1 } else { 0 };
    }
}

impl RepresentationSigns {
    /// What a run had seen that goes on: from the lines of `steps.jsonl` and `epochs.jsonl`.
    pub(super) fn resume(steps: &[Value], measurements: &[Value]) -> Self {
        let mut signs = Self::default();
        for line in steps {
            let ratio = line["batch_h/participation_ratio"].as_f64();
            if let Some((step, ratio)) = line["step"].as_u64().zip(ratio) {
                signs.look(step, ratio);
            }
        }
        for line in measurements {
            if let Some((step, word)) = line["step"]
                .as_u64()
                .zip(line["representation/outcome"].as_str())
            {
                signs.measurements.add(step, word != "healthy");
            }
        }
        signs
    }

    fn look(&mut self, step: u64, participation_ratio: f64) {
        let is_so = step >= EARLY && participation_ratio < FEW_DIRECTIONS;
        self.looks.add(step, is_so);
    }

    /// A step's batch.
    pub(super) fn observe(&mut self, step: u64, h: Spread) -> Option<Alarm> {
        let ratio = h.participation_ratio;
        self.look(step, ratio);
        (self.looks.length >= LOOKS).then(|| {
            let since = self.looks.since;
            let message = format!(
                "representations h of the batch differ along about one direction since step {since}: participation ratio {ratio:.2}; \
                 the encoder may be lost whatever the embedding does"
            );
            Alarm::since(since, step, AlarmKind::RepresentationFewDirections, message)
        })
    }

    /// Whether the measurements up to this share of the steps say that h is lost.
    pub(super) fn is_lost(&self, share: f64) -> bool {
        let enough = if share >= HALF { 1 } else { 2 };
        share >= PATIENCE && self.measurements.length >= enough
    }

    /// A measurement after `step` of `total` steps, beside the untrained encoder's.
    pub(super) fn observe_monitor(
        &mut self,
        step: u64,
        total: u64,
        report: &MonitorReport,
        untrained: Option<&Untrained>,
    ) -> Vec<Alarm> {
        let verdict = &report.spaces.representation_verdict;
        self.measurements.add(step, verdict.is_collapse());
        let share = step as f64 / total as f64;
        let mut seen = Vec::new();
        if self.is_lost(share) {
            let since = self.measurements.since;
            let of_untrained = untrained.map_or_else(String::new, |untrained| {
                let ratio = untrained.verdict.participation_ratio;
                format!("; before training it was {ratio:.2}")
            });
            let message = format!(
                "the representation h is lost since step {since}: {}{of_untrained}",
                verdict.reason
            );
            seen.push(Alarm::since(
                since,
                step,
                AlarmKind::RepresentationLost,
                message,
            ));
        }
        let knn = report.validation_knn;
        if let Some((knn, before)) = knn.zip(untrained.and_then(|u| u.validation_knn))
            && share >= HALF
            && knn < before + GAIN
        {
            let message = format!(
                "kNN on h is {:.1} % on held-out training images, the untrained encoder's is {:.1} %: little has been learnt",
                100.0 * knn,
                100.0 * before
            );
            seen.push(Alarm::at(step, AlarmKind::NearUntrained, message));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use covary_score::{Embeddings, Sample, Verdict};
    use serde_json::json;

    use super::*;
    use crate::evaluate::Spaces;

    fn spread(participation_ratio: f64) -> Spread {
        Spread {
            relative_std: 0.6,
            participation_ratio,
        }
    }

    /// The first sign of batches at every tenth step.
    fn first(ratios: &[f64]) -> Option<Alarm> {
        let mut signs = RepresentationSigns::default();
        let mut looks = ratios.iter().zip(1..);
        looks.find_map(|(ratio, index)| signs.observe(10 * index, spread(*ratio)))
    }

    #[test]
    fn three_looks_in_a_row_are_a_sign_that_names_its_beginning() {
        let alarm = first(&[1.1, 9.0, 4.0, 1.4, 1.2, 1.1, 1.1]).unwrap();
        assert_eq!((alarm.since, alarm.step), (Some(40), 60));
        assert_eq!(alarm.kind, AlarmKind::RepresentationFewDirections);
        assert!(alarm.message.contains("since step 40"), "{}", alarm.message);
        assert_eq!(first(&[1.1, 1.1, 1.1, 6.0, 1.1, 1.1, 6.0, 1.1]), None);
        assert_eq!(first(&[2.0, 1.9, 1.8, 1.7, 1.6]), None);
    }

    #[test]
    fn a_resumed_run_counts_on() {
        let lines = [30, 40].map(|step| json!({"step": step, "batch_h/participation_ratio": 1.1}));
        let measured = [json!({"step": 40, "representation/outcome": "dimensional"})];
        let mut signs = RepresentationSigns::resume(&lines, &measured);
        let alarm = signs.observe(50, spread(1.1)).unwrap();
        assert_eq!(alarm.since, Some(30));
        let seen = signs.observe_monitor(60, 100, &report(true, None), None);
        assert_eq!(seen[0].since, Some(40));
    }

    fn verdict(is_line: bool) -> Verdict {
        let values: Vec<f32> = (0..64_usize)
            .flat_map(|i| {
                let corner = |bit: usize| if i >> bit & 1 == 1 { 1.0 } else { -1.0 };
                let line = i as f32 - 31.5;
                if is_line {
                    [line; 4]
                } else {
                    [0, 1, 2, 3].map(corner)
                }
            })
            .collect();
        Verdict::of(&Sample::new(Embeddings::try_new(&values, 4).unwrap())).unwrap()
    }

    fn report(is_line: bool, validation_knn: Option<f64>) -> MonitorReport {
        MonitorReport {
            spaces: Spaces {
                representation: Vec::new(),
                embedding: Vec::new(),
                representation_verdict: verdict(is_line),
                embedding_verdict: verdict(false),
            },
            validation_knn,
            relative_std_behind_norm: None,
        }
    }

    #[test]
    fn a_lost_representation_is_told_beside_the_untrained_one_though_z_is_well() {
        let untrained = Untrained {
            verdict: verdict(false),
            validation_knn: Some(0.23),
        };
        let mut signs = RepresentationSigns::default();
        let mut at = |step, knn| {
            let seen = signs.observe_monitor(step, 100, &report(true, Some(knn)), Some(&untrained));
            seen.into_iter().map(|alarm| alarm.kind).collect::<Vec<_>>()
        };
        assert_eq!(at(5, 0.2), [], "networks start with few directions");
        assert_eq!(at(8, 0.2), []);
        assert_eq!(at(20, 0.2), [AlarmKind::RepresentationLost]);
        assert_eq!(
            at(60, 0.24),
            [AlarmKind::RepresentationLost, AlarmKind::NearUntrained]
        );
        assert_eq!(at(80, 0.26), [AlarmKind::RepresentationLost]);
        let seen = signs.observe_monitor(90, 100, &report(true, None), Some(&untrained));
        assert!(seen[0].message.contains("since step 5"), "{seen:?}");
        assert!(
            seen[0].message.contains("before training it was 4.00"),
            "{seen:?}"
        );
        let mut seen = |step, is_line| {
            let report = report(is_line, None);
            signs.observe_monitor(step, 100, &report, None).len()
        };
        assert_eq!(seen(25, false), 0);
        assert_eq!(seen(30, true), 0, "one look in the first half");
        assert_eq!(seen(40, true), 1);
        assert_eq!((seen(45, false), seen(50, true)), (0, 1));
    }
}
