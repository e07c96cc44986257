//! A term of your own, defined outside of covary's crates: it is added to a method and trained for 50 steps.
//!
//! `cargo run --release -p covary-loss --example own_term`
//!
//! The term keeps the mean squared length of the embeddings at their width: `((1 / ND) Σ_nd z_nd² - 1)²`, a mean over the views.
#![expect(clippy::print_stdout, reason = "the losses are what it is for")]

use burn::tensor::Tensor;
use covary_data::rng::stream;
use covary_loss::method::MethodConfig;
use covary_loss::{BranchOutputs, Collapse, Invariances, LossError, Objective, Scope, Term};
use rand::RngExt;

/// Rows of a batch, width of an input, width of an embedding.
const N: usize = 64;
const INPUT: usize = 12;
const D: usize = 8;
const STEPS: u64 = 50;
const RATE: f32 = 0.05;

#[derive(Debug)]
struct Length;

impl Term for Length {
    fn scope(&self) -> Scope {
        Scope::Views
    }

    fn formula(&self) -> String {
        "mean over views of ((1/ND) Σ_nd z_nd² - 1)²".into()
    }

    fn invariances(&self) -> Invariances {
        Invariances {
            exchange: true,
            rotation: true,
            scale: false,
            translation: false,
        }
    }

    /// A constant may have any length.
    fn collapsed(&self, _: Collapse) -> Option<f64> {
        None
    }

    fn evaluate(&mut self, z: &[Tensor<2>]) -> Tensor<1> {
        let of_view = |z: &Tensor<2>| (z.clone().square().mean() - 1.0).square();
        let sum = z.iter().map(of_view).reduce(|a, b| a + b);
        sum.expect("there is a view") / z.len() as f32
    }
}

/// `images · weights`: `[N, INPUT]` by `[INPUT, D]`.
fn embed(images: &[f32], weights: &[f32]) -> Vec<f32> {
    let value = |at: usize| {
        let (row, column) = (at / D, at % D);
        (0..INPUT)
            .map(|i| images[row * INPUT + i] * weights[i * D + column])
            .sum()
    };
    (0..N * D).map(value).collect()
}

fn main() -> Result<(), LossError> {
    let method = MethodConfig::preset("vicreg-without-variance").expect("a preset");
    let mut objective = Objective::new(&method)?.with_term("length", 50.0, || Length);
    println!("{}", objective.explain(N, D).trim_end());

    let mut rng = stream(0, 0, 0, 0);
    let mut numbers = |len: usize, scale: f32| -> Vec<f32> {
        (0..len)
            .map(|_| scale * rng.random_range(-1.0..1.0))
            .collect()
    };
    let mut weights = numbers(INPUT * D, 0.1);
    for step in 0..STEPS {
        let images = numbers(N * INPUT, 1.0);
        let views = [(); 2].map(|()| -> Vec<f32> {
            let noise = numbers(N * INPUT, 0.3);
            images.iter().zip(noise).map(|(x, n)| x + n).collect()
        });
        let z = [embed(&views[0], &weights), embed(&views[1], &weights)];
        let outputs = BranchOutputs::embeddings(N, D, &[&z[0], &z[1]]);
        let evaluation = objective.evaluate(&outputs, step as f64 / STEPS as f64)?;
        if step % 10 == 0 || step + 1 == STEPS {
            let length = evaluation.terms.iter().find(|term| term.name == "length");
            let length = length.map_or(f64::NAN, |term| term.value);
            println!(
                "step {step:2}: loss {:.4}, length {length:.4}",
                evaluation.total
            );
        }
        for (view, gradient) in views.iter().zip(&evaluation.gradients.embedding) {
            for (at, slope) in gradient.iter().flatten().enumerate() {
                for i in 0..INPUT {
                    weights[i * D + at % D] -= RATE * slope * view[at / D * INPUT + i];
                }
            }
        }
    }
    Ok(())
}
