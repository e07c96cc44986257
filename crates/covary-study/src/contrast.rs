//! What was expected against what came out.
//!
//! Of two arms: the difference of the study's score in the additive model of all arms without a lost run, p adjusted by Holm over the
//! contrasts of the plan; it agrees or disagrees where the adjusted p is below 5 %, else it is unresolved. Where one arm loses every run
//! and the other none, the other is above. Of one arm: it agrees where every run did as expected, disagrees where none did.

use serde::Serialize;

use crate::plan::{Contrast, Expectation};
use crate::statistics::{Estimate, additive, holm, mean, p_value};
use crate::{ArmSummary, Design, Score};

/// What came of an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As expected.
    Agrees,
    /// The opposite.
    Disagrees,
    /// Neither can be told.
    Unresolved,
}

impl Verdict {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Disagrees => "disagrees",
            Self::Unresolved => "unresolved",
        }
    }
}

/// An expectation and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContrastResult {
    /// Left arm.
    pub left: String,
    /// Right arm.
    pub right: Option<String>,
    /// What was expected.
    pub expect: &'static str,
    /// Where the expectation comes from.
    pub source: String,
    /// Score of the left less the right, where neither lost a run.
    pub difference: Option<Estimate>,
    /// Its p, adjusted over the contrasts.
    pub holm_p: Option<f64>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
}

pub(crate) fn contrasts(design: &Design, arms: &[ArmSummary], score: Score) -> Vec<ContrastResult> {
    let scores: Vec<Option<Vec<f64>>> = arms.iter().map(|arm| arm.complete(score)).collect();
    let pool: Vec<Vec<f64>> = scores.iter().flatten().cloned().collect();
    let model = additive(&pool);
    let find = |name: &str| {
        design
            .arm(name)
            .expect("a design knows the arms of its contrasts")
    };
    let difference = |contrast: &Contrast| {
        let (left, right) = (find(&contrast.left), find(contrast.right.as_ref()?));
        let value = mean(scores[left].as_ref()?) - mean(scores[right].as_ref()?);
        Some(model.as_ref()?.contrast(value, &[1.0, -1.0]))
    };
    let estimates: Vec<_> = design.plan.contrast.iter().map(difference).collect();
    let p: Vec<f64> = estimates
        .iter()
        .flatten()
        .map(|estimate| estimate.p)
        .collect();
    let mut adjusted = holm(&p).into_iter();
    design
        .plan
        .contrast
        .iter()
        .zip(estimates)
        .map(|(contrast, difference)| {
            let holm_p = difference.and_then(|_| adjusted.next());
            let left = &arms[find(&contrast.left)];
            let right = contrast.right.as_ref().map(|name| &arms[find(name)]);
            let (verdict, reason) = judge(contrast.expect, left, right, difference, holm_p);
            ContrastResult {
                left: contrast.left.clone(),
                right: contrast.right.clone(),
                expect: contrast.expect.text(),
                source: contrast.source.clone(),
                difference,
                holm_p,
                verdict,
                reason,
            }
        })
        .collect()
}

fn judge(
    expect: Expectation,
    left: &ArmSummary,
    right: Option<&ArmSummary>,
    difference: Option<Estimate>,
    holm_p: Option<f64>,
) -> (Verdict, String) {
    let sign = match expect {
        Expectation::LeftAbove => 1.0,
        Expectation::RightAbove => -1.0,
        Expectation::Collapses | Expectation::Survives => return judge_alone(expect, left),
    };
    if let (Some(difference), Some(p)) = (difference, holm_p) {
        let verdict = match difference.value * sign {
            _ if p >= 0.05 => Verdict::Unresolved,
            toward if toward > 0.0 => Verdict::Agrees,
            _ => Verdict::Disagrees,
        };
        let reason = format!(
            "left - right {:+.1} points, 95 % interval {:+.1} to {:+.1}, p adjusted {}",
            100.0 * difference.value,
            100.0 * difference.low,
            100.0 * difference.high,
            p_value(p)
        );
        return (verdict, reason);
    }
    let right = right.expect("a comparison has a right side");
    let reason = format!(
        "lost runs: left {} of {}, right {} of {}",
        left.lost.k, left.lost.n, right.lost.k, right.lost.n
    );
    let above = match (all_lost(left), all_lost(right)) {
        (Some(false), Some(true)) => 1.0,
        (Some(true), Some(false)) => -1.0,
        _ => return (Verdict::Unresolved, reason),
    };
    let verdict = if above * sign > 0.0 {
        Verdict::Agrees
    } else {
        Verdict::Disagrees
    };
    (verdict, reason)
}

fn judge_alone(expect: Expectation, arm: &ArmSummary) -> (Verdict, String) {
    let reason = format!("{} of {} runs lost", arm.lost.k, arm.lost.n);
    let verdict = match all_lost(arm) {
        None => Verdict::Unresolved,
        Some(lost) if lost == (expect == Expectation::Collapses) => Verdict::Agrees,
        Some(_) => Verdict::Disagrees,
    };
    (verdict, reason)
}

/// Whether every run was lost, or none; none where it was neither or a run is missing.
fn all_lost(arm: &ArmSummary) -> Option<bool> {
    let (k, n) = (arm.lost.k, arm.lost.n);
    (n == arm.runs.len() && (k == 0 || k == n)).then_some(k == n)
}
