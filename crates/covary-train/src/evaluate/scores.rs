//! Scores of one set of representations: linear probe and kNN.

use covary_data::{AugmentConfig, Dataset, hold_out};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use covary_score::{
    Embeddings, GradientDescentProbe, LabeledEmbeddings, LinearProbe, NearestNeighbors,
};

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

/// Accuracies of one set of representations, as shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Linear probe.
    pub linear_top1: f64,
    /// kNN, k = 20.
    pub knn_top1: f64,
    /// kNN, k = 200; NaN with fewer training images.
    pub knn200_top1: f64,
    /// L2 that the held-out training images chose.
    pub l2: f64,
    /// Whether the probe's optimizer converged.
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
/// Numbers that are not finite, or labels of one class alone.
pub fn score(
    data: &Data<'_>,
    train: &[f32],
    test: &[f32],
    width: usize,
) -> Result<Line, TrainError> {
    let [fit, scored] = data.labeled(train, test, width)?;
    let classes = data.train.class_names().len();
    let validation: Vec<usize> = hold_out(data.train.len())
        .score
        .into_iter()
        .map(|index| index as usize)
        .collect();
    let linear = LinearProbe::default().evaluate(fit, scored, &validation, classes)?;
    let mut neighbours = NearestNeighbors::default();
    neighbours.counts.retain(|k| *k <= data.train.len());
    let neighbours = neighbours.evaluate(fit, scored, classes)?;
    let knn = |k| {
        neighbours
            .scores
            .iter()
            .find(|score| score.k == k)
            .map_or(f64::NAN, |score| score.test_accuracy)
    };
    Ok(Line {
        linear_top1: linear.test_accuracy,
        knn_top1: knn(20),
        knn200_top1: knn(200),
        l2: linear.l2,
        converged: linear.converged,
    })
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
    let [fit, scored] = data.labeled(train, test, width)?;
    let report =
        GradientDescentProbe::default().evaluate(fit, scored, data.train.class_names().len())?;
    Ok(SgdLine {
        linear_top1: report.test_accuracy,
    })
}
