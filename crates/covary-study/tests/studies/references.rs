//! Every statistic against scipy, statsmodels and scikit-learn on shared cases (`golden/make_statistics.py`).

use covary_study::statistics::{
    additive, area_under_roc, brier, clopper_pearson, critical_value, detectable_difference, line,
    logistic, paired, power, spearman, two_by_two,
};
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/statistics.json");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    cases[name].as_array().unwrap().clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn cells(value: &Value) -> Vec<bool> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_bool().unwrap())
        .collect()
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    let scale = theirs.abs().max(1e-3);
    assert!(
        (ours - theirs).abs() <= tolerance * scale,
        "{ours} is not {theirs}"
    );
}

#[test]
fn paired_t_is_scipys() {
    for case in cases("paired") {
        let ours = paired(&numbers(&case["left"]), &numbers(&case["right"]))
            .unwrap()
            .difference;
        close(ours.value, number(&case["difference"]), 1e-10);
        close(ours.p, number(&case["p"]), 1e-8);
        close(ours.low, number(&case["low"]), 1e-8);
        close(ours.high, number(&case["high"]), 1e-8);
        close(
            ours.degrees_of_freedom,
            number(&case["degrees_of_freedom"]),
            0.0,
        );
    }
}

#[test]
fn the_additive_model_is_that_of_statsmodels_and_so_is_holm() {
    for case in cases("additive") {
        let scores: Vec<_> = case["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect();
        let ours = additive(&scores).unwrap();
        close(ours.sigma, number(&case["sigma"]), 1e-9);
        close(
            ours.degrees_of_freedom,
            number(&case["degrees_of_freedom"]),
            0.0,
        );
        for (index, effect) in ours.effects.iter().enumerate() {
            let theirs = |key: &str| number(&case[key][index]);
            close(effect.difference.value, theirs("difference"), 1e-9);
            close(
                effect.difference.standard_error,
                theirs("standard_error"),
                1e-9,
            );
            close(effect.difference.p, theirs("p"), 1e-8);
            close(effect.pointwise[0], theirs("low"), 1e-8);
            close(effect.pointwise[1], theirs("high"), 1e-8);
            close(effect.holm_p, theirs("holm"), 1e-8);
        }
    }
}

#[test]
fn with_one_variant_the_additive_model_is_the_paired_t() {
    for case in cases("paired") {
        let (left, right) = (numbers(&case["left"]), numbers(&case["right"]));
        let paired = paired(&left, &right).unwrap().difference;
        let pooled = additive(&[right, left]).unwrap().effects[0].difference;
        close(pooled.low, paired.low, 1e-9);
        close(pooled.p, paired.p, 1e-9);
    }
}

#[test]
fn factorial_effects_are_those_of_a_randomised_block_design_in_statsmodels() {
    for case in cases("factorial") {
        let cell = |a: usize, b: usize| numbers(&case["cells"][a][b]);
        let ours = two_by_two(&[[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]]).unwrap();
        for (name, ours) in [
            ("a", ours.a),
            ("b", ours.b),
            ("interaction", ours.interaction),
        ] {
            close(ours.value, number(&case[name]["value"]), 1e-9);
            close(ours.p, number(&case[name]["p"]), 1e-8);
            close(ours.low, number(&case[name]["low"]), 1e-8);
            close(ours.high, number(&case[name]["high"]), 1e-8);
        }
    }
}

#[test]
fn dunnetts_intervals_are_those_of_the_multivariate_t() {
    for case in cases("dunnett") {
        let (m, df) = (
            case["m"].as_u64().unwrap() as usize,
            number(&case["degrees_of_freedom"]),
        );
        close(critical_value(m, df), number(&case["critical_value"]), 1e-5);
    }
}

#[test]
fn power_is_that_of_statsmodels() {
    for case in cases("power") {
        let df = number(&case["degrees_of_freedom"]);
        close(
            power(number(&case["noncentrality"]), df),
            number(&case["power"]),
            1e-5,
        );
        let detectable = detectable_difference(number(&case["standard_error"]), df);
        close(detectable, number(&case["detectable"]), 1e-4);
    }
    for case in cases("pooled_power") {
        let df = number(&case["degrees_of_freedom"]);
        close(
            power(number(&case["noncentrality"]), df),
            number(&case["power"]),
            1e-5,
        );
    }
}

#[test]
fn exact_intervals_of_a_rate_are_those_of_statsmodels() {
    for case in cases("clopper_pearson") {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let ours = clopper_pearson(count("k"), count("n"));
        close(ours.low, number(&case["low"]), 1e-8);
        close(ours.high, number(&case["high"]), 1e-8);
    }
}

#[test]
fn ranks_and_scores_are_those_of_scipy_and_scikit_learn() {
    for case in cases("ranks") {
        let (x, y, cases) = (
            numbers(&case["x"]),
            numbers(&case["y"]),
            cells(&case["case"]),
        );
        close(spearman(&x, &y).unwrap(), number(&case["spearman"]), 1e-10);
        close(
            area_under_roc(&x, &cases).unwrap(),
            number(&case["area_under_roc"]),
            1e-10,
        );
        close(
            brier(&numbers(&case["probability"]), &cases),
            number(&case["brier"]),
            1e-10,
        );
    }
}

#[test]
fn regressions_are_those_of_scikit_learn() {
    for case in cases("models") {
        let (x, cases) = (numbers(&case["x"]), cells(&case["case"]));
        let model = logistic(&x, &cases).unwrap();
        let line = line(&x, &numbers(&case["y"])).unwrap();
        for (index, at) in numbers(&case["at"]).into_iter().enumerate() {
            close(model.at(at), number(&case["probability"][index]), 1e-5);
            close(line.at(at), number(&case["height"][index]), 1e-9);
        }
    }
}
