//! The numbers behind a report, as CSV: full precision, shares as shares, an empty field where there is none.

use std::borrow::Cow;

use crate::forecast::Evaluation;
use crate::statistics::Estimate;
use crate::{Analysis, Record};

/// A table and its file's name without `.csv`.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: &'static str,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(name: &'static str, header: &[&str]) -> Self {
        Self {
            name,
            header: header.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The file's text.
    pub(super) fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.header).chain(&self.rows) {
            writer
                .write_record(row.iter().map(|cell| as_text(cell).into_owned()))
                .expect("rows are as long as their header");
        }
        let bytes = writer
            .into_inner()
            .expect("writing to memory does not fail");
        String::from_utf8(bytes).expect("cells are text")
    }
}

/// A cell that no spreadsheet takes for a formula: text that starts as one gets an apostrophe before it (OWASP, CSV injection).
fn as_text(cell: &str) -> Cow<'_, str> {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula && cell.parse::<f64>().is_err() {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn estimate(estimate: Option<Estimate>) -> [String; 5] {
    [
        cell(estimate.map(|e| e.value)),
        cell(estimate.map(|e| e.low)),
        cell(estimate.map(|e| e.high)),
        cell(estimate.map(|e| e.p)),
        cell(estimate.map(|e| e.degrees_of_freedom)),
    ]
}

