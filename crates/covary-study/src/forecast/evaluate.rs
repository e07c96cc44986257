//! How good the forecasts are, on variants that they never saw.
//!
//! Beside what is chosen stand the baseline and the plain mean. Whether the chosen metrics beat the baseline is told from the squared errors,
//! averaged within variants: their difference with a t interval over variants, which runs of a variant are not independent for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::variants;
use super::{Candidates, FRACTIONS, Forecast, Sample, samples};
use crate::statistics::{Estimate, area_under_roc, brier, mean, paired, spearman};
use crate::{Study, StudyError};

/// Variants that a judgement needs at least.
const VARIANTS: usize = 3;

/// How good a forecast is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Root mean squared error of the final linear accuracy.
    pub accuracy_error: f64,
    /// Share of accuracies within their 95 % interval.
    pub coverage: f64,
    /// Spearman's correlation of forecast and final accuracy.
    pub spearman: Option<f64>,
    /// The same without the lost runs.
    pub spearman_without_lost: Option<f64>,
    /// Brier score of the chance of collapse.
    pub brier: f64,
    /// Area under the ROC curve of the chance of collapse.
    pub area_under_roc: Option<f64>,
    /// Metrics that predicted accuracy, and in how many folds.
    pub accuracy_metrics: BTreeMap<String, usize>,
    /// Metrics that predicted collapse, and in how many folds.
    pub collapse_metrics: BTreeMap<String, usize>,
    #[serde(skip)]
    squared: BTreeMap<String, [f64; 2]>,
}

/// What the chosen metrics add to the baseline: its squared error less theirs, above 0 where they are better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Of accuracy.
    pub accuracy: Estimate,
    /// Of the chance of collapse.
    pub collapse: Estimate,
}

/// Forecasts at a fraction of training, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Fraction of training.
    pub fraction: f64,
    /// Runs.
    pub runs: usize,
    /// Of these, lost.
    pub lost: usize,
    /// Variants.
    pub variants: usize,
    /// With the metric chosen within each fold.
    pub metrics: Quality,
    /// With the current loss or kNN accuracy.
    pub baseline: Quality,
    /// With the mean of the other variants.
    pub nothing: Quality,
    /// Metrics against baseline.
    pub comparison: Option<Comparison>,
}

impl Evaluation {
    /// The finding in a sentence.
    pub fn finding(&self) -> String {
        let percent = 100.0 * self.fraction;
        let beats = |estimate: Estimate| estimate.low > 0.0;
        let words = match self.comparison {
            Some(c) if beats(c.accuracy) && beats(c.collapse) => {
                "the metrics beat the current loss and kNN accuracy, for accuracy and for collapse"
            }
            Some(c) if beats(c.accuracy) => {
                "the metrics beat the current loss and kNN accuracy for accuracy, not for collapse"
            }
            Some(c) if beats(c.collapse) => {
                "the metrics beat the current loss and kNN accuracy for collapse, not for accuracy"
            }
            _ => "no metric beats the current loss and kNN accuracy",
        };
        format!("At {percent:.0} % of training {words}.")
    }
}

/// Judges forecasts at each of [`FRACTIONS`].
///
/// # Errors
/// [`StudyError::Forecast`] where fewer than three variants have scored runs.
pub fn evaluate(study: &Study) -> Result<Vec<Evaluation>, StudyError> {
    FRACTIONS
        .iter()
        .map(|fraction| at(study, *fraction))
        .collect()
}

pub(super) fn at(study: &Study, fraction: f64) -> Result<Evaluation, StudyError> {
    let samples = samples(study, fraction);
    judge(&samples, fraction).ok_or_else(|| StudyError::Forecast {
        path: study.folder.path().into(),
        reason: format!("fewer than {VARIANTS} variants have runs that ended and were scored"),
    })
}

fn judge(samples: &[Sample], fraction: f64) -> Option<Evaluation> {
    let all: Vec<&Sample> = samples.iter().collect();
    let scored: Vec<&Sample> = samples.iter().filter(|s| s.accuracy.is_some()).collect();
    if variants(&scored).len() < VARIANTS {
        return None;
    }
    let metrics = quality(&all, Candidates::Metrics)?;
    let baseline = quality(&all, Candidates::Baseline)?;
    Some(Evaluation {
        fraction,
        runs: all.len(),
        lost: all.iter().filter(|sample| sample.lost).count(),
        variants: variants(&all).len(),
        comparison: compare(&metrics, &baseline),
        nothing: quality(&all, Candidates::Nothing)?,
        metrics,
        baseline,
    })
}

