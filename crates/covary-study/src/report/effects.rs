//! Differences to the base: forest plots, tables, and what the study could see.

use maud::{Markup, html};

use super::forest::{self, Row};
use super::page::{grid, or_dash, percent, points};
use crate::statistics::p_value;
use crate::{Analysis, Direction, Effect, Effects};

/// How the numbers came about, once for both scores.
const METHOD: &str = "A difference is the mean over seeds of variant less base; runs of a seed share initial weights, order of the data and augmentation. \
    Pooled: additive model variant + seed, noise from the residuals of all arms that lost no run, intervals simultaneous over the variants \
    (Dunnett, 95 %), p adjusted by Holm; it takes the arms to be equally noisy. Paired: t test of the variant alone, its own interval. A variant \
    that lost a run has no difference: its survivors are a selection. Intervals speak of other seeds, not of other data sets.";

/// Forest plot and table of each score.
pub(super) fn section(analysis: &Analysis) -> Markup {
    html! {
        p.caption { (METHOD) }
        @for effects in &analysis.effects {
            h3 { "Difference in " (effects.score.name()) ", points" }
            @if effects.model.is_some() {
                (forest::plot(&rows(effects, analysis), "points, pooled, simultaneous 95 % intervals"))
            } @else {
                p { "There is no pooled model: it needs the base and a variant with every run scored and none lost, and two seeds." }
            }
            details { summary { "Table" } (table(effects)) }
        }
    }
}

fn rows(effects: &Effects, analysis: &Analysis) -> Vec<Row> {
    let row = |effect: &Effect| {
        let interval = effect.pooled.map(|pooled| {
            let d = pooled.difference;
            [d.low, d.value, d.high].map(|value| 100.0 * value)
        });
        let lost = analysis.arms[effect.arm].lost;
        Row {
            name: effect.name.clone(),
            words: match (interval, effect.direction) {
                (Some([low, middle, high]), _) => format!("{middle:+.1} ({low:+.1} to {high:+.1})"),
                (None, Direction::Lost) => format!("lost {} of {} runs", lost.k, lost.n),
                (None, _) => "incomplete".into(),
            },
            interval,
            class: match effect.direction {
                Direction::Higher => "well",
                Direction::Lower | Direction::Lost => "lost",
                Direction::Unresolved | Direction::Incomplete => "soft",
            },
        }
    };
    effects.variants.iter().map(row).collect()
}

fn table(effects: &Effects) -> Markup {
    let rows: Vec<Vec<String>> = effects
        .variants
        .iter()
        .map(|effect| {
            let pooled = effect.pooled.map(|pooled| pooled.difference);
            let paired = effect.paired.map(|paired| paired.difference);
            let interval = |low: f64, high: f64| format!("{} to {}", points(low), points(high));
            vec![
                effect.name.clone(),
                or_dash(pooled, |d| points(d.value)),
                or_dash(pooled, |d| interval(d.low, d.high)),
                or_dash(effect.pooled, |pooled| p_value(pooled.difference.p)),
                or_dash(effect.pooled, |pooled| p_value(pooled.holm_p)),
                or_dash(paired, |d| points(d.value)),
                or_dash(paired, |d| interval(d.low, d.high)),
                or_dash(effect.paired.and_then(|paired| paired.removed()), |share| {
                    format!("{} %", percent(share))
                }),
            ]
        })
        .collect();
    let header = [
        "",
        "pooled",
        "simultaneous 95 %",
        "p",
        "p, Holm",
        "paired",
        "95 %",
        "variance removed by pairing",
    ];
    grid(&header, &rows)
}

/// What numbers of seeds can see, and what pairing was worth.
pub(super) fn sight(analysis: &Analysis) -> Option<Markup> {
    let effects = analysis.effects.first()?;
    let model = effects.model.as_ref()?;
    let rows: Vec<Vec<String>> = effects
        .power
        .iter()
        .map(|row| vec![row.seeds.to_string(), percent(row.detectable)])
        .collect();
    let removed = effects.pairing_removed.map(|share| {
        format!(" Pairing by seed removed {:.0} % of the variance that differences of unpaired runs would have.", 100.0 * share)
    });
    Some(html! {
        p {
            @if let Some(sight) = crate::answer::sight(analysis) { (sight) }
            " The noise of one run, after arm and seed, is " (percent(model.sigma)) " points of " (analysis.score.name()) " (" (format!("{:.0}", model.degrees_of_freedom))
            " degrees of freedom)." @if let Some(removed) = removed { (removed) }
        }
        (grid(&["seeds", "smallest visible difference, points"], &rows))
        p.caption { "Found with a chance of 80 % at a level of 5 %, for one comparison, with as many variants sharing the noise as here (noncentral t)." }
    })
}
