//! A loss in words: its formula with every constant filled in, what leaves each term as it is, and its value at complete collapse.

use std::fmt::Write;

use crate::branches::ViewCount;
use crate::method::{Directions, Normalise, StopGradient};
use crate::objective::Objective;
use crate::term::{Collapse, Invariances, Scope};
use crate::weighted::WeightedTerm;

/// What is known about a term before it sees an embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct TermDescription {
    /// Its name in the recipe.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its formula with all settings filled in.
    pub formula: String,
    /// γ, where it is a hinge on the standard deviation.
    pub hinge: Option<f64>,
    /// What leaves its value as it is.
    pub invariances: Invariances,
    /// Its value at complete collapse, both directions included; none where that depends on the vector.
    pub collapsed: Option<f64>,
}

impl Objective {
    /// Its terms for batches of `n` rows and embeddings of width `d`; collapse is taken to have lasted for `steps` steps.
    pub fn describe(&self, n: usize, d: usize, steps: u64) -> Vec<TermDescription> {
        let collapse = Collapse {
            n,
            d,
            views: self.needs().embedding.into_iter().filter(|z| *z).count(),
            steps,
        };
        self.terms
            .iter()
            .map(|term| TermDescription {
                name: term.name.clone(),
                weight: term.weight,
                formula: term.directions[0].formula(),
                hinge: term.directions[0].hinge(),
                invariances: term.directions[0].invariances(),
                collapsed: self.collapsed(term, collapse),
            })
            .collect()
    }

    fn collapsed(&self, term: &WeightedTerm, collapse: Collapse) -> Option<f64> {
        let value = term.directions[0].collapsed(collapse)?;
        Some(match term.directions[0].scope() {
            Scope::Views => value,
            Scope::Pair | Scope::X => value * self.wiring.factor() as f64,
        })
    }

    /// The loss in words, for batches of `n` rows and embeddings of width `d`.
    pub fn explain(&self, n: usize, d: usize) -> String {
        let terms = self.describe(n, d, u64::MAX);
        let weighted: Vec<_> = terms
            .iter()
            .filter(|term| term.weight != 0.0)
            .map(|term| format!("{} · {}", term.weight, term.name))
            .collect();
        let mut text = format!("L = {}\n{}\n", weighted.join(" + "), self.explain_pairs());
        text.push_str(match self.normalise {
            Normalise::None => "",
            Normalise::L2 => "embeddings are brought to length 1 first\n",
            Normalise::Standardise => {
                "embeddings are standardised over the batch first, each view by itself\n"
            }
            Normalise::Whiten => {
                "embeddings are whitened over the batch first, each view by itself\n"
            }
        });
        for (term, weighted) in terms.iter().zip(&self.terms) {
            let _ = write!(text, "\n{} = {}\n", term.name, term.formula);
            if let Some(schedule) = weighted.schedule {
                let _ = writeln!(
                    text,
                    "  weight from {} to {} over the first {} of the steps",
                    schedule.start, weighted.weight, schedule.until
                );
            }
            if let Some(stopped) = weighted.stopped {
                let argument = weighted.directions[0].scope().arguments()[stopped];
                let _ = writeln!(text, "  no gradient through {argument}");
            }
            let _ = writeln!(text, "  {}", term.properties());
        }
        let total = terms
            .iter()
            .filter(|term| term.weight != 0.0)
            .map(|term| Some(term.weight * term.collapsed?))
            .sum::<Option<f64>>();
        let total = total.map_or_else(
            || "depends on the constant".into(),
            |total| format!("tends to {}", rounded(total)),
        );
        let _ = writeln!(
            text,
            "\nat complete collapse, with N = {n} and D = {d}, L {total}"
        );
        text
    }

    fn explain_pairs(&self) -> String {
        let x = match (self.wiring.has_predictor, self.stop_gradient) {
            (true, StopGradient::X) => "prediction, without gradient,",
            (true, _) => "prediction",
            (false, StopGradient::X) => "embedding, without gradient,",
            (false, _) => "embedding",
        };
        let y = if self.wiring.has_target {
            "momentum target's embedding, without gradient,"
        } else if self.stop_gradient == StopGradient::Y {
            "embedding, without gradient,"
        } else {
            "embedding"
        };
        if !self.wiring.views.is_pair() {
            return self.explain_many(x, y);
        }
        match (self.wiring.symmetric, self.wiring.directions) {
            (false, _) => format!("x = {x} of view a, y = {y} of view b"),
            (true, Directions::Mean) => {
                format!("x = {x} of one view, y = {y} of the other: mean of both directions")
            }
            (true, Directions::Sum) => {
                format!("x = {x} of one view, y = {y} of the other: sum of both directions")
            }
        }
    }

    fn explain_many(&self, x: &str, y: &str) -> String {
        let ViewCount { first, all } = self.wiring.views;
        let other = if self.wiring.is_one_kind() || first == all {
            "each other view".into()
        } else {
            format!("each other of the first {first} views")
        };
        let mean = match self.wiring.directions {
            Directions::Mean => "mean",
            Directions::Sum => "twice the mean",
        };
        format!(
            "x = {x} of each of {all} views, y = {y} of {other}: {mean} over the {} pairs; a sum over views is twice their mean",
            self.wiring.pairs().len()
        )
    }
}

impl TermDescription {
    fn properties(&self) -> String {
        let Invariances {
            exchange,
            rotation,
            scale,
            translation,
        } = self.invariances;
        let names = [
            (exchange, "exchange of the views"),
            (rotation, "rotation"),
            (scale, "scale"),
            (translation, "translation"),
        ];
        let names: Vec<_> = names
            .into_iter()
            .filter_map(|(holds, name)| holds.then_some(name))
            .collect();
        let unchanged = if names.is_empty() {
            "nothing".into()
        } else {
            names.join(", ")
        };
        let collapsed = self
            .collapsed
            .map_or_else(|| "depends on the constant".into(), rounded);
        format!("unchanged by: {unchanged}; at collapse: {collapsed}")
    }
}

/// Six digits after the point at most.
fn rounded(value: f64) -> String {
    // Adding 0 takes the sign off a negative zero.
    ((value * 1e6).round() / 1e6 + 0.0).to_string()
}
