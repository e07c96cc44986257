//! What is known of a run at a fraction of its training: the newest collapse metrics, and loss, terms and gradients averaged over the later
//! half of the steps so far, as single steps are noisy; `loss_change` is that average less the one over the earlier half.

use std::collections::BTreeMap;

use crate::{Record, Score, Study};

/// Fractions of training that forecasts are judged at.
pub const FRACTIONS: [f64; 3] = [0.05, 0.1, 0.25];

/// Keys of a journal that say nothing about learning.
const SILENT: [&str; 4] = ["epoch", "lr", "images_per_s", "step"];

/// A run at a fraction of its training, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Variants are left out whole.
    pub variant: String,
    /// Its key; empty for a run outside the study.
    pub key: String,
    /// What is known by then.
    pub features: BTreeMap<String, f64>,
    /// Whether it was lost by the plan's rule.
    pub lost: bool,
    /// Final linear accuracy, where it was scored.
    pub accuracy: Option<f64>,
}

/// Every run of the study that ended, at a fraction.
pub fn samples(study: &Study, fraction: f64) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (arm, run) in study.design.runs() {
        let Some(record) = study.record(&run.key) else {
            continue;
        };
        let Some(steps) = planned_steps(record, study).filter(|_| record.state.has_ended()) else {
            continue;
        };
        let name = &study.design.arms[arm].name;
        // The cells of a map differ by factors alone: a technique is left out whole.
        let technique = study
            .design
            .maps
            .iter()
            .find(|map| map.cells.iter().flatten().any(|cell| *cell == arm));
        samples.push(Sample {
            variant: technique.map_or(name, |map| &map.name).clone(),
            key: run.key.clone(),
            features: features(record, cut(steps, fraction)),
            lost: record.state.is_lost(study.design.plan.lost),
            accuracy: record.score(Score::Linear.key()),
        });
    }
    samples
}

/// The last step of a fraction.
pub(super) fn cut(steps: u64, fraction: f64) -> u64 {
    ((steps as f64 * fraction).round() as u64).max(2)
}

/// Steps that the whole run was to take: its epochs times the steps of an epoch, as it or the longest like run of the study shows them. A
/// run that stopped at its collapse took fewer.
pub(super) fn planned_steps(record: &Record, study: &Study) -> Option<u64> {
    let is_like = |other: &&Record| {
        let (a, b) = (&record.config, &other.config);
        a.batch_size == b.batch_size && a.data == b.data
    };
    let like = study.records().filter(is_like).chain([record]);
    let steps_per_epoch = like.filter_map(steps_per_epoch).max()?;
    Some(steps_per_epoch * record.config.epochs)
}

fn steps_per_epoch(record: &Record) -> Option<u64> {
    let epochs = record.steps.points("epoch");
    let has_second = epochs.iter().any(|(_, epoch)| *epoch >= 2.0);
    let first = epochs
        .iter()
        .filter(|(_, epoch)| *epoch < 2.0)
        .map(|(step, _)| *step)
        .max();
    let of_result = || Some(record.total_steps()? / record.config.epochs);
    first.filter(|_| has_second).or_else(of_result)
}

pub(super) fn features(record: &Record, until: u64) -> BTreeMap<String, f64> {
    let middle = until / 2;
    let mut features = BTreeMap::new();
    for name in record.steps.names().filter(|name| !SILENT.contains(name)) {
        if let Some(value) = record.steps.mean_over(name, middle, until) {
            features.insert(name.to_owned(), value);
        }
    }
    let early = record.steps.mean_over("loss", 0, middle);
    if let Some((late, early)) = features.get("loss").copied().zip(early) {
        features.insert("loss_change".into(), late - early);
    }
    for name in record
        .monitors
        .names()
        .filter(|name| !SILENT.contains(name))
    {
        if let Some(value) = record.monitors.at(name, until) {
            features.insert(name.to_owned(), value);
        }
    }
    features
}
