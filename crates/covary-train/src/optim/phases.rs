//! A schedule written as phases, each a share of the run over which a factor goes from one value to another.
//!
//! ```toml
//! [[schedule.phases]]
//! until = 0.3            # share of all steps at which the phase ends; the last ends at 1
//! shape = "linear"       # or "cosine", half a cosine from one value to the other, or "constant"
//! from = 0.2             # factors of the learning rate; `from` is where the phase before ended unless given, `to` is `from`
//! to = 1.0
//! ```
//! Phases end at whole steps, rounded down. A phase of steps m to n - 1 has at step i the way `(i - m) / (n - m)`: it reaches `to` at step
//! n, the first of the next one.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A phase as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseConfig {
    /// Share of all steps at which it ends, in (0, 1].
    pub until: f64,
    /// How it gets from one value to the other.
    pub shape: PhaseShape,
    /// Factor at its first step, ≥ 0. Default: where the phase before ended; the first begins at 0 unless it is constant, at 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Factor at its end, ≥ 0. Default: `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
}

/// How a phase gets from one value to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseShape {
    /// Along a line.
    Linear,
    /// Along half a cosine.
    Cosine,
    /// Not at all.
    Constant,
}

/// A phase in steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Phase {
    first: u64,
    /// Step after the last.
    end: u64,
    shape: PhaseShape,
    from: f64,
    to: f64,
}

/// The phases of a run.
pub(super) fn phases(configs: &[PhaseConfig], total_steps: u64) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for config in configs {
        let last = phases.last().copied();
        let begins = match (last, config.shape) {
            (Some(last), _) => last.to,
            (None, PhaseShape::Constant) => 1.0,
            (None, _) => 0.0,
        };
        let from = config.from.unwrap_or(begins);
        phases.push(Phase {
            first: last.map_or(0, |last| last.end),
            end: (total_steps as f64 * config.until) as u64,
            shape: config.shape,
            from,
            to: config.to.unwrap_or(from),
        });
    }
    phases
}

/// The factor of a step, counted from 0; behind the last phase it stays where that ended.
pub(super) fn factor(phases: &[Phase], step: u64) -> f64 {
    let Some(phase) = phases.iter().find(|phase| step < phase.end) else {
        return phases.last().map_or(1.0, |last| last.to);
    };
    let way = (step - phase.first) as f64 / (phase.end - phase.first) as f64;
    let way = match phase.shape {
        PhaseShape::Linear => way,
        PhaseShape::Cosine => 0.5 * (1.0 - (PI * way).cos()),
        PhaseShape::Constant => 0.0,
    };
    phase.from + (phase.to - phase.from) * way
}

/// Key and reason of what makes no schedule.
pub(crate) fn check(configs: &[PhaseConfig]) -> Result<(), (String, String)> {
    let mut before = 0.0;
    for (index, phase) in configs.iter().enumerate() {
        let bad = |key: &str, reason: String| Err((format!("phases[{index}].{key}"), reason));
        let until = phase.until;
        if !(before < until && until <= 1.0) {
            return bad(
                "until",
                format!("{until} is not above {before} and at most 1"),
            );
        }
        for (key, value) in [("from", phase.from), ("to", phase.to)] {
            if let Some(value) = value.filter(|value| !(*value >= 0.0 && value.is_finite())) {
                return bad(key, format!("{value} is not a number from 0 on"));
            }
        }
        if phase.shape == PhaseShape::Constant && phase.to.is_some_and(|to| phase.from != Some(to))
        {
            return bad(
                "to",
                "a constant phase ends where it begins: leave it out".into(),
            );
        }
        before = until;
    }
    if configs.is_empty() || before >= 1.0 {
        Ok(())
    } else {
        let reason = format!("the last phase ends at {before}, not at 1");
        Err((format!("phases[{}].until", configs.len() - 1), reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<PhaseConfig> {
        #[derive(Deserialize)]
        struct Schedule {
            phases: Vec<PhaseConfig>,
        }
        toml::from_str::<Schedule>(text).unwrap().phases
    }

    #[test]
    fn phases_go_from_value_to_value() {
        let configs = parse(
            "phases = [{ until = 0.2, shape = \"linear\", from = 0.2, to = 1.0 }, { until = 0.5, shape = \"constant\" }, \
             { until = 1.0, shape = \"cosine\", to = 0.1 }]",
        );
        check(&configs).unwrap();
        let phases = phases(&configs, 100);
        for (step, expected) in [
            (0, 0.2),
            (10, 0.6),
            (20, 1.0),
            (49, 1.0),
            (50, 1.0),
            (75, 0.55),
            (100, 0.1),
        ] {
            let found = factor(&phases, step);
            assert!((found - expected).abs() < 1e-12, "{step}: {found}");
        }
    }

    #[test]
    fn phases_that_do_not_fill_the_run_in_order_are_refused() {
        for (text, key) in [
            ("[{ until = 0.5, shape = \"linear\" }]", "phases[0].until"),
            (
                "[{ until = 0.5, shape = \"linear\" }, { until = 0.4, shape = \"linear\" }]",
                "phases[1].until",
            ),
            (
                "[{ until = 1.0, shape = \"linear\", from = -1.0 }]",
                "phases[0].from",
            ),
            (
                "[{ until = 1.0, shape = \"constant\", from = 1.0, to = 0.5 }]",
                "phases[0].to",
            ),
        ] {
            let (found, _) = check(&parse(&format!("phases = {text}"))).unwrap_err();
            assert_eq!(found, key, "{text}");
        }
    }
}
