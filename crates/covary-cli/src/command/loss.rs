//! `covary loss`: a loss of anybody's embeddings, with its terms and gradients.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use covary_loss::method::{BranchConfig, MethodConfig, PredictorConfig, TargetConfig};
use covary_loss::{BranchOutputs, Evaluation, Objective, TERMS};
use covary_score::Matrix;
use covary_train::config::TrainConfig;
use covary_train::run::write_tensors;
use serde_json::{Map, json};

use crate::output::{Table, line, say};

/// Evaluate a loss on the embeddings of two views, from npy or safetensors files.
///
/// Both views are taken as online, in one direction, a to b: predictor, target and stop-gradient of the method are left out.
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
    /// View that lets no gradient through.
    #[arg(long, value_name = "VIEW")]
    stop_gradient: Option<View>,
    /// Write the gradients `grad_a` and `grad_b` to this safetensors file.
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
        let config = self.config()?;
        let (a, b) = (Matrix::read(&self.a), Matrix::read(&self.b));
        let (a, b) = (
            a.map_err(covary_train::TrainError::from)?,
            b.map_err(covary_train::TrainError::from)?,
        );
        if (a.rows, a.width) != (b.rows, b.width) {
            bail!(
                "--a is {} x {} and --b {} x {}: the rows of both must be views of the same images",
                a.rows,
                a.width,
                b.rows,
                b.width
            );
        }
        let evaluation = evaluate(&config, &a, &b)?;
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
            self.write_gradients(path, &evaluation, &a)?;
        }
        if self.json {
            let terms = evaluation.terms.iter();
            let terms: Map<_, _> = terms.map(|t| (t.name.clone(), json!(t.value))).collect();
            line(&json!({"loss": evaluation.total, "terms": terms}).to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A kind of term that is no method by itself is a loss of that term alone.
    fn config(&self) -> Result<TrainConfig> {
        let is_term = TERMS.iter().any(|term| term.kind == self.method);
        match TrainConfig::resolve(&self.method, &self.set) {
            Err(_) if is_term && self.set.is_empty() => {
                let text = format!("method = \"custom\"\n[terms.{}]", self.method);
                Ok(TrainConfig::parse(&self.method, &text)?)
            }
            config => Ok(config?),
        }
    }

    fn write_gradients(
        &self,
        path: &std::path::Path,
        evaluation: &Evaluation,
        a: &Matrix,
    ) -> Result<()> {
        let zeros = vec![0.0_f32; a.values.len()];
        let gradients = &evaluation.gradients.embedding;
        let of = |view: usize, stopped: bool| {
            let gradient = gradients[view].as_ref().filter(|_| !stopped);
            gradient.unwrap_or(&zeros).as_slice()
        };
        let tensors = [
            ("grad_a", of(0, matches!(self.stop_gradient, Some(View::A)))),
            ("grad_b", of(1, matches!(self.stop_gradient, Some(View::B)))),
        ];
        write_tensors(path, &tensors, [a.rows, a.width])
            .with_context(|| format!("writing {}", path.display()))
    }
}

fn evaluate(config: &TrainConfig, a: &Matrix, b: &Matrix) -> Result<Evaluation> {
    let method = MethodConfig {
        branches: BranchConfig::default(),
        predictor: PredictorConfig::default(),
        target: TargetConfig::default(),
        ..config.method_config()
    };
    let outputs = BranchOutputs {
        n: a.rows,
        d: a.width,
        embedding: [Some(&a.values), Some(&b.values)],
        prediction: [None; 2],
        target: [None; 2],
    };
    Ok(Objective::new(&method)?.evaluate(&outputs, 1.0)?)
}
