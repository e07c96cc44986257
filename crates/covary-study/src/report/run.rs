//! The report of a single run.

use maud::{Markup, html};
use serde_json::Value;

use super::page::{Head, Section, grid, or_dash, page, percent, significant};
use super::{Group, Report, configuration, curves, neighbours, spectrum, tables, terms};
use crate::{Record, RunState, StudyError};

pub(super) fn report(record: &Record) -> Result<Report, StudyError> {
    let title = format!("{}, seed {}", record.config.method, record.config.seed);
    let groups = [Group {
        name: title.clone(),
        records: vec![record],
    }];
    let mut sections = Vec::new();
    let mut add = |id: &'static str, title: &'static str, body: Markup| {
        sections.push(Section { id, title, body });
    };
    if !record.result.is_empty() {
        add("scores", "Scores", scores(record));
    }
    add("curves", "Learning curves", curves::panels(&groups, None));
    add("terms", "Terms", terms::panels(&groups));
    if let Some(body) = spectrum::panels(&groups) {
        add("spectra", "Spectra", body);
    }
    if let Some(body) = neighbours::pictures(&groups)? {
        add("neighbours", "Nearest neighbours", body);
    }
    let config = [(&*title, &record.config)];
    add(
        "formula",
        "Formula",
        configuration::formulae(config.into_iter()),
    );
    add(
        "machine",
        "Configuration and machine",
        configuration::machine(&groups, &record.config),
    );
    let tables = tables::of_run(record);
    let head = Head {
        title: &title,
        question: "",
        answer: &answer(record),
        notes: &[],
        facts: facts(record),
    };
    Ok(Report {
        html: page(&head, &sections, &tables),
        tables,
    })
}

fn answer(record: &Record) -> String {
    let RunState::Ended(outcome) = record.state else {
        let step = record.steps.steps().last().copied().unwrap_or(0);
        return format!("The run has no result yet; its last step is {step}.");
    };
    let score = |key: &str| {
        record
            .score(key)
            .map(|value| format!("{} %", percent(value)))
    };
    let scores = match (
        score("linear_top1"),
        score("random_linear_top1"),
        score("pixel_linear_top1"),
    ) {
        (Some(linear), Some(random), Some(pixel)) => format!(
            "Linear accuracy {linear}, against {random} of the untrained encoder and {pixel} of raw pixels. "
        ),
        _ => String::new(),
    };
    let space = |name: &str, space: &str, is_lost: bool| {
        let state = if is_lost { "is lost" } else { "is well" };
        let reason = record.verdict(space, "reason");
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        format!("The {name} {state}{reason}.")
    };
    let h = space(
        "representation h",
        "representation",
        outcome.has_lost_representation(),
    );
    let z = space("embedding z", "embedding", outcome.has_lost_embedding());
    format!("{scores}{h} {z}")
}

fn scores(record: &Record) -> Markup {
    let rows: Vec<Vec<String>> = [
        ("linear top-1, %", "linear_top1"),
        ("kNN top-1, k = 20, %", "knn_top1"),
        ("kNN top-1, k = 200, %", "knn200_top1"),
    ]
    .map(|(name, key)| {
        let of = |prefix: &str| or_dash(record.score(&format!("{prefix}{key}")), percent);
        vec![name.to_owned(), of(""), of("random_"), of("pixel_")]
    })
    .into();
    let spaces = [
        "representation",
        "embedding",
        "random_representation",
        "random_embedding",
        "pixel_metrics",
    ];
    let names = record
        .result
        .get("representation")
        .and_then(Value::as_object);
    let metrics: Vec<Vec<String>> = names
        .into_iter()
        .flat_map(|metrics| metrics.keys())
        .map(|name| {
            let values = spaces.map(|space| record.result.get(space)?.get(name)?.as_f64());
            let cells = values.into_iter().map(|value| or_dash(value, significant));
            std::iter::once(name.replace('_', " "))
                .chain(cells)
                .collect()
        })
        .collect();
    html! {
        (grid(&["", "trained", "untrained", "raw pixels"], &rows))
        h3 { "Collapse metrics on clean training images" }
        (grid(&["", "h trained", "z trained", "h untrained", "z untrained", "raw pixels"], &metrics))
    }
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let config = &record.config;
    let text = |key: &str| {
        record
            .result
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    vec![
        ("state", record.state.name().into()),
        (
            "data",
            text("data").unwrap_or_else(|| config.data.path.clone()),
        ),
        (
            "encoder",
            format!("{}, width {}", config.encoder.name, config.encoder.width),
        ),
        ("epochs", config.epochs.to_string()),
        ("batch", config.batch_size.to_string()),
        (
            "training",
            or_dash(record.train_s(), |seconds| format!("{seconds:.0} s")),
        ),
        (
            "images/s",
            or_dash(record.score("images_per_s"), |speed| format!("{speed:.0}")),
        ),
    ]
}
