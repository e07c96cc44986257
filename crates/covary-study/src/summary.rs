//! What came of an arm: its runs' scores, their spread, how many were lost.

use serde::Serialize;

use crate::statistics::{Rate, clopper_pearson, mean, standard_deviation};
use crate::{Arm, Record, RunState, Study};

/// What an arm is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Linear top-1 on the test set.
    Linear,
    /// kNN top-1 on the test set, k = 20.
    Knn,
    /// kNN top-1 on held-out training images, k = 20, at the last measurement; what runs with `score = false` are judged by.
    HeldOut,
}

impl Score {
    /// Those on the test set.
    pub const ON_TEST_SET: [Self; 2] = [Self::Linear, Self::Knn];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear accuracy",
            Self::Knn => "kNN accuracy",
            Self::HeldOut => "kNN accuracy on held-out training images",
        }
    }

    /// Its key in a result.
    pub fn key(self) -> &'static str {
        match self {
            Self::Linear => "linear_top1",
            Self::Knn => "knn_top1",
            Self::HeldOut => "validation_knn",
        }
    }
}

/// A run in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its seed.
    pub seed: u64,
    /// Its key.
    pub key: String,
    /// What became of it.
    pub state: RunState,
    /// Whether it counts as lost by the plan's rule.
    pub is_lost: bool,
    /// Linear top-1, 0 to 1.
    pub linear: Option<f64>,
    /// kNN top-1, 0 to 1.
    pub knn: Option<f64>,
    /// Seconds of training.
    pub train_s: Option<f64>,
    /// Step from which on every measurement found the embedding collapsed.
    pub collapse_step: Option<f64>,
    /// The same of the representation.
    pub representation_collapse_step: Option<f64>,
    /// Verdict on the embedding.
    pub embedding: Option<String>,
    /// Verdict on the representation.
    pub representation: Option<String>,
    /// Standard deviation of l2-normalised embeddings over that of an isotropic set.
    pub relative_std: Option<f64>,
    /// Participation ratio of the embeddings.
    pub participation_ratio: Option<f64>,
    /// Relative standard deviation of the representations.
    pub representation_relative_std: Option<f64>,
    /// Participation ratio of the representations.
    pub representation_participation_ratio: Option<f64>,
    /// Last kNN accuracy on held-out training images.
    pub validation_knn: Option<f64>,
}

/// Mean and spread of runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Runs.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation; none of one run.
    pub standard_deviation: Option<f64>,
}

/// An arm in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What is laid over the base.
    pub changes: Vec<String>,
    /// Its runs, in the order of the seeds.
    pub runs: Vec<RunSummary>,
    /// Runs lost by the plan's rule, of those that ended.
    pub lost: Rate,
    /// Runs that ended with a collapsed embedding, of those that ended.
    pub embedding_lost: Rate,
    /// Runs that ended with a collapsed representation, of those that ended.
    pub representation_lost: Rate,
    /// Linear top-1 of the runs that were not lost.
    pub linear: Option<Spread>,
    /// kNN top-1 of the runs that were not lost.
    pub knn: Option<Spread>,
    /// kNN top-1 on held-out training images, of the runs that were not lost.
    pub held_out: Option<Spread>,
    /// Linear top-1 of the lost runs that were scored.
    pub linear_of_lost: Option<Spread>,
    /// Mean of the relative standard deviations of the embeddings.
    pub relative_std: Option<f64>,
    /// Mean of their participation ratios.
    pub participation_ratio: Option<f64>,
    /// Mean of the participation ratios of the representations.
    pub representation_participation_ratio: Option<f64>,
    /// Mean seconds of training.
    pub train_s: Option<f64>,
    /// Earliest step from which on one of its runs had a collapsed embedding or representation.
    pub first_collapse_step: Option<f64>,
}

