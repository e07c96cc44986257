//! From a plan to runs: every arm (base, variant, cell) with its seeds, each configuration resolved and checked, each run with its key.

use covary_loss::Objective;
use covary_train::config::TrainConfig;

use crate::plan::{Factorial, Kind, Level, Plan};
use crate::{StudyError, key};

/// A run that the plan asks for.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// Its seed.
    pub seed: u64,
    /// Hash of its configuration.
    pub key: String,
    /// The whole configuration.
    pub config: TrainConfig,
}

/// Runs that differ in their seed alone.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What is laid over the base.
    pub changes: Vec<String>,
    /// Its runs, in the order of the plan's seeds.
    pub runs: Vec<PlannedRun>,
}

/// The four cells of a factorial, as indices of arms: `cells[a][b]`.
#[derive(Debug, Clone)]
pub struct FactorialArms {
    /// Its name.
    pub name: String,
    /// Names of the first factor's levels.
    pub a: [String; 2],
    /// Names of the second factor's levels.
    pub b: [String; 2],
    /// Arms of the cells.
    pub cells: [[usize; 2]; 2],
}

/// The arms of a technique's map: `cells[weight][lr]`.
#[derive(Debug, Clone)]
pub struct TechniqueMap {
    /// The technique.
    pub name: String,
    /// Terms whose weights move.
    pub regulariser: Vec<String>,
    /// Factors of the learning rate.
    pub lr: Vec<f64>,
    /// Factors of the weights.
    pub weight: Vec<f64>,
    /// Arms of the cells.
    pub cells: Vec<Vec<usize>>,
}

/// A plan with everything resolved.
#[derive(Debug, Clone)]
pub struct Design {
    /// The plan.
    pub plan: Plan,
    /// All arms; in a study of effects the first is the base.
    pub arms: Vec<Arm>,
    /// Arms of the single changes.
    pub variants: Vec<usize>,
    /// Factorials.
    pub factorials: Vec<FactorialArms>,
    /// Maps of a study of margins.
    pub maps: Vec<TechniqueMap>,
}

impl Design {
    /// Resolves a plan.
    ///
    /// # Errors
    /// [`StudyError::Arm`] for a configuration that cannot be run, [`StudyError::Plan`] for arms that are the same or do not exist.
    pub fn new(plan: Plan) -> Result<Self, StudyError> {
        let mut design = Self {
            plan,
            arms: Vec::new(),
            variants: Vec::new(),
            factorials: Vec::new(),
            maps: Vec::new(),
        };
        match design.plan.kind {
            Kind::Effects => design.lay_out_effects()?,
            Kind::Margin => design.lay_out_maps()?,
        }
        design.check_contrasts()?;
        Ok(design)
    }

    /// Every run once, seed by seed, so that what is done first can be compared first: index of its arm, and the run.
    pub fn runs(&self) -> Vec<(usize, &PlannedRun)> {
        let mut seen = std::collections::BTreeSet::new();
        let mut runs = Vec::new();
        for seed in 0..self.plan.seeds.len() {
            for (index, arm) in self.arms.iter().enumerate() {
                let run = &arm.runs[seed];
                if seen.insert(&run.key) {
                    runs.push((index, run));
                }
            }
        }
        runs
    }

    /// The arm of this name.
    pub fn arm(&self, name: &str) -> Option<usize> {
        self.arms.iter().position(|arm| arm.name == name)
    }

    fn lay_out_effects(&mut self) -> Result<(), StudyError> {
        let base = self.resolve(self.plan.base.name.clone(), String::new(), Vec::new())?;
        self.arms.push(base);
        for change in self.plan.variant.clone() {
            let arm = self.resolve(change.name, change.about, change.set)?;
            if let Some(same) = self.arms.iter().find(|other| same_runs(other, &arm)) {
                let reason = format!("the same configuration as {}", same.name);
                return Err(self.plan.wrong(&arm.name, reason));
            }
            self.variants.push(self.arms.len());
            self.arms.push(arm);
        }
        for factorial in self.plan.factorial.clone() {
            self.lay_out_factorial(&factorial)?;
        }
        Ok(())
    }

