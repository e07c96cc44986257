//! The page around the sections: head, style, title, answer, contents.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::tables::Table;
use crate::statistics::Rate;

const STYLE: &str = include_str!("style.css");

/// A part of a report.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
}

/// What stands at the top.
pub(super) struct Head<'a> {
    pub(super) title: &'a str,
    pub(super) question: &'a str,
    pub(super) answer: &'a str,
    pub(super) notes: &'a [String],
    pub(super) facts: Vec<(&'static str, String)>,
}

pub(super) fn page(head: &Head<'_>, sections: &[Section], tables: &[Table]) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (head.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (head.title) }
                    @if !head.question.is_empty() { p.question { (head.question) } }
                    p.answer { (head.answer) }
                    @for note in head.notes { p.note { "Note: " (note) "." } }
                    dl.facts {
                        @for (name, value) in &head.facts { div { dt { (name) } dd { (value) } } }
                    }
                    nav { @for section in sections { a href=(format!("#{}", section.id)) { (section.title) } } }
                }
                main {
                    @for section in sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                footer {
                    p {
                        "Tables as CSV, in the folder beside this file: "
                        @for (index, table) in tables.iter().enumerate() {
                            @if index > 0 { ", " }
                            (table.name) ".csv"
                        }
                        "."
                    }
                }
            }
        }
    };
    markup.into_string()
}

/// A table whose first column is names and whose others are numbers, scrolling sideways where the page is narrow. Headers that begin with
/// a space are of words.
pub(super) fn grid(header: &[&str], rows: &[Vec<String>]) -> Markup {
    let class = |column: usize| header[column].starts_with(' ').then_some("words");
    html! {
        div.scroll {
            table {
                thead { tr { @for (column, cell) in header.iter().enumerate() { th class=[class(column)] { (cell.trim()) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in row.iter().enumerate() { td class=[class(column)] { (cell) } } }
                    }
                }
            }
        }
    }
}

/// A number of points with its sign.
pub(super) fn points(value: f64) -> String {
    format!("{:+.1}", 100.0 * value)
}

/// A share in %.
pub(super) fn percent(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

/// A value, or a dash.
pub(super) fn or_dash<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".into(), show)
}

/// The ground of a cell: the redder, the larger the share of lost runs.
pub(super) fn shade(lost: Rate) -> String {
    let share = if lost.n > 0 { lost.share() } else { 0.0 };
    format!(
        "background: color-mix(in srgb, var(--lost) {:.0}%, var(--card))",
        50.0 * share
    )
}

/// Three significant digits.
pub(super) fn significant(value: f64) -> String {
    let size = value.abs();
    if size >= 1e5 || (size > 0.0 && size < 1e-3) {
        return format!("{value:.1e}");
    }
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
