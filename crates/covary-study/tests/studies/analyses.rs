//! What an analysis says of studies with a known truth.

use std::path::Path;

use covary_study::forecast::{evaluate, predict, samples};
use covary_study::{Analysis, Direction, Record, RunState, Score, Study, Verdict};

use crate::made_up::{self, PLAN, accuracy_of, healthy, truth};

fn study(folder: &Path) -> Study {
    made_up::study(folder, PLAN, truth);
    Study::open(folder).unwrap()
}

#[test]
fn effects_are_found_where_they_were_put_and_lost_arms_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let analysis = Analysis::of(&study(folder.path()));
    let directions: Vec<_> = analysis.effects[0]
        .variants
        .iter()
        .map(|effect| effect.direction)
        .collect();
    assert_eq!(
        directions,
        [
            Direction::Higher,
            Direction::Lower,
            Direction::Unresolved,
            Direction::Lost,
            Direction::Lost
        ]
    );
    let better = &analysis.effects[0].variants[0];
    let expected = (0..3)
        .map(|seed| {
            accuracy_of("better", seed, &truth("better"))
                - accuracy_of("vicreg", seed, &truth("vicreg"))
        })
        .sum::<f64>()
        / 3.0;
    assert!((better.paired.unwrap().difference.value - expected).abs() < 1e-12);
    assert!((better.pooled.unwrap().difference.value - expected).abs() < 1e-12);
    assert!(analysis.effects[0].variants[3].paired.is_none());
    // Seeds shift all arms alike, so pairing removes nearly all of the variance.
    assert!(analysis.effects[0].pairing_removed.unwrap() > 0.8);
    let lost: Vec<_> = analysis.arms.iter().map(|arm| arm.lost.k).take(6).collect();
    assert_eq!(lost, [0, 0, 0, 0, 3, 3]);
    assert_eq!(analysis.arms[4].first_collapse_step, Some(120.0));
    assert_eq!(analysis.arms[5].runs[0].state, RunState::Diverged);
    for words in [
        "collapses (3 of 3 runs)",
        "better (+",
        "With 3 seeds you can see differences above",
    ] {
        assert!(analysis.answer.contains(words), "{}", analysis.answer);
    }
}

/// Base, an arm that loses its embedding, one that loses its representation, one that loses both.
const SPACES: &str = r#"
[base]
name = "well"
set = ["data.path=synthetic"]
[[variant]]
name = "z"
set = ["optimizer.lr=1e-3"]
[[variant]]
name = "h"
set = ["optimizer.lr=4e-3"]
[[variant]]
name = "both"
set = ["optimizer.lr=8e-3"]
[[contrast]]
left = "h"
expect = "left collapses"
"#;

fn of_spaces(folder: &Path, lost: &str) -> Study {
    let plan = format!("{lost}\n{SPACES}");
    made_up::study(folder, &plan, |arm| made_up::Truth {
        accuracy: if matches!(arm, "z" | "both") {
            0.12
        } else {
            0.5
        },
        diverges: false,
        loses_h: matches!(arm, "h" | "both"),
    });
    Study::open(folder).unwrap()
}

#[test]
fn a_lost_representation_is_a_lost_run_and_counted_apart_from_a_lost_embedding() {
    let folder = tempfile::tempdir().unwrap();
    let study = of_spaces(folder.path(), "");
    let analysis = Analysis::of(&study);
    let counts = |arm: &covary_study::ArmSummary| {
        (arm.lost.k, arm.embedding_lost.k, arm.representation_lost.k)
    };
    let found: Vec<_> = analysis.arms.iter().map(counts).collect();
    assert_eq!(found, [(0, 0, 0), (3, 3, 0), (3, 0, 3), (3, 3, 3)]);
    let h = &analysis.arms[2];
    assert_eq!(h.runs[0].state.name(), "representation-collapsed");
    assert_eq!((h.linear, h.first_collapse_step), (None, Some(40.0)));
    assert_eq!(h.representation_participation_ratio, Some(1.3));
    assert_eq!(analysis.effects[0].variants[1].direction, Direction::Lost);
    assert_eq!(analysis.contrasts[0].verdict, Verdict::Agrees);
    let lost = samples(&study, 0.25).iter().filter(|s| s.lost).count();
    assert_eq!(lost, 9, "a forecast is of the same runs");
}

