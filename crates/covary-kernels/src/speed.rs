//! How fast the kernels are at one shape, with all that a training step does there: frames loaded, moments taken, gradients taken back
//! through the normalisation. Best of several runs on all threads of the current rayon pool, in 10⁹ operations a second of the products
//! alone, to be held against [`crate::peak_gflops`].

use std::time::Instant;

use half::bf16;

use crate::buffer::Buffer;
use crate::conv::Operand;
use crate::conv::backward::{Branch, backward};
use crate::conv::gradient::Back;
use crate::conv::layer::ConvLayer;
use crate::element::{Element, padded};
use crate::frame::Affine;
use crate::passes::Relu;
use crate::relu_gradient::{Below, ReluGradient, ThroughRelu};
use crate::{ConvGeometry, Isa, Linear, LinearScratch, Precision};

const RUNS: usize = 4;

/// Rates of the three products of a layer, in GFLOP/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelRates {
    /// Forward.
    pub forward: f64,
    /// Gradient of the weights.
    pub weight_gradient: f64,
    /// Gradient of the input; of a convolution, what the backward pass takes beyond the weights' gradient.
    pub input_gradient: f64,
}

/// Rates of a convolution on a batch of `images`.
pub fn convolution_rates(
    isa: Isa,
    precision: Precision,
    geometry: ConvGeometry,
    images: usize,
) -> KernelRates {
    match (precision, isa) {
        (Precision::F32, _) => convolution::<f32, f32>(isa, geometry, images),
        (Precision::Bf16, Isa::Avx512Bf16) => convolution::<bf16, bf16>(isa, geometry, images),
        (Precision::Bf16, _) => convolution::<bf16, f32>(isa, geometry, images),
    }
}

fn convolution<T: Element, O: Operand>(
    isa: Isa,
    geometry: ConvGeometry,
    images: usize,
) -> KernelRates {
    let (c_in, c_out) = (padded(geometry.c_in), padded(geometry.c_out));
    let numbers = |len: usize| -> Vec<T> {
        (0..len)
            .map(|i| T::round((i % 251) as f32 / 125.0 - 1.0))
            .collect()
    };
    let x = numbers(images * geometry.height * geometry.width * c_in);
    let dy = numbers(images * geometry.out_pixels() * c_out);
    let weight: Vec<f32> = (0..geometry.weight_len())
        .map(|i| (i % 127) as f32 / 63.0 - 1.0)
        .collect();
    let mut layer = ConvLayer::<T, O>::new(geometry);
    layer.pack(isa, &weight, true);
    let mut y = vec![T::default(); dy.len()];
    let mut moments = vec![0.0; images * 2 * c_out];
    let forward = best(|| layer.forward(isa, &x, None, &mut y, &mut [], &mut moments));

    let (zeros, ones) = (vec![0.0; c_out], vec![1.0; c_out]);
    let (mut sums, mut dx) = (Buffer::default(), ReluGradient::default());
    let (flat, up) = (vec![0.0; c_in], vec![1.0; c_in]);
    let mut back = |through: Option<ThroughRelu<'_, T>>| {
        let branch = Branch {
            layer: &layer,
            gradient: &dy,
            y: &y,
            winners: &[],
            back: Back {
                mean: &zeros,
                factor: &ones,
                offset: &zeros,
                slope: &zeros,
            },
            sums: &mut sums,
        };
        backward(isa, &x, None, &mut [branch], through);
    };
    let weights = best(|| back(None));
    let both = best(|| {
        let relu = Relu::Of(Affine {
            scale: &flat,
            shift: &up,
        });
        let below = Below { y: &x, mean: &flat };
        back(Some(dx.through(None, relu, below, geometry.in_pixels())));
    });
    let product = 2.0 * (images * geometry.out_pixels() * geometry.weight_len()) as f64 / 1e9;
    KernelRates {
        forward: product / forward,
        weight_gradient: product / weights,
        input_gradient: product / (both - weights).max(1e-9),
    }
}

/// Rates of a linear layer on `rows` rows.
pub fn linear_rates(
    isa: Isa,
    precision: Precision,
    rows: usize,
    inputs: usize,
    outputs: usize,
) -> KernelRates {
    let numbers =
        |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect() };
    let (x, weight, dy) = (
        numbers(rows * inputs),
        numbers(outputs * inputs),
        numbers(rows * outputs),
    );
    let (mut y, mut dx, mut dw) = (
        vec![0.0; dy.len()],
        vec![0.0; x.len()],
        vec![0.0; weight.len()],
    );
    let mut layer = Linear::new(inputs, outputs, isa, precision);
    let mut scratch = LinearScratch::default();
    let product = 2.0 * (rows * inputs * outputs) as f64 / 1e9;
    KernelRates {
        forward: product / best(|| layer.forward(&x, &weight, &mut y, &mut scratch)),
        weight_gradient: product / best(|| layer.weight_gradient(&x, &dy, &mut dw, &mut scratch)),
        input_gradient: product
            / best(|| layer.input_gradient(&dy, &weight, &mut dx, &mut scratch)),
    }
}

/// Seconds of the fastest run, the first left out.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let seconds = (0..RUNS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
