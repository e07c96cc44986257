//! The forecast of one run, learnt from a study's runs of other variants.

use serde::Serialize;

use super::evaluate::at;
use super::features::{cut, features, planned_steps};
use super::model::variants;
use super::{Candidates, Evaluation, Forecast, Sample, samples};
use crate::{Record, Study, StudyError, key};

/// What is to be expected of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Fraction of training that was looked at.
    pub fraction: f64,
    /// Its last step.
    pub step: u64,
    /// Chance of collapse or divergence.
    pub chance_of_collapse: f64,
    /// Metric that tells; none where no metric was better than the rate.
    pub collapse_metric: Option<String>,
    /// Final linear accuracy.
    pub accuracy: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// Metric that tells; none where no metric was better than the mean.
    pub accuracy_metric: Option<String>,
    /// Runs that it was learnt from.
    pub runs: usize,
    /// Variants that it was learnt from.
    pub variants: usize,
    /// How good such forecasts are on variants left out.
    pub evaluation: Evaluation,
}

/// Forecasts a run from what it logged in a fraction of its training.
///
/// # Errors
/// [`StudyError::Forecast`] for a run that has not come so far, or a study with too few variants.
pub fn predict(record: &Record, study: &Study, fraction: f64) -> Result<Prediction, StudyError> {
    let wrong = |path: &std::path::Path, reason: String| StudyError::Forecast {
        path: path.into(),
        reason,
    };
    let steps = planned_steps(record, study).ok_or_else(|| {
        wrong(
            &record.folder,
            "its number of steps is not known before its first epoch is over".into(),
        )
    })?;
    let step = cut(steps, fraction);
    let seen = record.steps.steps().last().copied().unwrap_or(0);
    if seen < step {
        let reason = format!(
            "step {seen} of {steps}; {:.0} % is step {step}",
            100.0 * fraction
        );
        return Err(wrong(&record.folder, reason));
    }
    let own = key(&record.config);
    let all = samples(study, fraction);
    // Its own variant's runs, which differ in the seed alone, would tell too much.
    let variant = all
        .iter()
        .find(|sample| sample.key == own)
        .map(|sample| sample.variant.clone());
    let training: Vec<&Sample> = all
        .iter()
        .filter(|sample| Some(&sample.variant) != variant.as_ref())
        .collect();
    let target = Sample {
        variant: String::new(),
        key: own,
        features: features(record, step),
        lost: false,
        accuracy: None,
    };
    // A metric that the run does not log cannot tell of it.
    let known: Vec<Sample> = training
        .iter()
        .map(|sample| Sample {
            features: sample
                .features
                .iter()
                .filter(|(name, _)| target.features.contains_key(*name))
                .map(|(name, value)| (name.clone(), *value))
                .collect(),
            ..(*sample).clone()
        })
        .collect();
    let known: Vec<&Sample> = known.iter().collect();
    let forecast = Forecast::fit(&known, Candidates::Metrics).ok_or_else(|| {
        wrong(
            study.folder.path(),
            "fewer than two other variants have scored runs".into(),
        )
    })?;
    let accuracy = forecast.accuracy(&target);
    Ok(Prediction {
        fraction,
        step,
        chance_of_collapse: forecast.collapse(&target),
        collapse_metric: forecast.collapse_metric.clone(),
        accuracy: accuracy.map(|[middle, ..]| middle),
        interval: accuracy.map(|[_, low, high]| [low, high]),
        accuracy_metric: forecast.accuracy_metric,
        runs: known.len(),
        variants: variants(&known).len(),
        evaluation: at(study, fraction)?,
    })
}