impl RunSummary {
    fn new(seed: u64, key: &str, study: &Study) -> Self {
        let record = study.record(key);
        let verdict = |space: &str| {
            let outcome = record?.verdict(space, "outcome")?;
            Some(outcome.to_owned())
        };
        let number = |space: &str, key: &str| record?.verdict_number(space, key);
        let score = |key: &str| record?.score(key);
        let state = study.state(key);
        Self {
            seed,
            key: key.to_owned(),
            state,
            is_lost: state.is_lost(study.design.plan.lost),
            linear: score(Score::Linear.key()),
            knn: score(Score::Knn.key()),
            train_s: record.and_then(Record::train_s),
            collapse_step: score("collapse_step"),
            representation_collapse_step: score("representation_collapse_step"),
            embedding: verdict("embedding"),
            representation: verdict("representation"),
            relative_std: number("embedding", "relative_std"),
            participation_ratio: number("embedding", "participation_ratio"),
            representation_relative_std: number("representation", "relative_std"),
            representation_participation_ratio: number("representation", "participation_ratio"),
            validation_knn: record
                .and_then(|record| record.monitors.at("validation_knn", u64::MAX)),
        }
    }

    /// A score of the run.
    pub fn score(&self, score: Score) -> Option<f64> {
        match score {
            Score::Linear => self.linear,
            Score::Knn => self.knn,
            Score::HeldOut => self.validation_knn,
        }
    }
}

impl Spread {
    /// Of values; none of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        (!values.is_empty()).then(|| Self {
            n: values.len(),
            mean: mean(values),
            standard_deviation: standard_deviation(values),
        })
    }
}

impl ArmSummary {
    pub(crate) fn new(arm: &Arm, study: &Study) -> Self {
        let runs: Vec<_> = arm
            .runs
            .iter()
            .map(|run| RunSummary::new(run.seed, &run.key, study))
            .collect();
        let count = |is: fn(&RunSummary) -> bool| runs.iter().filter(|run| is(run)).count();
        let ended = count(|run| run.state.has_ended());
        let rate = |is| clopper_pearson(count(is), ended);
        let scores = |score: Score, is_lost: bool| {
            let values = runs
                .iter()
                .filter(|run| run.state.has_ended() && run.is_lost == is_lost)
                .filter_map(|run| run.score(score));
            Spread::of(&values.collect::<Vec<_>>())
        };
        let mean_of = |number: fn(&RunSummary) -> Option<f64>| {
            let values: Vec<_> = runs.iter().filter_map(number).collect();
            Spread::of(&values).map(|spread| spread.mean)
        };
        let steps = runs.iter().flat_map(|run| {
            let steps = [run.collapse_step, run.representation_collapse_step];
            steps.into_iter().flatten()
        });
        Self {
            name: arm.name.clone(),
            about: arm.about.clone(),
            changes: arm.changes.clone(),
            lost: rate(|run| run.is_lost),
            embedding_lost: rate(|run| run.state.has_lost_embedding()),
            representation_lost: rate(|run| run.state.has_lost_representation()),
            linear: scores(Score::Linear, false),
            knn: scores(Score::Knn, false),
            held_out: scores(Score::HeldOut, false),
            linear_of_lost: scores(Score::Linear, true),
            relative_std: mean_of(|run| run.relative_std),
            participation_ratio: mean_of(|run| run.participation_ratio),
            representation_participation_ratio: mean_of(|run| {
                run.representation_participation_ratio
            }),
            train_s: mean_of(|run| run.train_s),
            first_collapse_step: steps.reduce(f64::min),
            runs,
        }
    }

    /// The spread of a score over the runs that were not lost.
    pub fn spread(&self, score: Score) -> Option<Spread> {
        match score {
            Score::Linear => self.linear,
            Score::Knn => self.knn,
            Score::HeldOut => self.held_out,
        }
    }

    /// Every seed's score; none unless every run ended, none was lost, and all were scored.
    pub fn complete(&self, score: Score) -> Option<Vec<f64>> {
        let scores = self.runs.iter().map(|run| {
            let is_well = run.state.has_ended() && !run.is_lost;
            run.score(score).filter(|_| is_well)
        });
        scores.collect()
    }
}
