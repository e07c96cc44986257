//! Spectra of clean training images: singular values over the largest, both axes logarithmic. A cliff is dimensional collapse.

use maud::{Markup, html};

use super::Group;
use super::chart::{Chart, Curve, Scaling};

/// Smaller than this share of the largest is the noise of f32.
const FLOOR: f64 = 1e-6;

/// A chart a group, its first run with a spectrum; none where no run has one.
pub(super) fn panels(groups: &[Group<'_>]) -> Option<Markup> {
    let charts: Vec<Chart> = groups.iter().filter_map(chart).collect();
    (!charts.is_empty()).then(|| {
        html! {
            p.caption { "Singular values of centred clean training images, over the largest, by index; of each arm's first run. A cliff is dimensional collapse." }
            div.panels { @for chart in &charts { (chart.render()) } }
        }
    })
}

fn chart(group: &Group<'_>) -> Option<Chart> {
    let spectra = group
        .records
        .iter()
        .find_map(|record| record.spectra.as_ref())?;
    let curve = |name: &str, colour: usize, values: &[f64]| {
        let largest = values.first().copied().unwrap_or(1.0);
        let relative = values.iter().map(|value| value / largest);
        let points = relative
            .enumerate()
            .map(|(index, value)| ((index + 1) as f64, value));
        Curve::plain(name, colour, points.filter(|(_, value)| *value > FLOOR))
    };
    Some(Chart {
        title: group.name.clone(),
        x_label: "index",
        x: Scaling::Log,
        y: Scaling::Log,
        y_range: None,
        curves: vec![
            curve("representation", 1, &spectra.representation),
            curve("embedding", 2, &spectra.embedding),
        ],
    })
}
