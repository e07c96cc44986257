//! From the runs of a study to its answer: summaries of arms, differences to the base, power, expectations, factorials, margins.

use crate::analysis::{Analysis, Direction, Effect, Effects, FactorialResult, PowerRow};
use crate::answer::answer;
use crate::contrast::contrasts;
use crate::statistics::{Additive, Paired, additive, detectable_difference, paired, two_by_two};
use crate::{ArmSummary, FactorialArms, MarginMap, RunState, Score, Study};

/// Numbers of seeds that power is stated for, beside the study's own.
const SEEDS: [usize; 4] = [3, 5, 10, 20];

impl Analysis {
    /// Analyses what a study has so far.
    pub fn of(study: &Study) -> Self {
        let design = &study.design;
        let arms: Vec<_> = design
            .arms
            .iter()
            .map(|arm| ArmSummary::new(arm, study))
            .collect();
        let scores = scores(study, &arms);
        let effects = scores
            .iter()
            .map(|score| effects(*score, &design.variants, &arms))
            .collect();
        let first = scores.first().copied().unwrap_or(Score::Linear);
        let mut analysis = Self {
            title: design.plan.title.clone(),
            seeds: design.plan.seeds.clone(),
            lost: design.plan.lost,
            score: first,
            contrasts: contrasts(design, &arms, first),
            factorials: design
                .factorials
                .iter()
                .map(|f| factorial(f, &arms, first))
                .collect(),
            margins: design
                .maps
                .iter()
                .map(|map| MarginMap::new(map, &arms))
                .collect(),
            warnings: warnings(study),
            answer: String::new(),
            effects,
            arms,
        };
        analysis.answer = answer(&analysis, study);
        analysis
    }
}

/// What the variants are compared by: the test set, or held-out training images where no run was scored on it.
fn scores(study: &Study, arms: &[ArmSummary]) -> &'static [Score] {
    let mut runs = arms.iter().flat_map(|arm| &arm.runs);
    if !study.design.maps.is_empty() {
        &[]
    } else if runs.any(|run| run.linear.is_some()) {
        &Score::ON_TEST_SET
    } else {
        &[Score::HeldOut]
    }
}

fn effects(score: Score, variants: &[usize], arms: &[ArmSummary]) -> Effects {
    let base = arms[0].complete(score);
    let complete: Vec<(usize, Vec<f64>)> = variants
        .iter()
        .filter_map(|&arm| Some((arm, arms[arm].complete(score)?)))
        .collect();
    let rows = base
        .iter()
        .cloned()
        .chain(complete.iter().map(|(_, row)| row.clone()));
    let model = base
        .as_ref()
        .and_then(|_| additive(&rows.collect::<Vec<_>>()));
    let pooled = |arm: usize| {
        let place = complete.iter().position(|(index, _)| *index == arm)?;
        Some(model.as_ref()?.effects[place])
    };
    let variants: Vec<Effect> = variants
        .iter()
        .map(|&arm| {
            let (paired, pooled) = (paired_with_base(score, &arms[arm], &arms[0]), pooled(arm));
            Effect {
                arm,
                name: arms[arm].name.clone(),
                paired,
                pooled,
                direction: match pooled {
                    _ if arms[arm].lost.k > 0 => Direction::Lost,
                    None => Direction::Incomplete,
                    Some(effect) if effect.difference.low > 0.0 => Direction::Higher,
                    Some(effect) if effect.difference.high < 0.0 => Direction::Lower,
                    Some(_) => Direction::Unresolved,
                },
            }
        })
        .collect();
    let pairs = || variants.iter().filter_map(|effect| effect.paired);
    let apart: f64 = pairs().map(|paired| paired.sum_of_variances).sum();
    let together: f64 = pairs().map(|paired| paired.variance_of_difference).sum();
    Effects {
        score,
        pairing_removed: (apart > 0.0).then(|| 1.0 - together / apart),
        power: model.as_ref().map_or_else(Vec::new, power),
        variants,
        model,
    }
}

fn paired_with_base(score: Score, variant: &ArmSummary, base: &ArmSummary) -> Option<Paired> {
    if variant.lost.k > 0 || base.lost.k > 0 {
        return None;
    }
    let pairs = variant.runs.iter().zip(&base.runs);
    let ended = pairs.filter(|(v, b)| v.state.has_ended() && b.state.has_ended());
    let scores: Option<Vec<_>> = ended
        .map(|(v, b)| v.score(score).zip(b.score(score)))
        .collect();
    let (left, right): (Vec<_>, Vec<_>) = scores?.into_iter().unzip();
    paired(&left, &right)
}

/// With another number of seeds the noise would be known with other degrees of freedom.
fn power(model: &Additive) -> Vec<PowerRow> {
    let variants = model.effects.len();
    let mut seeds = vec![model.seeds];
    seeds.extend(SEEDS);
    seeds.sort_unstable();
    seeds.dedup();
    let row = |seeds: usize| {
        let standard_error = model.sigma * (2.0 / seeds as f64).sqrt();
        PowerRow {
            seeds,
            detectable: detectable_difference(standard_error, (variants * (seeds - 1)) as f64),
        }
    };
    seeds.into_iter().map(row).collect()
}

fn factorial(factorial: &FactorialArms, arms: &[ArmSummary], score: Score) -> FactorialResult {
    let complete = |a: usize, b: usize| arms[factorial.cells[a][b]].complete(score);
    let effects = || {
        let cells = [
            [complete(0, 0)?, complete(0, 1)?],
            [complete(1, 0)?, complete(1, 1)?],
        ];
        two_by_two(&cells)
    };
    FactorialResult {
        name: factorial.name.clone(),
        a: factorial.a.clone(),
        b: factorial.b.clone(),
        cells: factorial.cells,
        effects: effects(),
    }
}

fn warnings(study: &Study) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, what) in [
        ("commit", "commits of the program"),
        ("precision", "precisions"),
        ("isa", "instruction sets"),
        ("cpu", "processors"),
    ] {
        let mut values: Vec<_> = study
            .records()
            .filter_map(|record| record.provenance.get(key)?.as_str())
            .collect();
        values.sort_unstable();
        values.dedup();
        if values.len() > 1 {
            warnings.push(format!(
                "the runs were made by different {what}: {}",
                values.join(", ")
            ));
        }
    }
    let count = |state: RunState| {
        let runs = study.design.runs();
        runs.iter()
            .filter(|(_, run)| study.state(&run.key) == state)
            .count()
    };
    for (state, what) in [
        (RunState::Missing, "not begun"),
        (RunState::Unfinished, "unfinished"),
        (
            RunState::Failed,
            "ended without a result, see the logs beside the runs' folders",
        ),
    ] {
        let runs = count(state);
        if runs > 0 {
            warnings.push(format!(
                "{what}: {runs} of {} runs",
                study.design.runs().len()
            ));
        }
    }
    warnings
}
