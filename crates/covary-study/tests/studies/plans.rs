//! The plans that ship can be run, every one of their configurations.

use std::path::Path;

use covary_study::{Design, Plan};

#[test]
fn every_run_of_every_plan_is_a_valid_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let plans: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    assert!(plans.len() >= 4, "{plans:?}");
    for path in plans {
        let design =
            Design::new(Plan::read(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        let config = &design.arms[0].runs[0].config;
        // What is scored is scored with error bars.
        assert!(
            design.plan.seeds.len() >= 3 || !config.score,
            "{}",
            path.display()
        );
    }
}
