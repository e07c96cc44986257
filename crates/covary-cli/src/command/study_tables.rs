//! A study as text: how far it is, accuracy beside the risk of collapse, effects, expectations, factorials, margins.

use std::fmt::Write;

use covary_study::statistics::{Estimate, Rate, p_value};
use covary_study::{
    Analysis, Direction, Effects, FactorialResult, MarginMap, Score, Spread, Study,
};

use crate::output::{Table, duration};

/// A line a run.
pub(crate) fn progress(study: &Study) -> String {
    let mut table = Table::new(&["run", "seed", "key", "state", "step"]);
    for (arm, run) in study.design.runs() {
        let step = study
            .record(&run.key)
            .and_then(|record| record.steps.steps().last())
            .map_or_else(|| "–".into(), ToString::to_string);
        table.row(vec![
            study.design.arms[arm].name.clone(),
            run.seed.to_string(),
            run.key.clone(),
            study.state(&run.key).name().into(),
            step,
        ]);
    }
    table.render()
}

/// Everything that an analysis says.
pub(crate) fn analysis(analysis: &Analysis) -> String {
    let mut text = format!("\n{}\n\n{}\n", analysis.title, analysis.answer);
    for warning in &analysis.warnings {
        let _ = writeln!(text, "note: {warning}");
    }
    if analysis.margins.is_empty() {
        let _ = writeln!(
            text,
            "\nAccuracy in %, mean ± standard deviation of the runs that were not lost, and the risk; lost: {} collapsed, or a number was \
             not finite\n",
            analysis.lost.words()
        );
        text.push_str(&accuracy(analysis));
    }
    for effects in &analysis.effects {
        if effects.model.is_some() {
            text.push_str(&differences(effects));
        }
    }
    if !analysis.contrasts.is_empty() {
        text.push_str("\nExpectations\n\n");
        text.push_str(&contrasts(analysis));
    }
    for factorial in &analysis.factorials {
        text.push_str(&factors(factorial, analysis.score));
    }
    for map in &analysis.margins {
        text.push_str(&margin(map));
    }
    text
}

fn accuracy(analysis: &Analysis) -> String {
    let mut table = Table::new(&[
        "",
        "n",
        "linear",
        "kNN",
        "held out",
        "lost",
        "95 % interval",
        "z lost",
        "h lost",
        "first at step",
        "training",
    ]);
    for arm in &analysis.arms {
        table.row(vec![
            arm.name.clone(),
            arm.lost.n.to_string(),
            spread(arm.linear),
            spread(arm.knn),
            spread(arm.held_out),
            format!("{}/{}", arm.lost.k, arm.lost.n),
            interval_of_rate(arm.lost),
            arm.embedding_lost.k.to_string(),
            arm.representation_lost.k.to_string(),
            arm.first_collapse_step
                .map_or_else(|| "–".into(), |step| format!("{step:.0}")),
            arm.train_s.map_or_else(|| "–".into(), duration),
        ]);
    }
    table.render()
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "–".into(),
        |spread| match spread.standard_deviation {
            Some(deviation) => format!("{:.1} ± {:.1}", 100.0 * spread.mean, 100.0 * deviation),
            None => format!("{:.1}", 100.0 * spread.mean),
        },
    )
}

fn interval_of_rate(rate: Rate) -> String {
    format!("{:.0}–{:.0} %", 100.0 * rate.low, 100.0 * rate.high)
}

fn differences(effects: &Effects) -> String {
    let mut text = format!(
        "\nDifference to the base in {}, points; pooled: additive model with intervals simultaneous over the variants\n(Dunnett), \
         paired: t test of each variant alone; p of the pooled difference, adjusted by Holm\n\n",
        effects.score.name()
    );
    let mut table = Table::new(&[
        "",
        "pooled",
        "95 % interval",
        "p",
        "paired",
        "95 % interval",
        "",
    ]);
    for effect in &effects.variants {
        let pooled = effect.pooled.map(|pooled| pooled.difference);
        let paired = effect.paired.map(|paired| paired.difference);
        table.row(vec![
            effect.name.clone(),
            points(pooled),
            interval(pooled),
            effect
                .pooled
                .map_or_else(|| "–".into(), |pooled| p_value(pooled.holm_p)),
            points(paired),
            interval(paired),
            direction(effect.direction).into(),
        ]);
    }
    text.push_str(&table.render());
    if let Some(removed) = effects.pairing_removed {
        let _ = writeln!(
            text,
            "  pairing by seed removed {:.0} % of the variance of a difference",
            100.0 * removed
        );
    }
    let sights: Vec<_> = effects
        .power
        .iter()
        .map(|row| format!("{} seeds {:.1}", row.seeds, 100.0 * row.detectable))
        .collect();
    let _ = writeln!(
        text,
        "  visible difference in points (power 80 %, level 5 %): {}",
        sights.join(", ")
    );
    text
}

fn points(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "–".into(),
        |estimate| format!("{:+.1}", 100.0 * estimate.value),
    )
}

fn interval(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "–".into(),
        |estimate| {
            format!(
                "{:+.1} to {:+.1}",
                100.0 * estimate.low,
                100.0 * estimate.high
            )
        },
    )
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Higher => "higher",
        Direction::Lower => "lower",
        Direction::Unresolved => "unresolved",
        Direction::Lost => "runs lost",
        Direction::Incomplete => "incomplete",
    }
}

fn contrasts(analysis: &Analysis) -> String {
    let mut table = Table::new(&["left", "right", "expected", "", "why"]);
    for contrast in &analysis.contrasts {
        table.row(vec![
            contrast.left.clone(),
            contrast.right.clone().unwrap_or_default(),
            contrast.expect.into(),
            contrast.verdict.name().into(),
            contrast.reason.clone(),
        ]);
    }
    table.render()
}

fn factors(factorial: &FactorialResult, score: Score) -> String {
    let mut text = format!(
        "\nFactorial {}: effects on {}, points\n\n",
        factorial.name,
        score.name()
    );
    let Some(effects) = factorial.effects else {
        text.push_str("  no effects: a cell lost a run, or has one missing\n");
        return text;
    };
    let mut table = Table::new(&["", "effect", "95 % interval", "p"]);
    for (name, estimate) in [
        (
            format!("{} -> {}", factorial.a[0], factorial.a[1]),
            effects.a,
        ),
        (
            format!("{} -> {}", factorial.b[0], factorial.b[1]),
            effects.b,
        ),
        ("interaction".into(), effects.interaction),
    ] {
        let p = p_value(estimate.p);
        table.row(vec![
            name,
            points(Some(estimate)),
            interval(Some(estimate)),
            p,
        ]);
    }
    text.push_str(&table.render());
    text
}

fn margin(map: &MarginMap) -> String {
    let mut text = format!(
        "\n{}: lost runs over learning rate (columns) and weight (rows), in brackets lost embeddings z and lost representations h\n\n",
        map.technique
    );
    let columns: Vec<_> = map
        .lr
        .iter()
        .map(|factor| format!("lr x {factor}"))
        .collect();
    let mut header = vec![""];
    header.extend(columns.iter().map(String::as_str));
    let mut table = Table::new(&header);
    for (factor, row) in map.weight.iter().zip(&map.cells) {
        let mut cells = vec![format!("weight x {factor}")];
        cells.extend(row.iter().map(|cell| {
            let Rate { k, n, .. } = cell.lost;
            let (z, h) = (cell.embedding_lost, cell.representation_lost);
            format!("{k}/{n} ({z}, {h})")
        }));
        table.row(cells);
    }
    text.push_str(&table.render());
    text
}
