//! What tells two losses apart, in words.
//!
//! Whether two forms of a term are the same up to a factor is tried, not derived: both are evaluated on the same random embeddings over
//! several steps, and where values and gradients keep one ratio, that is the factor.

use crate::error::LossError;
use crate::method::{BranchConfig, MethodConfig, PredictorConfig, TargetConfig};
use crate::objective::Objective;
use crate::outputs::BranchOutputs;
use crate::tables::differences;
use crate::trial::numbers;

/// Rows, width and steps of the trial.
const TRIAL: (usize, usize, u64) = (24, 6, 3);
/// Largest relative deviation of ratios that count as one.
const SAME: f64 = 1e-3;

/// The differences of `b` from `a`, a sentence each; none where the losses are the same.
///
/// # Errors
/// [`LossError`] where a loss cannot be built.
pub fn difference(
    a: (&str, &MethodConfig),
    b: (&str, &MethodConfig),
) -> Result<Vec<String>, LossError> {
    let mut sentences = Vec::new();
    let (a_terms, b_terms) = (Described::new(a.1)?, Described::new(b.1)?);
    for term in &a_terms.terms {
        match b_terms.terms.iter().find(|other| other.name == term.name) {
            None => sentences.push(format!(
                "{}: only in {} (weight {}): {}",
                term.name, a.0, term.weight, term.formula
            )),
            Some(other) => sentences.extend(compare((a.0, term), (b.0, other))),
        }
    }
    for term in &b_terms.terms {
        if !a_terms.terms.iter().any(|other| other.name == term.name) {
            sentences.push(format!(
                "{}: only in {} (weight {}): {}",
                term.name, b.0, term.weight, term.formula
            ));
        }
    }
    sentences.extend(differences(&a.1.switches(), &b.1.switches()));
    Ok(sentences)
}

struct Described {
    terms: Vec<Trial>,
}

/// A term with what came of it in the trial.
struct Trial {
    name: String,
    weight: f64,
    formula: String,
    numbers: Vec<f64>,
}

impl Described {
    fn new(method: &MethodConfig) -> Result<Self, LossError> {
        let (n, d, steps) = TRIAL;
        // Every term on both views with all gradients, whatever the branches do.
        let method = MethodConfig {
            branches: BranchConfig::default(),
            predictor: PredictorConfig::default(),
            target: TargetConfig::default(),
            ..method.clone()
        };
        let mut objective = Objective::new(&method)?;
        let descriptions = objective.describe(n, d, 1);
        let mut terms: Vec<Trial> = descriptions
            .into_iter()
            .map(|term| Trial {
                name: term.name,
                weight: term.weight,
                formula: term.formula,
                numbers: Vec::new(),
            })
            .collect();
        for step in 0..steps {
            let [a, b] = [2 * step, 2 * step + 1].map(|seed| numbers(seed, n * d));
            let outputs = BranchOutputs::embeddings(n, d, &[&a, &b]);
            let evaluation = objective.evaluate(&outputs, 1.0)?;
            let found = evaluation.terms.iter().zip(&evaluation.term_gradients);
            for (trial, (value, gradients)) in terms.iter_mut().zip(found) {
                trial.numbers.push(value.value);
                let gradients = gradients.embedding.iter().flatten().flatten();
                let weight = value.weight;
                trial
                    .numbers
                    .extend(gradients.map(|g| f64::from(*g) / weight));
            }
        }
        Ok(Self { terms })
    }
}

fn compare((a_name, a): (&str, &Trial), (b_name, b): (&str, &Trial)) -> Option<String> {
    let Trial { name, formula, .. } = b;
    let same_weight = a.weight.to_bits() == b.weight.to_bits();
    if a.formula == b.formula {
        return (!same_weight).then(|| {
            format!(
                "{name}: weight {} in {a_name}, {} in {b_name}",
                a.weight, b.weight
            )
        });
    }
    let weights = format!("weight {} in {a_name}, {} in {b_name}", a.weight, b.weight);
    Some(match ratio(&a.numbers, &b.numbers) {
        Some(ratio) => {
            let whole = ratio * b.weight / a.weight;
            format!(
                "{name}: that of {b_name} is {} times that of {a_name}, and with the weights ({weights}) {} times as heavy; \
                 {a_name}: {}; {b_name}: {formula}",
                rounded(ratio),
                rounded(whole),
                a.formula
            )
        }
        None => format!(
            "{name}: another function ({weights}); {a_name}: {}; {b_name}: {formula}",
            a.formula
        ),
    })
}

/// The one ratio of all numbers of `b` to those of `a`, by least squares, where there is one.
fn ratio(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    let ratio = dot(a, b) / dot(a, a);
    let largest = b.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
    let off = a.iter().zip(b).map(|(a, b)| (b - ratio * a).abs());
    (off.fold(0.0, f64::max) <= SAME * largest).then_some(ratio)
}

fn rounded(value: f64) -> String {
    ((value * 1e3).round() / 1e3).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn against(a: &str, b: &str) -> Vec<String> {
        let method = |name: &str| MethodConfig::preset(name).unwrap();
        difference((a, &method(a)), (b, &method(b))).unwrap()
    }

    #[test]
    fn the_paper_s_vicreg_has_twice_the_official_variance_and_nothing_else() {
        let sentences = against("vicreg@official", "vicreg@paper");
        assert_eq!(sentences.len(), 1, "{sentences:?}");
        assert!(
            sentences[0]
                .starts_with("variance: that of vicreg@paper is 2 times that of vicreg@official"),
            "{sentences:?}"
        );
    }

    #[test]
    fn other_functions_other_weights_and_missing_terms_are_told_apart() {
        let sentences = against("tico@lightly", "tico@sayannag");
        assert!(
            sentences
                .iter()
                .any(|s| s.contains("weight 8 in tico@lightly, 20 in tico@sayannag"))
        );
        assert!(against("vicreg", "vicreg").is_empty());
        let sentences = against("vicreg", "vicreg-correlation");
        assert!(
            sentences[0].starts_with("covariance: another function"),
            "{sentences:?}"
        );
        let sentences = against("barlow-twins", "barlow-twins-hinge");
        assert!(
            sentences[0].starts_with("variance: only in barlow-twins-hinge"),
            "{sentences:?}"
        );
    }
}