#[test]
fn a_plan_chooses_which_collapse_counts() {
    for (rule, expected) in [
        ("embedding", [0, 3, 0, 3]),
        ("representation", [0, 0, 3, 3]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let study = of_spaces(folder.path(), &format!("lost = \"{rule}\""));
        let analysis = Analysis::of(&study);
        let lost: Vec<_> = analysis.arms.iter().map(|arm| arm.lost.k).collect();
        assert_eq!(lost, expected, "{rule}");
        let effect = &analysis.effects[0].variants[1];
        assert_eq!(effect.pooled.is_some(), rule == "embedding", "{rule}");
        let lost = samples(&study, 0.25).iter().filter(|s| s.lost).count();
        assert_eq!(lost, 6, "{rule}");
    }
}

#[test]
fn many_variants_that_did_alike_are_counted_and_names_with_commas_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let variants = (1..=10).map(|index| {
        format!("[[variant]]\nname = \"arm, {index}\"\nset = [\"optimizer.lr={index}.5\"]\n")
    });
    let plan = "seeds = [0, 1, 2]\n[base]\nname = \"all, base\"\n".to_owned()
        + &variants.collect::<String>();
    // Arms 1 to 5 are ever lower, the others lost.
    made_up::study(folder.path(), &plan, |arm| {
        let index = arm.strip_prefix("arm, ").map(str::parse::<f64>);
        match index {
            Some(Ok(index)) if index <= 5.0 => healthy(0.5 - 0.03 * index),
            Some(_) => healthy(0.1),
            None => healthy(0.5),
        }
    });
    let answer = Analysis::of(&Study::open(folder.path()).unwrap()).answer;
    for words in [
        "Against “all, base”, lost to collapse or divergence: 5 variants, 5 of them in every run;",
        "5 variants, from “arm, 1” (-",
        ") to “arm, 5” (-",
    ] {
        assert!(answer.contains(words), "{answer}");
    }
}

#[test]
fn runs_that_were_not_scored_are_judged_on_held_out_images() {
    let folder = tempfile::tempdir().unwrap();
    let plan = PLAN.replace(
        "data.path=synthetic\"",
        "data.path=synthetic\", \"score=false\"",
    );
    made_up::study(folder.path(), &plan, truth);
    let analysis = Analysis::of(&Study::open(folder.path()).unwrap());
    assert_eq!(
        (analysis.score, analysis.effects.len()),
        (Score::HeldOut, 1)
    );
    let held_out = |arm: usize| {
        let runs = analysis.arms[arm].runs.iter();
        runs.map(|run| run.validation_knn.unwrap()).sum::<f64>() / 3.0
    };
    let better = &analysis.effects[0].variants[0];
    let difference = better.pooled.unwrap().difference.value;
    assert!((difference - (held_out(1) - held_out(0))).abs() < 1e-12);
    assert_eq!(analysis.arms[4].held_out, None, "of lost runs");
    assert!(analysis.contrasts[0].difference.is_some());
    assert!(analysis.factorials[0].effects.is_some());
}

#[test]
fn one_seed_names_the_highest_arm_and_no_interval() {
    let folder = tempfile::tempdir().unwrap();
    let plan = PLAN.replace("seeds = [0, 1, 2]", "seeds = [0]");
    made_up::study(folder.path(), &plan, truth);
    let analysis = Analysis::of(&Study::open(folder.path()).unwrap());
    assert!(
        analysis
            .answer
            .starts_with("Highest linear accuracy: BatchNorm and predictor: projector.batch_norm=false, predictor.kind=mlp,"),
        "{}",
        analysis.answer
    );
}

#[test]
fn expectations_agree_disagree_or_stay_unresolved() {
    let folder = tempfile::tempdir().unwrap();
    let analysis = Analysis::of(&study(folder.path()));
    let verdicts: Vec<_> = analysis
        .contrasts
        .iter()
        .map(|contrast| contrast.verdict)
        .collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Disagrees,
            Verdict::Agrees,
            Verdict::Unresolved,
            Verdict::Agrees
        ]
    );
}

#[test]
fn a_factorial_finds_the_interaction_that_was_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let analysis = Analysis::of(&study(folder.path()));
    let effects = analysis.factorials[0].effects.unwrap();
    // Cells 0.50, 0.50, 0.46, 0.60, each with noise below 0.004.
    assert!((effects.a.value - 0.03).abs() < 0.008, "{:?}", effects.a);
    assert!((effects.b.value - 0.07).abs() < 0.008, "{:?}", effects.b);
    assert!(
        (effects.interaction.value - 0.14).abs() < 0.016,
        "{:?}",
        effects.interaction
    );
    assert!(effects.interaction.low > 0.0);
}

