//! VICReg and TiCo as losses of somebody's own Burn training loop.
//!
//! `cargo run --release -p covary-loss --example burn_loop`
//!
//! An [`Objective`] reads embeddings as plain numbers and gives the gradient of the loss at each of them. The sum of z times that gradient,
//! held constant, has the same gradient as the loss, so its backward pass carries it into any graph that made z.
#![expect(clippy::print_stdout, reason = "the losses are what it is for")]

use std::error::Error;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use covary_loss::method::{MethodConfig, TargetConfig};
use covary_loss::{BranchOutputs, Objective};

/// Rows of a batch, width of an input, width of an embedding.
const N: usize = 64;
const INPUT: usize = 12;
const D: usize = 8;
const STEPS: u64 = 200;
/// Steps after which the first loss is read: TiCo's memory starts empty.
const WARM: u64 = 20;
const RATE: f32 = 0.01;

fn numbers(tensor: Tensor<2>) -> Result<Vec<f32>, Box<dyn Error>> {
    let data = tensor.into_data().try_into_vec::<f32>();
    data.map_err(|error| format!("{error:?}").into())
}

/// Trains one linear layer, by gradient descent, on pairs of noisy copies of random inputs.
fn train(name: &str) -> Result<[f64; 2], Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let method = MethodConfig {
        target: TargetConfig::default(),
        ..MethodConfig::preset(name)?
    };
    let mut objective = Objective::new(&method)?;
    let random = |rows, columns, scale: f64| {
        Tensor::<2>::random([rows, columns], Distribution::Normal(0.0, scale), &device)
    };
    let mut weights = random(INPUT, D, 0.1);
    let mut losses = [f64::NAN; 2];
    for step in 0..STEPS {
        let images = random(N, INPUT, 1.0);
        let layer = weights.require_grad();
        let views =
            [(); 2].map(|()| (images.clone() + random(N, INPUT, 0.3)).matmul(layer.clone()));

        let [a, b] = [
            numbers(views[0].clone().detach())?,
            numbers(views[1].clone().detach())?,
        ];
        let outputs = BranchOutputs::embeddings(N, D, &[&a, &b]);
        let evaluation = objective.evaluate(&outputs, step as f64 / STEPS as f64)?;
        losses[usize::from(step > WARM)] = evaluation.total;

        let mut surrogate: Option<Tensor<1>> = None;
        for (z, gradient) in views.into_iter().zip(evaluation.gradients.embedding) {
            let Some(gradient) = gradient else { continue };
            let gradient = Tensor::from_data(TensorData::new(gradient, [N, D]), &device);
            let part = (z * gradient).sum();
            surrogate = Some(match surrogate {
                Some(sum) => sum + part,
                None => part,
            });
        }
        let surrogate = surrogate.ok_or("the loss has no gradient")?;
        let gradients = surrogate.backward();
        let slope = layer.grad(&gradients).ok_or("the layer has no gradient")?;
        weights = Tensor::from_inner(layer.inner() - slope.inner() * RATE);
    }
    Ok(losses)
}

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["vicreg", "tico"] {
        let [first, last] = train(name)?;
        println!("{name}: the loss went from {first:.3} to {last:.3}");
    }
    Ok(())
}
