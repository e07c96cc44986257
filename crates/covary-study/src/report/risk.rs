//! Accuracy beside the risk of collapse: a dot a seed, hollow where the run was lost; the rate of lost runs with its exact interval.

use maud::{Markup, html};

use super::chart::{Axis, Scaling};
use super::page::significant;
use crate::{ArmSummary, Score};

/// The plot; nothing where no run was scored.
pub(super) fn plot(arms: &[&ArmSummary], by: Score) -> Markup {
    let scores = arms
        .iter()
        .flat_map(|arm| &arm.runs)
        .filter_map(|run| run.score(by));
    let Some(axis) = Axis::new(scores.map(|score| 100.0 * score), Scaling::Linear) else {
        return html! {};
    };
    let across = |value: f64| format!("{:.2}%", 3.0 + 94.0 * axis.place(100.0 * value));
    let rate = |share: f64| format!("{:.2}%", 2.0 + 96.0 * share);
    html! {
        p.caption {
            "Left: " (by.name()) " in %, a dot a seed, hollow where the run was lost; the line is the mean of the others. Right: share of lost \
             runs with its 95 % interval (Clopper-Pearson), and how many lost the embedding z and the representation h."
        }
        div.rows {
            @for arm in arms {
                div.name { (arm.name) }
                div.track {
                    svg height="22" role="img" aria-label=(format!("{} of {}", by.name(), arm.name)) {
                        line.grid x1="0" x2="100%" y1="11" y2="11" {}
                        @if let Some(spread) = arm.spread(by) {
                            line.bar.c1 x1=(across(spread.mean)) x2=(across(spread.mean)) y1="2" y2="20" {}
                        }
                        @for run in &arm.runs {
                            @if let Some(score) = run.score(by) {
                                @if run.is_lost {
                                    circle.hollow.lost cx=(across(score)) cy="11" r="4" {}
                                } @else {
                                    circle.dot.c1 cx=(across(score)) cy="11" r="4" opacity="0.75" {}
                                }
                            }
                        }
                    }
                }
                div.value {
                    div.track {
                        svg height="14" role="img" aria-label=(format!("lost runs of {}", arm.name)) {
                            line.grid x1="2%" x2="98%" y1="7" y2="7" {}
                            @let tint = if arm.lost.k > 0 { "lost" } else { "soft" };
                            @if arm.lost.n > 0 {
                                line.thin.(tint) x1=(rate(arm.lost.low)) x2=(rate(arm.lost.high)) y1="7" y2="7" {}
                                circle.dot.(tint) cx=(rate(arm.lost.share())) cy="7" r="4" {}
                            }
                        }
                    }
                    (format!(
                        "{} of {} (z {}, h {})",
                        arm.lost.k, arm.lost.n, arm.embedding_lost.k, arm.representation_lost.k
                    ))
                }
            }
            div.name.axis {}
            div.track {
                svg height="18" aria-hidden="true" {
                    @for tick in axis.ticks() {
                        text x=(format!("{:.2}%", 3.0 + 94.0 * axis.place(tick))) y="12" text-anchor="middle" { (significant(tick)) }
                    }
                }
            }
            div.value {
                div.track {
                    svg height="18" aria-hidden="true" {
                        text x="2%" y="12" text-anchor="start" { "0 %" }
                        text x="98%" y="12" text-anchor="end" { "100 %" }
                    }
                }
            }
        }
    }
}