    fn lay_out_factorial(&mut self, factorial: &Factorial) -> Result<(), StudyError> {
        let mut cells = [[0; 2]; 2];
        for (a, row) in cells.iter_mut().enumerate() {
            for (b, cell) in row.iter_mut().enumerate() {
                let levels = [&factorial.a[a], &factorial.b[b]].map(Level::assignments);
                let changes: Vec<_> = factorial
                    .set
                    .iter()
                    .chain(levels[0])
                    .chain(levels[1])
                    .cloned()
                    .collect();
                let name = format!(
                    "{}: {}, {}",
                    factorial.name,
                    factorial.a[a].name(),
                    factorial.b[b].name()
                );
                let arm = self.resolve(name, String::new(), changes)?;
                *cell = self.index_of(arm);
            }
        }
        let mut distinct = [cells[0][0], cells[0][1], cells[1][0], cells[1][1]];
        distinct.sort_unstable();
        if distinct.windows(2).any(|pair| pair[0] == pair[1]) {
            let reason = "two of its four cells are the same configuration";
            return Err(self.plan.wrong(&factorial.name, reason));
        }
        self.factorials.push(FactorialArms {
            name: factorial.name.clone(),
            a: [0, 1].map(|level: usize| factorial.a[level].name()),
            b: [0, 1].map(|level: usize| factorial.b[level].name()),
            cells,
        });
        Ok(())
    }

    fn lay_out_maps(&mut self) -> Result<(), StudyError> {
        for change in self.plan.variant.clone() {
            let whole = self.resolve(change.name.clone(), change.about, change.set.clone())?;
            let config = &whole.runs[0].config;
            let weight_of = |name: &String| {
                let found = config.terms.iter().find(|(known, _)| *known == name);
                let reason = format!("regulariser: there is no term {name}");
                let (_, term) = found.ok_or_else(|| self.plan.wrong(&change.name, reason))?;
                Ok((name.clone(), term.weight))
            };
            let weights = change.regulariser.iter().map(weight_of);
            let weights = weights.collect::<Result<Vec<_>, StudyError>>()?;
            let base_lr = config.optimizer.lr;
            let lr = self.plan.margin.lr.clone();
            let weight = if weights.is_empty() {
                vec![1.0]
            } else {
                self.plan.margin.weight.clone()
            };
            let mut cells = Vec::new();
            for factor in &weight {
                let mut row = Vec::new();
                for lr_factor in &lr {
                    let mut changes = change.set.clone();
                    changes.push(format!("optimizer.lr={:e}", base_lr * lr_factor));
                    changes.extend(weights.iter().map(|(name, weight)| {
                        format!("terms.{name}.weight={:e}", weight * factor)
                    }));
                    let name = format!("{}: lr x {lr_factor}, weight x {factor}", change.name);
                    let arm = self.resolve(name, String::new(), changes)?;
                    row.push(self.index_of(arm));
                }
                cells.push(row);
            }
            self.maps.push(TechniqueMap {
                name: change.name,
                regulariser: change.regulariser,
                lr,
                weight,
                cells,
            });
        }
        Ok(())
    }

    /// The arm's index, that of an earlier one where their runs are the same.
    fn index_of(&mut self, arm: Arm) -> usize {
        let known = self.arms.iter().position(|other| same_runs(other, &arm));
        known.unwrap_or_else(|| {
            self.arms.push(arm);
            self.arms.len() - 1
        })
    }

