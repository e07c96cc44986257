//! The answer of a study: each arm in numbers, differences to the base, what the study could see, expectations, factorials, margins.
//!
//! A variant that lost a run (collapse or divergence) has a rate and its survivors' mean, and no effect: the survivors are a selection.

use serde::Serialize;

use crate::statistics::{Additive, AdditiveEffect, Paired, TwoByTwo};
use crate::{ArmSummary, ContrastResult, Lost, MarginMap, Score};

/// What a change did to a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The simultaneous interval lies above 0.
    Higher,
    /// It lies below 0.
    Lower,
    /// It holds 0.
    Unresolved,
    /// A run of the variant was lost.
    Lost,
    /// Runs are missing, of the variant or of the base.
    Incomplete,
}

/// A variant's difference to the base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// Index of the arm.
    pub arm: usize,
    /// Its name.
    pub name: String,
    /// Paired t over the seeds that both have and neither lost; none where the variant lost a run.
    pub paired: Option<Paired>,
    /// Additive model with pooled residuals.
    pub pooled: Option<AdditiveEffect>,
    /// What it did.
    pub direction: Direction,
}

/// Differences of one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effects {
    /// The score.
    pub score: Score,
    /// Variants, as in the plan.
    pub variants: Vec<Effect>,
    /// The additive model of base and variants without a lost run.
    pub model: Option<Additive>,
    /// Share of the variance of differences that pairing by seed removed, over all of them.
    pub pairing_removed: Option<f64>,
    /// What numbers of seeds can see.
    pub power: Vec<PowerRow>,
}

/// What a number of seeds can see.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PowerRow {
    /// Seeds.
    pub seeds: usize,
    /// Difference found with a chance of 80 %, level 5 %, one comparison.
    pub detectable: f64,
}

/// A factorial's effects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FactorialResult {
    /// Its name.
    pub name: String,
    /// Levels of the first factor.
    pub a: [String; 2],
    /// Levels of the second.
    pub b: [String; 2],
    /// Arms of the cells: `cells[a][b]`.
    pub cells: [[usize; 2]; 2],
    /// Effects on the score; none where a cell lost a run or has one missing.
    pub effects: Option<TwoByTwo>,
}

/// The answer of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// Title of the plan.
    pub title: String,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Which collapse makes a run a lost one.
    pub lost: Lost,
    /// All arms.
    pub arms: Vec<ArmSummary>,
    /// What expectations and factorials are judged by: linear accuracy, or held-out accuracy where nothing was scored.
    pub score: Score,
    /// Differences to the base, in `score` first; none in a study of margins.
    pub effects: Vec<Effects>,
    /// Expectations.
    pub contrasts: Vec<ContrastResult>,
    /// Factorials.
    pub factorials: Vec<FactorialResult>,
    /// Maps of a study of margins.
    pub margins: Vec<MarginMap>,
    /// What a reader should know before trusting it.
    pub warnings: Vec<String>,
    /// The answer in a sentence or two.
    pub answer: String,
}
