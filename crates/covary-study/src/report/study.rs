//! The report of a study.

use maud::{Markup, html};

use super::page::{Head, Section, grid, or_dash, page, percent};
use super::{
    Group, Report, configuration, curves, effects, expectations, factorial, forecast, margin,
    neighbours, risk, spectrum, tables, terms,
};
use crate::forecast::{Evaluation, evaluate};
use crate::{Analysis, ArmSummary, RunState, Spread, Study, StudyError};

/// Arms whose curves and formulae are shown, at most, so that the page stays under 5 MB.
const SHOWN: usize = 40;

pub(super) fn report(study: &Study) -> Result<Report, StudyError> {
    let analysis = Analysis::of(study);
    // Too few variants for a forecast is no fault of a study.
    let forecasts = evaluate(study).unwrap_or_default();
    let mut groups = groups(study);
    let mut notes = analysis.warnings.clone();
    if groups.len() > SHOWN {
        notes.push(format!(
            "curves and formulae are those of the first {SHOWN} of {} arms",
            groups.len()
        ));
        groups.truncate(SHOWN);
    }
    let sections = sections(study, &analysis, &forecasts, &groups)?;
    let tables = tables::of_study(&analysis, &forecasts);
    let head = Head {
        title: &analysis.title,
        question: &study.design.plan.question,
        answer: &analysis.answer,
        notes: &notes,
        facts: facts(study, &analysis),
    };
    Ok(Report {
        html: page(&head, &sections, &tables),
        tables,
    })
}

/// The arms whose runs were begun; of a map, the technique at its own settings.
fn groups(study: &Study) -> Vec<Group<'_>> {
    let design = &study.design;
    let own = |map: &crate::TechniqueMap| {
        let nearest = |factors: &[f64]| {
            let distance = |factor: &f64| {
                if *factor > 0.0 {
                    factor.ln().abs()
                } else {
                    f64::MAX
                }
            };
            let places = (0..factors.len())
                .min_by(|a, b| distance(&factors[*a]).total_cmp(&distance(&factors[*b])));
            places.unwrap_or(0)
        };
        map.cells[nearest(&map.weight)][nearest(&map.lr)]
    };
    let shown: Vec<(usize, &str)> = if design.maps.is_empty() {
        design
            .arms
            .iter()
            .enumerate()
            .map(|(index, arm)| (index, &*arm.name))
            .collect()
    } else {
        design
            .maps
            .iter()
            .map(|map| (own(map), &*map.name))
            .collect()
    };
    shown
        .into_iter()
        .map(|(index, name)| Group {
            name: name.to_owned(),
            records: study.records_of(&design.arms[index]).collect(),
        })
        .filter(|group| !group.records.is_empty())
        .collect()
}