    fn resolve(
        &self,
        name: String,
        about: String,
        changes: Vec<String>,
    ) -> Result<Arm, StudyError> {
        let (plan, base) = (&self.plan, &self.plan.base);
        let fail = |source| StudyError::Arm {
            path: plan.path.clone(),
            arm: name.clone(),
            source: Box::new(source),
        };
        let resolve = |seed: u64| {
            let seed_override = [format!("seed={seed}")];
            let set: Vec<_> = base
                .set
                .iter()
                .chain(&changes)
                .chain(&seed_override)
                .cloned()
                .collect();
            let config = TrainConfig::resolve(&base.recipe, &set).map_err(fail)?;
            Objective::new(&config.method_config()).map_err(|error| fail(error.into()))?;
            Ok(PlannedRun {
                seed,
                key: key::key(&config),
                config,
            })
        };
        let runs = plan.seeds.iter().map(|seed| resolve(*seed));
        let runs = runs.collect::<Result<_, StudyError>>()?;
        Ok(Arm {
            name,
            about,
            changes,
            runs,
        })
    }

    fn check_contrasts(&self) -> Result<(), StudyError> {
        for contrast in &self.plan.contrast {
            for name in std::iter::once(&contrast.left).chain(&contrast.right) {
                if self.arm(name).is_none() {
                    let known: Vec<_> = self.arms.iter().map(|arm| &*arm.name).collect();
                    let reason = format!("there is no {name}; there are {}", known.join("; "));
                    return Err(self.plan.wrong("contrast", reason));
                }
            }
        }
        Ok(())
    }
}

fn same_runs(a: &Arm, b: &Arm) -> bool {
    a.runs[0].key == b.runs[0].key
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn design(text: &str) -> Result<Design, StudyError> {
        Design::new(Plan::parse(Path::new("plan.toml"), text).unwrap())
    }

    #[test]
    fn runs_go_seed_by_seed_and_no_run_is_listed_twice() {
        let design = design(
            "seeds = [4, 7]\n[base]\n[[variant]]\nname = \"no-variance\"\nset = [\"terms.variance.weight=0\"]\n\
             [[factorial]]\na = [\"terms.variance.weight=25\", \"terms.variance.weight=0\"]\n\
             b = [\"terms.covariance.weight=1\", \"terms.covariance.weight=0\"]",
        )
        .unwrap();
        let runs: Vec<_> = design
            .runs()
            .iter()
            .map(|(arm, run)| (*arm, run.seed))
            .collect();
        assert_eq!(
            runs,
            [
                (0, 4),
                (1, 4),
                (2, 4),
                (3, 4),
                (0, 7),
                (1, 7),
                (2, 7),
                (3, 7)
            ]
        );
        assert_eq!(design.factorials[0].cells, [[0, 2], [1, 3]]);
    }

    #[test]
    fn a_variant_that_changes_nothing_is_refused() {
        let text = "[base]\n[[variant]]\nname = \"same\"\nset = [\"terms.variance.weight=25\"]";
        let error = design(text).unwrap_err().to_string();
        assert!(
            error.contains("same: the same configuration as base"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_configuration_is_told_with_its_variant_and_a_hint() {
        let text = "[base]\n[[variant]]\nname = \"typo\"\nset = [\"terms.variance.wieght=0\"]";
        let error = design(text).unwrap_err();
        assert!(error.to_string().contains("typo"), "{error}");
        assert!(error.to_string().contains("wieght"), "{error}");
    }

    #[test]
    fn a_map_scales_learning_rate_and_weights_together() {
        let design = design(
            "kind = \"margin\"\nseeds = [0]\n[base]\n[margin]\nlr = [1, 3]\nweight = [1, 0.1]\n\
             [[variant]]\nname = \"vicreg\"\nregulariser = [\"variance\", \"covariance\"]\n\
             [[variant]]\nname = \"byol\"\nset = [\"method=byol\"]",
        )
        .unwrap();
        let map = &design.maps[0];
        let corner = &design.arms[map.cells[1][1]].runs[0].config;
        assert!((corner.optimizer.lr - 6e-3).abs() < 1e-12);
        let weights: Vec<_> = corner.terms.iter().map(|(_, term)| term.weight).collect();
        assert_eq!(weights, [0.1, 25.0, 2.5]);
        assert_eq!(design.maps[1].cells.len(), 1);
    }
}
