//! A forecast of one number from one metric, the metric chosen by leave-one-variant-out error.

use super::Sample;
use crate::statistics::{Line, Logistic, line, logistic, t_quantile};

/// Which metrics may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// All but the baseline's.
    Metrics,
    /// The current loss and kNN accuracy.
    Baseline,
    /// None: the mean of the training runs.
    Nothing,
}

/// What anyone would look at.
const BASELINE: [&str; 2] = ["loss", "validation_knn"];

/// A fitted forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Metric that predicts accuracy; none where the mean of the training runs does.
    pub accuracy_metric: Option<String>,
    /// Metric that predicts collapse; none where the rate of the training runs does.
    pub collapse_metric: Option<String>,
    line: Line,
    /// Half-width of the 95 % interval of an accuracy.
    margin: f64,
    curve: Option<Logistic>,
    rate: f64,
}

impl Forecast {
    /// Fits both models to training runs; none where too few of them were scored.
    pub fn fit(training: &[&Sample], candidates: Candidates) -> Option<Self> {
        let scored: Vec<&Sample> = training
            .iter()
            .copied()
            .filter(|sample| sample.accuracy.is_some())
            .collect();
        if variants(&scored).len() < 2 {
            return None;
        }
        let (accuracy_metric, errors) = choose(&scored, candidates, accuracy_errors);
        let line = fit_line(&scored, accuracy_metric.as_deref())?;
        // The errors are those on variants left out, so the spread of unseen variants is in them.
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        let spread = (squares / errors.len() as f64).sqrt();
        let freedom = (variants(&scored).len() - 1) as f64;
        let (collapse_metric, _) = choose(training, candidates, collapse_errors);
        Some(Self {
            margin: t_quantile(0.975, freedom) * spread,
            line,
            curve: fit_curve(training, collapse_metric.as_deref()),
            rate: rate(training),
            accuracy_metric,
            collapse_metric,
        })
    }

    /// Final linear accuracy with its 95 % interval; none where the run lacks the metric.
    pub fn accuracy(&self, sample: &Sample) -> Option<[f64; 3]> {
        let x = value(sample, self.accuracy_metric.as_deref())?;
        let middle = self.line.at(x);
        Some([middle, middle - self.margin, middle + self.margin])
    }

    /// Chance of collapse or divergence.
    pub fn collapse(&self, sample: &Sample) -> f64 {
        let x = value(sample, self.collapse_metric.as_deref());
        self.curve
            .zip(x)
            .map_or(self.rate, |(curve, x)| curve.at(x))
    }
}

/// The names of the variants, each once.
pub(super) fn variants<'a>(samples: &[&'a Sample]) -> Vec<&'a str> {
    let mut names: Vec<&str> = samples.iter().map(|sample| &*sample.variant).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The metric with the least squared error on variants left out, and these errors; a metric must be known of every run.
fn choose(
    samples: &[&Sample],
    candidates: Candidates,
    errors: fn(&[&Sample], Option<&str>) -> Vec<f64>,
) -> (Option<String>, Vec<f64>) {
    let mut best = (None, errors(samples, None));
    if candidates == Candidates::Nothing {
        return best;
    }
    let square = |errors: &[f64]| errors.iter().map(|error| error * error).sum::<f64>();
    let first = samples.first().map(|sample| &sample.features);
    for name in first.into_iter().flat_map(|features| features.keys()) {
        let is_baseline = BASELINE.contains(&name.as_str());
        if is_baseline != (candidates == Candidates::Baseline)
            || samples
                .iter()
                .any(|sample| !sample.features.contains_key(name))
        {
            continue;
        }
        let found = errors(samples, Some(name));
        if square(&found) < square(&best.1) {
            best = (Some(name.clone()), found);
        }
    }
    best
}

/// Errors of each variant's runs under the model of the others.
fn left_out(samples: &[&Sample], error: impl Fn(&[&Sample], &Sample) -> Option<f64>) -> Vec<f64> {
    let mut errors = Vec::new();
    for variant in variants(samples) {
        let (out, rest): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| sample.variant == variant);
        errors.extend(out.iter().filter_map(|sample| error(&rest, sample)));
    }
    errors
}

fn accuracy_errors(samples: &[&Sample], metric: Option<&str>) -> Vec<f64> {
    left_out(samples, |rest, sample| {
        let line = fit_line(rest, metric)?;
        Some(sample.accuracy? - line.at(value(sample, metric)?))
    })
}

fn collapse_errors(samples: &[&Sample], metric: Option<&str>) -> Vec<f64> {
    left_out(samples, |rest, sample| {
        let x = value(sample, metric)?;
        let p = fit_curve(rest, metric).map_or_else(|| rate(rest), |curve| curve.at(x));
        Some(f64::from(u8::from(sample.lost)) - p)
    })
}

/// A run's metric; any number where none is used.
fn value(sample: &Sample, metric: Option<&str>) -> Option<f64> {
    metric.map_or(Some(0.0), |name| sample.features.get(name).copied())
}

fn fit_line(samples: &[&Sample], metric: Option<&str>) -> Option<Line> {
    let points = samples
        .iter()
        .filter_map(|sample| Some((value(sample, metric)?, sample.accuracy?)));
    let (x, y): (Vec<_>, Vec<_>) = points.unzip();
    line(&x, &y)
}

fn fit_curve(samples: &[&Sample], metric: Option<&str>) -> Option<Logistic> {
    let metric = metric?;
    let points = samples
        .iter()
        .filter_map(|sample| Some((value(sample, Some(metric))?, sample.lost)));
    let (x, lost): (Vec<_>, Vec<_>) = points.unzip();
    logistic(&x, &lost)
}

/// Share of lost runs, drawn to a half by half a run of each kind (Jeffreys), so that no run is ever called certain.
fn rate(samples: &[&Sample]) -> f64 {
    let lost = samples.iter().filter(|sample| sample.lost).count() as f64;
    (lost + 0.5) / (samples.len() as f64 + 1.0)
}