/// The tables of a study that have rows.
pub(super) fn of_study(analysis: &Analysis, forecasts: &[Evaluation]) -> Vec<Table> {
    let mut tables = vec![
        runs(analysis),
        arms(analysis),
        effects(analysis),
        power(analysis),
    ];
    tables.extend([
        contrasts(analysis),
        factorials(analysis),
        margins(analysis),
        forecast(forecasts),
    ]);
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn runs(analysis: &Analysis) -> Table {
    let header = [
        "arm",
        "seed",
        "key",
        "state",
        "linear_top1",
        "knn_top1",
        "train_s",
        "collapse_step",
        "embedding",
        "representation",
        "relative_std",
        "participation_ratio",
        "validation_knn",
        "representation_relative_std",
        "representation_participation_ratio",
        "representation_collapse_step",
        "lost",
    ];
    let mut table = Table::new("runs", &header);
    for arm in &analysis.arms {
        for run in &arm.runs {
            table.row(vec![
                arm.name.clone(),
                run.seed.to_string(),
                run.key.clone(),
                run.state.name().into(),
                cell(run.linear),
                cell(run.knn),
                cell(run.train_s),
                cell(run.collapse_step),
                cell(run.embedding.clone()),
                cell(run.representation.clone()),
                cell(run.relative_std),
                cell(run.participation_ratio),
                cell(run.validation_knn),
                cell(run.representation_relative_std),
                cell(run.representation_participation_ratio),
                cell(run.representation_collapse_step),
                run.is_lost.to_string(),
            ]);
        }
    }
    table
}

fn arms(analysis: &Analysis) -> Table {
    let header = [
        "arm",
        "changes",
        "ended",
        "lost",
        "lost_low",
        "lost_high",
        "linear_mean",
        "linear_sd",
        "knn_mean",
        "knn_sd",
        "held_out_knn_mean",
        "held_out_knn_sd",
        "train_s",
        "first_collapse_step",
        "embedding_lost",
        "representation_lost",
    ];
    let mut table = Table::new("arms", &header);
    for arm in &analysis.arms {
        table.row(vec![
            arm.name.clone(),
            arm.changes.join(" "),
            arm.lost.n.to_string(),
            arm.lost.k.to_string(),
            arm.lost.low.to_string(),
            arm.lost.high.to_string(),
            cell(arm.linear.map(|spread| spread.mean)),
            cell(arm.linear.and_then(|spread| spread.standard_deviation)),
            cell(arm.knn.map(|spread| spread.mean)),
            cell(arm.knn.and_then(|spread| spread.standard_deviation)),
            cell(arm.held_out.map(|spread| spread.mean)),
            cell(arm.held_out.and_then(|spread| spread.standard_deviation)),
            cell(arm.train_s),
            cell(arm.first_collapse_step),
            arm.embedding_lost.k.to_string(),
            arm.representation_lost.k.to_string(),
        ]);
    }
    table
}

fn effects(analysis: &Analysis) -> Table {
    let header = [
        "score",
        "arm",
        "pooled",
        "pooled_low",
        "pooled_high",
        "pooled_p",
        "pooled_df",
        "holm_p",
        "paired",
        "paired_low",
        "paired_high",
        "paired_p",
        "paired_df",
        "variance_of_difference",
        "sum_of_variances",
    ];
    let mut table = Table::new("effects", &header);
    for effects in &analysis.effects {
        for effect in &effects.variants {
            let mut row = vec![effects.score.key().to_owned(), effect.name.clone()];
            row.extend(estimate(effect.pooled.map(|pooled| pooled.difference)));
            row.push(cell(effect.pooled.map(|pooled| pooled.holm_p)));
            row.extend(estimate(effect.paired.map(|paired| paired.difference)));
            row.push(cell(
                effect.paired.map(|paired| paired.variance_of_difference),
            ));
            row.push(cell(effect.paired.map(|paired| paired.sum_of_variances)));
            table.row(row);
        }
    }
    table
}

fn power(analysis: &Analysis) -> Table {
    let mut table = Table::new("power", &["score", "seeds", "detectable"]);
    for effects in &analysis.effects {
        for row in &effects.power {
            let key = effects.score.key().to_owned();
            table.row(vec![key, row.seeds.to_string(), row.detectable.to_string()]);
        }
    }
    table
}

fn contrasts(analysis: &Analysis) -> Table {
    let header = [
        "left",
        "right",
        "expect",
        "verdict",
        "difference",
        "low",
        "high",
        "p",
        "df",
        "holm_p",
        "reason",
        "source",
    ];
    let mut table = Table::new("expectations", &header);
    for contrast in &analysis.contrasts {
        let mut row = vec![
            contrast.left.clone(),
            cell(contrast.right.clone()),
            contrast.expect.to_owned(),
            contrast.verdict.name().to_owned(),
        ];
        row.extend(estimate(contrast.difference));
        row.extend([
            cell(contrast.holm_p),
            contrast.reason.clone(),
            contrast.source.clone(),
        ]);
        table.row(row);
    }
    table
}

fn factorials(analysis: &Analysis) -> Table {
    let mut table = Table::new(
        "factorials",
        &["factorial", "effect", "value", "low", "high", "p", "df"],
    );
    for factorial in &analysis.factorials {
        let effects = factorial.effects;
        for (name, effect) in [
            ("a", effects.map(|effects| effects.a)),
            ("b", effects.map(|effects| effects.b)),
            ("interaction", effects.map(|effects| effects.interaction)),
        ] {
            let mut row = vec![factorial.name.clone(), name.to_owned()];
            row.extend(estimate(effect));
            table.row(row);
        }
    }
    table
}

fn margins(analysis: &Analysis) -> Table {
    let mut table = Table::new(
        "margins",
        &[
            "technique",
            "lr_factor",
            "weight_factor",
            "ended",
            "lost",
            "diverged",
            "accuracy",
            "embedding_lost",
            "representation_lost",
        ],
    );
    for map in &analysis.margins {
        for (weight, row) in map.weight.iter().zip(&map.cells) {
            for (lr, one) in map.lr.iter().zip(row) {
                table.row(vec![
                    map.technique.clone(),
                    lr.to_string(),
                    weight.to_string(),
                    one.lost.n.to_string(),
                    one.lost.k.to_string(),
                    one.diverged.to_string(),
                    cell(one.accuracy),
                    one.embedding_lost.to_string(),
                    one.representation_lost.to_string(),
                ]);
            }
        }
    }
    table
}

fn forecast(evaluations: &[Evaluation]) -> Table {
    let header = [
        "fraction",
        "by",
        "runs",
        "lost",
        "variants",
        "accuracy_error",
        "coverage",
        "spearman",
        "spearman_without_lost",
        "brier",
        "area_under_roc",
    ];
    let mut table = Table::new("forecast", &header);
    for evaluation in evaluations {
        for (name, quality) in [
            ("metrics", &evaluation.metrics),
            ("loss_or_knn", &evaluation.baseline),
            ("mean", &evaluation.nothing),
        ] {
            table.row(vec![
                evaluation.fraction.to_string(),
                name.into(),
                evaluation.runs.to_string(),
                evaluation.lost.to_string(),
                evaluation.variants.to_string(),
                quality.accuracy_error.to_string(),
                quality.coverage.to_string(),
                cell(quality.spearman),
                cell(quality.spearman_without_lost),
                quality.brier.to_string(),
                cell(quality.area_under_roc),
            ]);
        }
    }
    table
}

/// The table of a run: every number of its result, by dotted key.
pub(super) fn of_run(record: &Record) -> Vec<Table> {
    let mut table = Table::new("result", &["key", "value"]);
    for (key, value) in &record.result {
        match value {
            serde_json::Value::Object(inner) => {
                for (name, value) in inner {
                    table.row(vec![format!("{key}.{name}"), plain(value)]);
                }
            }
            value => table.row(vec![key.clone(), plain(value)]),
        }
    }
    vec![table]
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_spreadsheets_take_for_formulas_are_text_and_numbers_stay() {
        let mut table = Table::new("runs", &["arm", "effect"]);
        for (name, value) in [("=1+1", "-0.5"), ("@SUM(A1)", "-inf"), ("-2 seeds", "1e-3")] {
            table.row(vec![name.into(), value.into()]);
        }
        let csv = table.csv();
        assert_eq!(
            csv,
            "arm,effect\n'=1+1,-0.5\n'@SUM(A1),-inf\n'-2 seeds,1e-3\n"
        );
    }
}
