//! 2x2 factorials: what each factor does alone, and whether one changes what the other does.

use maud::{Markup, html};

use super::forest::{self, Row};
use super::page::{percent, shade};
use crate::statistics::p_value;
use crate::{Analysis, FactorialResult};

pub(super) fn section(analysis: &Analysis) -> Markup {
    html! {
        p.caption {
            "Effects on " (analysis.score.name()) ", second level less first, with 95 % intervals of their own (randomised block design over the four cells). \
             The interaction is the effect of the first factor at the second's second level, less that at its first."
        }
        @for factorial in &analysis.factorials {
            h3 { (factorial.name) }
            (cells(factorial, analysis))
            @if factorial.effects.is_some() {
                (forest::plot(&rows(factorial), "points"))
            } @else {
                p { "No effects: a cell lost a run, or has one missing." }
            }
        }
    }
}

fn rows(factorial: &FactorialResult) -> Vec<Row> {
    let effects = factorial.effects.into_iter();
    let named = effects.flat_map(|effects| {
        [
            (
                format!("{} → {}", factorial.a[0], factorial.a[1]),
                effects.a,
            ),
            (
                format!("{} → {}", factorial.b[0], factorial.b[1]),
                effects.b,
            ),
            ("interaction".to_owned(), effects.interaction),
        ]
    });
    named
        .map(|(name, estimate)| {
            let interval = [estimate.low, estimate.value, estimate.high].map(|value| 100.0 * value);
            let [low, middle, high] = interval;
            Row {
                name,
                interval: Some(interval),
                words: format!(
                    "{middle:+.1} ({low:+.1} to {high:+.1}), p {}",
                    p_value(estimate.p)
                ),
                class: if low > 0.0 {
                    "well"
                } else if high < 0.0 {
                    "lost"
                } else {
                    "soft"
                },
            }
        })
        .collect()
}

fn cells(factorial: &FactorialResult, analysis: &Analysis) -> Markup {
    let cell = |a: usize, b: usize| {
        let arm = &analysis.arms[factorial.cells[a][b]];
        let accuracy = arm.spread(analysis.score).or(arm.linear_of_lost);
        let accuracy = accuracy.map_or_else(
            || "–".into(),
            |spread| format!("{} %", percent(spread.mean)),
        );
        html! {
            td style=(shade(arm.lost)) { (accuracy) small { "lost " (arm.lost.k) " of " (arm.lost.n) } }
        }
    };
    html! {
        div.scroll {
            table.map {
                thead { tr { th {} th { (factorial.b[0]) } th { (factorial.b[1]) } } }
                tbody { @for a in 0..2 { tr { th { (factorial.a[a]) } (cell(a, 0)) (cell(a, 1)) } } }
            }
        }
    }
}
