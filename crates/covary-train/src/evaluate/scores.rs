//! Scores of one set of representations: linear probe and kNN.

use covary_data::{AugmentConfig, Dataset, hold_out};
use serde::{Deserialize, Serialize};

use super::possible::{without_linear, without_neighbours};
use crate::TrainError;
use covary_score::{
    Embeddings, GradientDescentProbe, LabeledEmbeddings, LinearProbe, LinearReport,
    NearestNeighbors,
};

/// Numbers of neighbors that vote.
pub(super) const NEIGHBOURS: [usize; 2] = [20, 200];

/// Labeled training and test images.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// Training images.
    pub train: &'a Dataset,
    /// Test images.
    pub test: &'a Dataset,
    /// How clean images are normalised.
    pub augment: &'a AugmentConfig,
}

/// Accuracies of one set of representations, as shares; NaN where the data do not allow a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Linear probe.
    pub linear_top1: f64,
    /// kNN, k = 20.
    pub knn_top1: f64,
    /// kNN, k = 200.
    pub knn200_top1: f64,
    /// L2 that the held-out training images chose; NaN where there is no linear probe.
    pub l2: f64,
    /// Whether the probe's optimizer converged; true where there is no linear probe.
    pub converged: bool,
}

/// Accuracy by the other protocol: stochastic gradient descent for 100 epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SgdLine {
    /// Linear probe.
    pub linear_top1: f64,
}

impl Data<'_> {
    fn labeled<'e>(
        &'e self,
        train: &'e [f32],
        test: &'e [f32],
        width: usize,
    ) -> Result<[LabeledEmbeddings<'e>; 2], TrainError> {
        let of = |values: &'e [f32], dataset: &'e Dataset| -> Result<_, TrainError> {
            let labels = dataset.labels().unwrap_or_default();
            Ok(LabeledEmbeddings {
                embeddings: Embeddings::try_new(values, width)?,
                labels,
            })
        };
        Ok([of(train, self.train)?, of(test, self.test)?])
    }
}

/// Scores training and test representations `[n, width]`.
///
/// # Errors
/// Numbers that are not finite.
pub fn score(
    data: &Data<'_>,
    train: &[f32],
    test: &[f32],
    width: usize,
) -> Result<Line, TrainError> {
    let labels = data.train.labels().unwrap_or_default();
    let linear = match without_linear(labels, data.test.len()) {
        None => Some(linear(data, train, test, width)?),
        Some(_) => None,
    };
    let knn = neighbours(data, train, test, width)?;
    Ok(Line {
        linear_top1: linear.as_ref().map_or(f64::NAN, |l| l.test_accuracy),
        knn_top1: knn[0],
        knn200_top1: knn[1],
        l2: linear.as_ref().map_or(f64::NAN, |l| l.l2),
        converged: linear.is_none_or(|l| l.converged),
    })
}

fn linear(
    data: &Data<'_>,
    train: &[f32],
    test: &[f32],
    width: usize,
) -> Result<LinearReport, TrainError> {
    let [fit, scored] = data.labeled(train, test, width)?;
    let validation: Vec<usize> = hold_out(data.train.len())
        .score
        .into_iter()
        .map(|index| index as usize)
        .collect();
    let classes = data.train.class_names().len();
    Ok(LinearProbe::default().evaluate(fit, scored, &validation, classes)?)
}

/// Accuracy for each of [`NEIGHBOURS`], NaN where the data do not allow it.
fn neighbours(
    data: &Data<'_>,
    train: &[f32],
    test: &[f32],
    width: usize,
) -> Result<[f64; 2], TrainError> {
    let labels = data.train.labels().unwrap_or_default();
    let possible = |k: &usize| without_neighbours(labels, data.test.len(), *k).is_none();
    let probe = NearestNeighbors {
        counts: NEIGHBOURS.into_iter().filter(possible).collect(),
        ..NearestNeighbors::default()
    };
    if probe.counts.is_empty() {
        return Ok([f64::NAN; 2]);
    }
    let [fit, scored] = data.labeled(train, test, width)?;
    let report = probe.evaluate(fit, scored, data.train.class_names().len())?;
    Ok(NEIGHBOURS.map(|k| {
        let score = report.scores.iter().find(|score| score.k == k);
        score.map_or(f64::NAN, |score| score.test_accuracy)
    }))
}

/// Scores by stochastic gradient descent, as scripts in PyTorch usually do.
///
/// # Errors
/// As [`score`].
pub fn sgd_score(
    data: &Data<'_>,
    train: &[f32],
    test: &[f32],
    width: usize,
) -> Result<SgdLine, TrainError> {
    if without_linear(data.train.labels().unwrap_or_default(), data.test.len()).is_some() {
        return Ok(SgdLine {
            linear_top1: f64::NAN,
        });
    }
    let [fit, scored] = data.labeled(train, test, width)?;
    let report =
        GradientDescentProbe::default().evaluate(fit, scored, data.train.class_names().len())?;
    Ok(SgdLine {
        linear_top1: report.test_accuracy,
    })
}
