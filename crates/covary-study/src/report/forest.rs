//! A forest plot: a difference and its interval a row, on one axis, the line of no difference through all.

use maud::{Markup, html};

use super::chart::{Axis, Scaling};
use super::page::significant;

/// A row: name, `[low, middle, high]` where there is an interval, the words at its right, and a class of colour.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) interval: Option<[f64; 3]>,
    pub(super) words: String,
    pub(super) class: &'static str,
}

/// The plot; nothing where no row has an interval.
pub(super) fn plot(rows: &[Row], unit: &str) -> Markup {
    let ends = rows.iter().filter_map(|row| row.interval).flatten();
    let Some(axis) = Axis::new(ends.chain([0.0]), Scaling::Linear) else {
        return html! {};
    };
    let across = |value: f64| format!("{:.2}%", 2.0 + 96.0 * axis.place(value));
    html! {
        div.rows {
            @for row in rows {
                div.name { (row.name) }
                div.track {
                    svg height="22" role="img" aria-label=(format!("{}: {}", row.name, row.words)) {
                        line.zero x1=(across(0.0)) x2=(across(0.0)) y1="0" y2="22" {}
                        @if let Some([low, middle, high]) = row.interval {
                            g class=(row.class) {
                                line.bar x1=(across(low)) x2=(across(high)) y1="11" y2="11" {}
                                circle.dot cx=(across(middle)) cy="11" r="4.5" {}
                            }
                        }
                    }
                }
                div.value.(row.class) { (row.words) }
            }
            div.name.axis {}
            div.track {
                svg height="32" aria-hidden="true" {
                    line.axis x1="2%" x2="98%" y1="1" y2="1" {}
                    @for tick in axis.ticks() {
                        text x=(across(tick)) y="15" text-anchor="middle" { (significant(tick)) }
                    }
                    text x="98%" y="29" text-anchor="end" { (unit) }
                }
            }
        }
    }
}