fn sections(
    study: &Study,
    analysis: &Analysis,
    forecasts: &[Evaluation],
    groups: &[Group<'_>],
) -> Result<Vec<Section>, StudyError> {
    let mut sections = Vec::new();
    let mut add = |id: &'static str, title: &'static str, body: Markup| {
        sections.push(Section { id, title, body });
    };
    let is_map = !analysis.margins.is_empty();
    if is_map {
        add("margins", "Margins", margin::section(&analysis.margins));
    } else {
        if !study.design.variants.is_empty() {
            add("effects", "Effects", effects::section(analysis));
        }
        add("risk", "Accuracy and risk", accuracy(analysis));
    }
    if !analysis.contrasts.is_empty() {
        add(
            "expectations",
            "Expectations",
            expectations::section(analysis),
        );
    }
    if !analysis.factorials.is_empty() {
        add("factorials", "Factorials", factorial::section(analysis));
    }
    if let Some(body) = effects::sight(analysis) {
        add("sight", "What this study can see", body);
    }
    let base = groups.first().filter(|_| !is_map);
    add("curves", "Learning curves", curves::panels(groups, base));
    add("terms", "Terms", terms::panels(groups));
    if let Some(body) = spectrum::panels(groups) {
        add("spectra", "Spectra", body);
    }
    if let Some(body) = neighbours::pictures(groups)? {
        add("neighbours", "Nearest neighbours", body);
    }
    if !forecasts.is_empty() {
        add(
            "forecast",
            "How early one could have known",
            forecast::section(forecasts),
        );
    }
    let configs = groups
        .iter()
        .map(|group| (&*group.name, &group.records[0].config));
    add(
        "formulae",
        "Formulae and differences",
        configuration::formulae(configs),
    );
    let config = &study.design.arms[0].runs[0].config;
    add(
        "machine",
        "Configuration and machine",
        configuration::machine(groups, config),
    );
    Ok(sections)
}

fn accuracy(analysis: &Analysis) -> Markup {
    let arms: Vec<&ArmSummary> = analysis.arms.iter().collect();
    let spread = |spread: Option<Spread>| {
        or_dash(spread, |spread| match spread.standard_deviation {
            Some(deviation) => format!("{} ± {}", percent(spread.mean), percent(deviation)),
            None => percent(spread.mean),
        })
    };
    let rows: Vec<Vec<String>> = arms
        .iter()
        .map(|arm| {
            vec![
                arm.name.clone(),
                arm.lost.n.to_string(),
                spread(arm.linear),
                spread(arm.knn),
                spread(arm.held_out),
                spread(arm.linear_of_lost),
                format!("{} of {}", arm.lost.k, arm.lost.n),
                arm.embedding_lost.k.to_string(),
                arm.representation_lost.k.to_string(),
                format!("{:.0}–{:.0} %", 100.0 * arm.lost.low, 100.0 * arm.lost.high),
                or_dash(arm.relative_std, |value| format!("{value:.2}")),
                or_dash(arm.participation_ratio, |value| format!("{value:.1}")),
                or_dash(arm.representation_participation_ratio, |value| {
                    format!("{value:.1}")
                }),
                or_dash(arm.first_collapse_step, |step| format!("{step:.0}")),
                or_dash(arm.train_s, |seconds| format!("{seconds:.0}")),
            ]
        })
        .collect();
    let header = [
        "",
        "runs",
        "linear, %",
        "kNN, %",
        "held-out kNN, %",
        "linear of lost, %",
        "lost",
        "z lost",
        "h lost",
        "95 % interval",
        "relative std of z",
        "participation ratio of z",
        "participation ratio of h",
        "first collapsed at step",
        "training, s",
    ];
    html! {
        (risk::plot(&arms, analysis.score))
        p.caption {
            "Lost: " (analysis.lost.words()) " collapsed by the rule of each run's result (relative std below 0.1: a constant; participation \
             ratio below 2: about one direction), or a number was not finite. The loss sees the embedding z; the representation h is what \
             the encoder gives. Means and standard deviations are of the runs that were not lost."
        }
        (grid(&header, &rows))
    }
}

fn facts(study: &Study, analysis: &Analysis) -> Vec<(&'static str, String)> {
    let runs = study.design.runs();
    let ended = runs
        .iter()
        .filter(|(_, run)| study.state(&run.key).has_ended())
        .count();
    let count = |is: fn(RunState) -> bool| {
        let states = runs.iter().map(|(_, run)| study.state(&run.key));
        states.filter(|state| is(*state)).count().to_string()
    };
    let seeds: Vec<_> = analysis.seeds.iter().map(u64::to_string).collect();
    let data = study
        .records()
        .find_map(|record| record.result.get("data")?.as_str().map(str::to_owned));
    let config = &study.design.arms[0].runs[0].config;
    vec![
        ("runs", format!("{ended} of {}", runs.len())),
        ("embedding lost", count(RunState::has_lost_embedding)),
        (
            "representation lost",
            count(RunState::has_lost_representation),
        ),
        ("diverged", count(|state| state == RunState::Diverged)),
        ("seeds", seeds.join(", ")),
        ("data", data.unwrap_or_else(|| config.data.path.clone())),
        (
            "encoder",
            format!("{}, width {}", config.encoder.name, config.encoder.width),
        ),
        ("epochs", config.epochs.to_string()),
        ("batch", config.batch_size.to_string()),
    ]
}
