//! What the terms of the loss do over training: their values, whose gradient is how much of the whole, and which pull against each other.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::Group;
use super::chart::{Chart, Curve, Scaling};
use super::curves::over_seeds;
use crate::Record;

/// Colours beside grey.
const COLOURS: usize = 7;

/// Charts of each group's terms.
pub(super) fn panels(groups: &[Group<'_>]) -> Markup {
    html! {
        p.caption {
            "Means over the seeds. A share is a term's part of the sum over the terms: of the norms of its weighted gradients at the embedding \
             where they were logged, else of its weighted values. A cosine below 0 between the gradients of two terms is a conflict."
        }
        @for (index, group) in groups.iter().enumerate() {
            @let charts = charts(&group.records);
            @if !charts.is_empty() {
                details open[index == 0] {
                    summary { (group.name) }
                    div.panels { @for chart in &charts { (chart.render()) } }
                }
            }
        }
    }
}

fn charts(records: &[&Record]) -> Vec<Chart> {
    let values = curves(records, "term/");
    let gradients = curves(records, "gradient_z/");
    let (share_title, parts) = if gradients.is_empty() {
        ("Share of the loss", curves(records, "weighted/"))
    } else {
        ("Share of the gradient at the embedding", gradients)
    };
    let mut charts = vec![
        chart("Value of each term", values, None),
        chart(share_title, shares(parts), Some([0.0, 1.0])),
        chart(
            "Share of the gradient at the representation",
            shares(curves(records, "gradient_h/")),
            Some([0.0, 1.0]),
        ),
        chart(
            "Cosine between gradients",
            curves(records, "cosine/"),
            Some([-1.0, 1.0]),
        ),
    ];
    let hinge = over_seeds(records, "below_hinge");
    charts.push(chart(
        "Share of dimensions below the hinge",
        vec![Curve {
            name: String::new(),
            colour: 1,
            dashed: false,
            points: hinge,
        }],
        Some([0.0, 1.0]),
    ));
    charts.retain(|chart| chart.curves.iter().any(|curve| !curve.points.is_empty()));
    charts
}

fn chart(title: &str, curves: Vec<Curve>, y_range: Option<[f64; 2]>) -> Chart {
    Chart {
        title: title.into(),
        x_label: "step",
        x: Scaling::Linear,
        y: Scaling::Linear,
        y_range,
        curves,
    }
}

/// A curve for each key with this prefix, named by what follows it.
fn curves(records: &[&Record], prefix: &str) -> Vec<Curve> {
    let names: BTreeSet<&str> = records
        .iter()
        .flat_map(|record| record.steps.names())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names
        .into_iter()
        .enumerate()
        .map(|(index, name)| Curve {
            name: name[prefix.len()..].replace('~', " and "),
            colour: 1 + index % COLOURS,
            dashed: false,
            points: without_band(over_seeds(records, name)),
        })
        .collect()
}

fn without_band(points: Vec<[f64; 4]>) -> Vec<[f64; 4]> {
    points
        .into_iter()
        .map(|[x, _, y, _]| [x, y, y, y])
        .collect()
}

/// Each curve's part of the sum of sizes; the curves of a journal have the same steps.
fn shares(mut curves: Vec<Curve>) -> Vec<Curve> {
    let length = curves
        .iter()
        .map(|curve| curve.points.len())
        .min()
        .unwrap_or(0);
    for index in 0..length {
        let total: f64 = curves
            .iter()
            .map(|curve| curve.points[index][2].abs())
            .sum();
        for curve in &mut curves {
            let [x, _, y, _] = curve.points[index];
            let share = if total > 0.0 {
                y.abs() / total
            } else {
                f64::NAN
            };
            curve.points[index] = [x, share, share, share];
        }
    }
    for curve in &mut curves {
        curve.points.truncate(length);
        curve.points.retain(|point| point[2].is_finite());
    }
    curves
}