fn compare(metrics: &Quality, baseline: &Quality) -> Option<Comparison> {
    let column = |quality: &Quality, which: usize| -> Vec<f64> {
        quality
            .squared
            .values()
            .map(|errors| errors[which])
            .collect()
    };
    // A variant whose runs all diverged has no accuracy, in either.
    let difference = |which: usize| {
        let pairs = column(baseline, which)
            .into_iter()
            .zip(column(metrics, which));
        let known = pairs.filter(|(a, b)| a.is_finite() && b.is_finite());
        let (left, right): (Vec<_>, Vec<_>) = known.unzip();
        Some(paired(&left, &right)?.difference)
    };
    Some(Comparison {
        accuracy: difference(0)?,
        collapse: difference(1)?,
    })
}

/// A forecast of an accuracy and what came of it.
struct Guess {
    middle: f64,
    truth: f64,
    is_covered: bool,
    lost: bool,
}

/// Everything about forecasts of each variant by the others.
fn quality(samples: &[&Sample], candidates: Candidates) -> Option<Quality> {
    let (mut chance, mut lost, mut guesses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut accuracy_metrics, mut collapse_metrics) = (BTreeMap::new(), BTreeMap::new());
    let mut squared = BTreeMap::new();
    for variant in variants(samples) {
        let (out, rest): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| sample.variant == variant);
        let forecast = Forecast::fit(&rest, candidates)?;
        for (metric, counts) in [
            (&forecast.accuracy_metric, &mut accuracy_metrics),
            (&forecast.collapse_metric, &mut collapse_metrics),
        ] {
            let name = metric
                .clone()
                .unwrap_or_else(|| "mean of the others".into());
            *counts.entry(name).or_insert(0) += 1;
        }
        let mut errors: [Vec<f64>; 2] = Default::default();
        for sample in out {
            let p = forecast.collapse(sample);
            errors[1].push((p - f64::from(u8::from(sample.lost))).powi(2));
            chance.push(p);
            lost.push(sample.lost);
            let forecast = forecast.accuracy(sample).zip(sample.accuracy);
            if let Some(([middle, low, high], truth)) = forecast {
                errors[0].push((middle - truth).powi(2));
                guesses.push(Guess {
                    middle,
                    truth,
                    is_covered: (low..=high).contains(&truth),
                    lost: sample.lost,
                });
            }
        }
        squared.insert(variant.to_owned(), errors.map(|errors| mean(&errors)));
    }
    let squares: Vec<f64> = guesses
        .iter()
        .map(|guess| (guess.middle - guess.truth).powi(2))
        .collect();
    let covered = guesses.iter().filter(|guess| guess.is_covered).count();
    Some(Quality {
        accuracy_error: mean(&squares).sqrt(),
        coverage: covered as f64 / guesses.len() as f64,
        spearman: rank(guesses.iter()),
        spearman_without_lost: rank(guesses.iter().filter(|guess| !guess.lost)),
        brier: brier(&chance, &lost),
        area_under_roc: area_under_roc(&chance, &lost),
        accuracy_metrics,
        collapse_metrics,
        squared,
    })
}

fn rank<'a>(guesses: impl Iterator<Item = &'a Guess>) -> Option<f64> {
    let (middle, truth): (Vec<_>, Vec<_>) =
        guesses.map(|guess| (guess.middle, guess.truth)).unzip();
    spearman(&middle, &truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve variants with two runs each; `signal` tells the outcome, `noise` does not.
    fn study(signal: &str, noise: &str) -> Vec<Sample> {
        let value = |index: usize, run: usize| ((index * 7 + run * 3) % 12) as f64 / 12.0;
        (0..24)
            .map(|at| {
                let (index, run) = (at / 2, at % 2);
                let truth = index as f64 / 12.0 + 0.01 * run as f64;
                Sample {
                    variant: format!("v{index}"),
                    key: String::new(),
                    features: BTreeMap::from([
                        (signal.to_owned(), 2.0 - truth),
                        (noise.to_owned(), value(index, run)),
                    ]),
                    lost: truth < 0.3,
                    accuracy: Some(0.2 + 0.5 * truth),
                }
            })
            .collect()
    }

    #[test]
    fn a_metric_that_tells_the_outcome_is_found_and_beats_the_baseline() {
        let judged = judge(&study("embedding/rankme", "loss"), 0.1).unwrap();
        assert_eq!(judged.metrics.accuracy_metrics["embedding/rankme"], 12);
        assert!(judged.metrics.accuracy_error < 1e-9);
        assert!(judged.metrics.coverage > 0.99);
        assert!(judged.comparison.unwrap().accuracy.low > 0.0);
        assert!(judged.metrics.area_under_roc > Some(0.95));
        assert!(judged.finding().contains("beat"), "{}", judged.finding());
    }

    #[test]
    fn where_the_loss_tells_the_outcome_no_metric_beats_it() {
        let judged = judge(&study("loss", "embedding/rankme"), 0.1).unwrap();
        assert!(judged.baseline.accuracy_error < 1e-9);
        assert!(
            judged.finding().contains("no metric beats"),
            "{}",
            judged.finding()
        );
    }

    #[test]
    fn two_variants_are_too_few() {
        assert!(judge(&study("loss", "x")[..4], 0.1).is_none());
    }
}