#[test]
fn a_study_in_the_making_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = study(folder.path());
    let (_, run) = whole.design.runs()[1];
    std::fs::remove_dir_all(whole.folder.run(&run.key)).unwrap();
    let analysis = Analysis::of(&Study::open(folder.path()).unwrap());
    assert_eq!(
        analysis.effects[0].variants[0].direction,
        Direction::Incomplete
    );
    // Two seeds are left to pair.
    assert_eq!(analysis.effects[0].variants[0].paired.unwrap().n, 2);
    assert!(
        analysis
            .warnings
            .iter()
            .any(|warning| warning.contains("not begun: 1 of")),
        "{:?}",
        analysis.warnings
    );
}

#[test]
fn a_margin_is_where_losses_begin() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "kind = \"margin\"\nseeds = [0, 1]\n[base]\n[[variant]]\nname = \"vicreg\"\nregulariser = [\"variance\", \"covariance\"]\n";
    made_up::study(folder.path(), plan, |arm| {
        let safe = !arm.contains("lr x 10")
            && !arm.contains("weight x 0.03")
            && !arm.ends_with("weight x 0");
        healthy(if safe { 0.5 } else { 0.12 })
    });
    let analysis = Analysis::of(&Study::open(folder.path()).unwrap());
    let map = &analysis.margins[0];
    assert_eq!((map.lr_margin, map.weight_margin), (Some(3.0), Some(0.1)));
    assert_eq!((map.cells[0][3].lost.k, map.cells[0][3].lost.n), (2, 2));
    assert_eq!(
        analysis.answer,
        "No run lost at learning rates up to x 3, nor at x 1 with weights down to x 0.1: vicreg."
    );
}

#[test]
fn techniques_with_the_same_margin_are_named_together() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "kind = \"margin\"\nseeds = [0]\n[base]\n[margin]\nlr = [1, 3]\nweight = [1]\n\
        [[variant]]\nname = \"a\"\n[[variant]]\nname = \"b\"\nset = [\"method=tico\"]\n[[variant]]\nname = \"c\"\nset = [\"method=byol\"]\n";
    made_up::study(folder.path(), plan, |arm| {
        healthy(if arm.starts_with('b') { 0.12 } else { 0.5 })
    });
    let analysis = Analysis::of(&Study::open(folder.path()).unwrap());
    assert_eq!(
        analysis.answer,
        "No run lost at any learning rate tried (up to x 3): a, c. Lost 1 of 1 runs at own settings: b."
    );
}

#[test]
fn a_loss_at_a_techniques_own_settings_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "kind = \"margin\"\nseeds = [0, 1]\n[base]\n[[variant]]\nname = \"vicreg\"\nregulariser = [\"variance\", \"covariance\"]\n";
    made_up::study(folder.path(), plan, |_| healthy(0.12));
    let analysis = Analysis::of(&Study::open(folder.path()).unwrap());
    assert_eq!(analysis.answer, "Lost 2 of 2 runs at own settings: vicreg.");
}

#[test]
fn a_forecast_is_learnt_from_other_variants_and_knows_the_future_that_a_metric_tells() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(folder.path());
    let judged = evaluate(&study).unwrap();
    assert_eq!(
        judged.iter().map(|e| e.fraction).collect::<Vec<_>>(),
        [0.05, 0.1, 0.25]
    );
    let late = &judged[2];
    assert!(
        late.metrics.accuracy_error < 0.03,
        "{}",
        late.metrics.accuracy_error
    );
    assert!(late.metrics.accuracy_error < late.nothing.accuracy_error);
    assert_eq!((late.runs, late.variants), (27, 9));

    let run = &study.design.arms[4].runs[0];
    let record = Record::read(&study.folder.run(&run.key)).unwrap();
    let prediction = predict(&record, &study, 0.25).unwrap();
    assert_eq!((prediction.step, prediction.variants), (75, 8));
    let [low, high] = prediction.interval.unwrap();
    assert!(
        (low..=high).contains(&accuracy_of("collapses", 0, &truth("collapses"))),
        "{prediction:?}"
    );
}
