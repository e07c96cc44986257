//! `covary loss`: a loss of anybody's embeddings, with its terms and gradients.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use covary_loss::method::{BranchConfig, MethodConfig, PredictorConfig, TargetConfig};
use covary_loss::{BranchOutputs, Evaluation, Objective, ViewCount, view_name};
use covary_score::Matrix;
use covary_train::config::TrainConfig;
use covary_train::run::write_tensors;
use serde_json::{Map, json};

use crate::output::{Table, line, say};

/// Evaluate a loss on the embeddings of two or more views, from npy or safetensors files.
///
/// All views are taken as online: predictor, target and stop-gradient of the method are left out. Two views are compared in one direction,
/// a to b; of more the loss is the mean over all pairs.
#[derive(Args)]
pub(crate) struct Loss {
    /// A preset, a recipe, a kind of term (`covary list`) or the path of a TOML file.
    method: String,
    /// Change one key, as in `covary pretrain`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Embeddings of view a, `[n, d]`: FILE.npy or FILE.safetensors:TENSOR.
    #[arg(long, value_name = "FILE:TENSOR")]
    a: String,
    /// Embeddings of view b.
    #[arg(long, value_name = "FILE:TENSOR")]
    b: String,
    /// Embeddings of a further view: c, d, ... in the order given.
    #[arg(long = "view", value_name = "FILE:TENSOR")]
    others: Vec<String>,
    /// View that lets no gradient through.
    #[arg(long, value_name = "VIEW")]
    stop_gradient: Option<View>,
    /// Write the gradients `grad_a`, `grad_b`, ... of the views to this safetensors file.
    #[arg(long, value_name = "FILE")]
    gradients: Option<PathBuf>,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum View {
    A,
    B,
}

impl Loss {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let config = TrainConfig::resolve_loss(&self.method, &self.set)?;
        let views = self.views()?;
        let evaluation = evaluate(&config, &views)?;
        let mut table = Table::new(&["term", "value", "weight", "weighted"]);
        for term in &evaluation.terms {
            table.row(vec![
                term.name.clone(),
                format!("{:.6}", term.value),
                term.weight.to_string(),
                format!("{:.6}", term.weighted),
            ]);
        }
        table.row(vec![
            "loss".into(),
            String::new(),
            String::new(),
            format!("{:.6}", evaluation.total),
        ]);
        say(&table.render());
        if let Some(path) = &self.gradients {
            self.write_gradients(path, &evaluation, &views[0])?;
        }
        if self.json {
            let terms = evaluation.terms.iter();
            let terms: Map<_, _> = terms.map(|t| (t.name.clone(), json!(t.value))).collect();
            line(&json!({"loss": evaluation.total, "terms": terms}).to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The embeddings of all views, of one size.
    fn views(&self) -> Result<Vec<Matrix>> {
        let others = self.others.iter().map(|path| ("--view", path));
        let mut views: Vec<Matrix> = Vec::new();
        for (flag, path) in [("--a", &self.a), ("--b", &self.b)]
            .into_iter()
            .chain(others)
        {
            let view = Matrix::read(path).map_err(covary_train::TrainError::from)?;
            if let Some(a) = views.first()
                && (a.rows, a.width) != (view.rows, view.width)
            {
                bail!(
                    "--a is {} x {} and {flag} {} x {}: the rows of all must be views of the same images",
                    a.rows,
                    a.width,
                    view.rows,
                    view.width
                );
            }
            views.push(view);
        }
        Ok(views)
    }

    fn write_gradients(
        &self,
        path: &std::path::Path,
        evaluation: &Evaluation,
        a: &Matrix,
    ) -> Result<()> {
        let zeros = vec![0.0_f32; a.values.len()];
        let stopped = match self.stop_gradient {
            None => None,
            Some(View::A) => Some(0),
            Some(View::B) => Some(1),
        };
        let gradients = evaluation.gradients.embedding.iter().enumerate();
        let named: Vec<_> = gradients
            .map(|(view, gradient)| {
                let gradient = gradient.as_deref().filter(|_| stopped != Some(view));
                (
                    format!("grad_{}", view_name(view)),
                    gradient.unwrap_or(&zeros),
                )
            })
            .collect();
        let tensors: Vec<_> = named
            .iter()
            .map(|(name, gradient)| (name.as_str(), *gradient))
            .collect();
        write_tensors(path, &tensors, [a.rows, a.width])
            .with_context(|| format!("writing {}", path.display()))
    }
}

fn evaluate(config: &TrainConfig, views: &[Matrix]) -> Result<Evaluation> {
    let method = MethodConfig {
        branches: BranchConfig::default(),
        predictor: PredictorConfig::default(),
        target: TargetConfig::default(),
        ..config.method_config()
    };
    let values: Vec<&[f32]> = views.iter().map(|view| view.values.as_slice()).collect();
    let outputs = BranchOutputs::embeddings(views[0].rows, views[0].width, &values);
    let count = ViewCount {
        first: views.len(),
        all: views.len(),
    };
    Ok(Objective::of_views(&method, count)?.evaluate(&outputs, 1.0)?)
}
