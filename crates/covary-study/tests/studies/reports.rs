//! Reports stand alone, escape what they are given and stay small.

use std::path::{Path, PathBuf};

use covary_study::report::Report;

use crate::made_up::{self, PLAN, truth};

const LARGEST: usize = 5_000_000;

/// Where `studies/check_report.py` finds the pages to look at.
fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn stands_alone(html: &str) {
    assert!(html.len() < LARGEST, "{} bytes", html.len());
    for attribute in ["src=\"", "href=\"", "url(", "@import"] {
        for (at, _) in html.match_indices(attribute) {
            let target = &html[at + attribute.len()..];
            let is_own = target.starts_with("data:") || target.starts_with('#');
            assert!(is_own, "{attribute}{}", &target[..target.len().min(60)]);
        }
    }
    assert!(!html.contains("<script"), "a report has no script");
    for tag in html.split('<').filter_map(|rest| rest.split('>').next()) {
        assert!(tag.matches(" class=\"").count() < 2, "two classes: <{tag}>");
    }
}

#[test]
fn a_studys_report_stands_alone_and_escapes_names() {
    let folder = tempfile::tempdir().unwrap();
    made_up::study(folder.path(), PLAN, truth);
    let report = Report::of_folder(folder.path()).unwrap();
    stands_alone(&report.html);
    assert!(
        report
            .html
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;")
    );
    for id in [
        "effects",
        "risk",
        "expectations",
        "factorials",
        "sight",
        "curves",
        "terms",
        "spectra",
        "neighbours",
        "forecast",
        "formulae",
        "machine",
    ] {
        assert!(
            report.html.contains(&format!("<section id=\"{id}\">")),
            "{id}"
        );
    }
    let written = report.write(&page("made-up.html")).unwrap();
    let names: Vec<_> = written[1..]
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy())
        .collect();
    for name in [
        "runs.csv",
        "arms.csv",
        "effects.csv",
        "power.csv",
        "expectations.csv",
        "factorials.csv",
        "forecast.csv",
    ] {
        assert!(names.contains(&name.into()), "{name} is not in {names:?}");
    }
    let runs = std::fs::read_to_string(page("made-up-tables/runs.csv")).unwrap();
    assert_eq!(runs.lines().count(), 1 + 9 * 3);
    assert!(runs.contains("\"worse, \"\"quoted\"\" & <script>alert(1)</script>\",0,"));
}

#[test]
fn a_report_of_margins_has_maps() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "kind = \"margin\"\nseeds = [0]\n[base]\n[[variant]]\nname = \"vicreg\"\nregulariser = [\"variance\"]\n[[variant]]\nname = \"byol\"\nset = [\"method=byol\"]\n";
    made_up::study(folder.path(), plan, |arm| {
        made_up::healthy(if arm.contains("lr x 10") { 0.1 } else { 0.5 })
    });
    let report = Report::of_folder(folder.path()).unwrap();
    stands_alone(&report.html);
    assert!(report.html.contains("<section id=\"margins\">"));
    report.write(&page("made-up-margins.html")).unwrap();
    assert!(page("made-up-margins-tables/margins.csv").is_file());
}

#[test]
fn a_run_has_a_report_of_its_own_and_an_unfinished_one_too() {
    let folder = tempfile::tempdir().unwrap();
    made_up::study(folder.path(), PLAN, truth);
    let runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
    for run in runs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
    {
        let report = Report::of_folder(&run).unwrap();
        stands_alone(&report.html);
        report.write(&page("made-up-run.html")).unwrap();
        let _ = std::fs::remove_file(run.join("result.json"));
        let _ = std::fs::remove_file(run.join("epochs.jsonl"));
        stands_alone(&Report::of_folder(&run).unwrap().html);
    }
}

#[test]
fn a_folder_with_neither_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::of_folder(folder.path()).unwrap_err();
    assert!(error.to_string().contains("neither a run"), "{error}");
}
