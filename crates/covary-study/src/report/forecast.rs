//! How early one could have known.

use maud::{Markup, html};

use super::page::{grid, or_dash, percent};
use crate::forecast::{Evaluation, Quality};

pub(super) fn section(evaluations: &[Evaluation]) -> Markup {
    let mut rows = Vec::new();
    for evaluation in evaluations {
        for (name, quality) in [
            ("metrics", &evaluation.metrics),
            ("loss or kNN", &evaluation.baseline),
            ("mean of the others", &evaluation.nothing),
        ] {
            rows.push(row(evaluation.fraction, name, quality));
        }
    }
    let header = [
        "at",
        " by",
        "error, points",
        "coverage, %",
        "Spearman",
        "without lost",
        "Brier",
        "AUROC",
        " chosen for accuracy",
        " chosen for collapse",
    ];
    html! {
        @for evaluation in evaluations { p { (evaluation.finding()) } }
        (grid(&header, &rows))
        p.caption {
            "Final linear accuracy and the chance of collapse or divergence, forecast for each variant from the others; the metric is chosen by \
             leave-one-variant-out error among those others. Error: root mean square. Coverage: of the 95 % intervals. That the metrics beat \
             loss and kNN is said where the t interval over variants of the difference in squared error lies above 0. With no information \
             leave-one-out correlations and AUROC lie below chance."
        }
    }
}

fn row(fraction: f64, name: &str, quality: &Quality) -> Vec<String> {
    let chosen = |metrics: &std::collections::BTreeMap<String, usize>| {
        let mut metrics: Vec<_> = metrics.iter().collect();
        metrics.sort_by(|a, b| b.1.cmp(a.1));
        let named = metrics
            .into_iter()
            .take(2)
            .map(|(name, folds)| format!("{name} ({folds})"));
        named.collect::<Vec<_>>().join(", ")
    };
    let two = |value: f64| format!("{value:.2}");
    vec![
        format!("{:.0} %", 100.0 * fraction),
        name.into(),
        percent(quality.accuracy_error),
        percent(quality.coverage),
        or_dash(quality.spearman, two),
        or_dash(quality.spearman_without_lost, two),
        format!("{:.3}", quality.brier),
        or_dash(quality.area_under_roc, two),
        chosen(&quality.accuracy_metrics),
        chosen(&quality.collapse_metrics),
    ]
}
