//! Curves over training: the mean over an arm's seeds with the band from its lowest to its highest seed.

use maud::{Markup, html};

use super::Group;
use super::chart::{Chart, Curve, Scaling};
use crate::{Record, Series};

/// Points of a curve, at most.
const POINTS: usize = 100;

/// A quantity over training.
pub(super) struct Quantity {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) scaling: Scaling,
    /// Whether all panels have the same axis; losses of different methods have no common scale.
    pub(super) is_shared: bool,
}

/// What is shown first, and what on request.
pub(super) const QUANTITIES: [Quantity; 6] = [
    Quantity {
        key: "validation_knn",
        title: "kNN accuracy on held-out training images",
        scaling: Scaling::Linear,
        is_shared: true,
    },
    Quantity {
        key: "loss",
        title: "Loss",
        scaling: Scaling::Linear,
        is_shared: false,
    },
    Quantity {
        key: "representation/participation_ratio",
        title: "Participation ratio of the representation",
        scaling: Scaling::Linear,
        is_shared: true,
    },
    Quantity {
        key: "embedding/participation_ratio",
        title: "Participation ratio of the embedding",
        scaling: Scaling::Linear,
        is_shared: true,
    },
    Quantity {
        key: "embedding/std_of_l2_normalized",
        title: "Standard deviation of l2-normalised embeddings",
        scaling: Scaling::Log,
        is_shared: true,
    },
    Quantity {
        key: "embedding/rankme",
        title: "RankMe of the embedding",
        scaling: Scaling::Linear,
        is_shared: true,
    },
];

/// A panel an arm for each quantity, the base dashed behind it.
pub(super) fn panels(groups: &[Group<'_>], base: Option<&Group<'_>>) -> Markup {
    html! {
        p.caption { "Mean over the seeds; the band runs from the lowest to the highest seed, lost runs included." }
        @for (index, quantity) in QUANTITIES.iter().enumerate() {
            @let charts = charts(quantity, groups, base);
            @if !charts.is_empty() {
                details open[index == 0] {
                    summary { (quantity.title) }
                    div.panels { @for chart in &charts { (chart.render()) } }
                }
            }
        }
    }
}

fn charts(quantity: &Quantity, groups: &[Group<'_>], base: Option<&Group<'_>>) -> Vec<Chart> {
    let curve = |group: &Group<'_>, colour: usize, dashed: bool| Curve {
        name: if dashed {
            group.name.clone()
        } else {
            String::new()
        },
        colour,
        dashed,
        points: over_seeds(&group.records, quantity.key),
    };
    let behind = base.map(|base| curve(base, 0, true));
    let ends = groups
        .iter()
        .flat_map(|group| over_seeds(&group.records, quantity.key));
    let range = ends.fold(None, |range: Option<[f64; 2]>, point| {
        let [low, high] = range.unwrap_or([point[1], point[3]]);
        Some([low.min(point[1]), high.max(point[3])])
    });
    let of_group = groups.iter().map(|group| {
        let own = curve(group, 1, false);
        let is_base = base.is_some_and(|base| base.name == group.name);
        let behind = behind.clone().filter(|_| !is_base);
        Chart {
            title: group.name.clone(),
            x_label: "step",
            x: Scaling::Linear,
            y: quantity.scaling,
            y_range: range.filter(|_| quantity.is_shared),
            curves: behind.into_iter().chain([own]).collect(),
        }
    });
    of_group
        .filter(|chart| {
            chart
                .curves
                .last()
                .is_some_and(|own| !own.points.is_empty())
        })
        .collect()
}

/// Low, mean and high over the records, in at most [`POINTS`] bins of steps.
pub(super) fn over_seeds(records: &[&Record], key: &str) -> Vec<[f64; 4]> {
    let series: Vec<Vec<(u64, f64)>> = records
        .iter()
        .map(|record| journal(record, key).points(key))
        .collect();
    let last = series
        .iter()
        .flatten()
        .map(|(step, _)| *step)
        .max()
        .unwrap_or(0);
    let width = last as usize / POINTS + 1;
    let bins = series
        .iter()
        .map(|points| binned(points, width))
        .collect::<Vec<_>>();
    let mut points = Vec::new();
    for bin in 0..=last as usize / width {
        let values: Vec<[f64; 2]> = bins
            .iter()
            .filter_map(|bins| bins.get(bin).copied()?)
            .collect();
        if values.is_empty() {
            continue;
        }
        let mean =
            |which: usize| values.iter().map(|v| v[which]).sum::<f64>() / values.len() as f64;
        let low = values.iter().map(|v| v[1]).fold(f64::INFINITY, f64::min);
        let high = values
            .iter()
            .map(|v| v[1])
            .fold(f64::NEG_INFINITY, f64::max);
        points.push([mean(0), low, mean(1), high]);
    }
    points
}

/// The journal that has the key.
fn journal<'a>(record: &'a Record, key: &str) -> &'a Series {
    if record.monitors.names().any(|name| name == key) {
        &record.monitors
    } else {
        &record.steps
    }
}

/// Mean step and mean value of each bin.
fn binned(points: &[(u64, f64)], width: usize) -> Vec<Option<[f64; 2]>> {
    let mut bins: Vec<Option<[f64; 3]>> = Vec::new();
    for (step, value) in points {
        let bin = *step as usize / width;
        if bins.len() <= bin {
            bins.resize(bin + 1, None);
        }
        let [steps, values, count] = bins[bin].unwrap_or_default();
        bins[bin] = Some([steps + *step as f64, values + value, count + 1.0]);
    }
    bins.into_iter()
        .map(|bin| bin.map(|[steps, values, count]| [steps / count, values / count]))
        .collect()
}
