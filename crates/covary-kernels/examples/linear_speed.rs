//! GFLOP/s of the three products of a linear layer, and their fraction of the multiply-add peak, which is measured before each repeat
//! because clocks and neighbours change; on all cores, medians of repeats that are each the best of five, as the peak is.
//!
//! `cargo run --release -p covary-kernels --example linear_speed`
#![expect(clippy::print_stdout, reason = "prints its measurement")]

use std::time::Instant;

use covary_kernels::{Isa, IsaError, Linear, LinearScratch, Precision, peak_gflops};

const REPEATS: usize = 9;
const SHAPES: [(usize, usize, usize); 4] = [
    (512, 2048, 2048),
    (512, 128, 2048),
    (512, 512, 512),
    (256, 512, 512),
];

fn main() -> Result<(), IsaError> {
    let isa = Isa::active()?;
    for precision in [Precision::Bf16, Precision::F32] {
        for (rows, inputs, outputs) in SHAPES {
            println!(
                "{precision:?} {} {rows} x {inputs} -> {outputs}, {} threads",
                isa.name(),
                rayon::current_num_threads()
            );
            measure(isa, precision, rows, inputs, outputs);
        }
    }
    Ok(())
}

fn measure(isa: Isa, precision: Precision, rows: usize, inputs: usize, outputs: usize) {
    let numbers =
        |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect() };
    let (x, weight, dy) = (
        numbers(rows * inputs),
        numbers(outputs * inputs),
        numbers(rows * outputs),
    );
    let mut y = vec![0.0; dy.len()];
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; weight.len()];
    let mut layer = Linear::new(inputs, outputs, isa, precision);
    let mut scratch = LinearScratch::default();
    let product = 2.0 * (rows * inputs * outputs) as f64;
    let mut report = |what: &str, products: f64, run: &mut dyn FnMut(&mut Linear)| {
        run(&mut layer);
        let (mut rates, mut fractions) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            let peak = peak_gflops(isa, precision);
            let best = (0..5).fold(f64::INFINITY, |best, _| {
                let start = Instant::now();
                run(&mut layer);
                best.min(start.elapsed().as_secs_f64())
            });
            let rate = products * product / best / 1e9;
            rates.push(rate);
            fractions.push(100.0 * rate / peak);
        }
        rates.sort_by(f64::total_cmp);
        fractions.sort_by(f64::total_cmp);
        println!(
            "  {what:18} {:4.0} GFLOP/s, {:3.0} % of peak (quartiles {:.0} and {:.0})",
            rates[REPEATS / 2],
            fractions[REPEATS / 2],
            fractions[REPEATS / 4],
            fractions[3 * REPEATS / 4]
        );
    };
    report("y = x Wᵀ", 1.0, &mut |layer| {
        layer.forward(&x, &weight, &mut y, &mut scratch);
    });
    report("dx = dy W", 1.0, &mut |layer| {
        layer.input_gradient(&dy, &weight, &mut dx, &mut scratch);
    });
    report("dW += dyᵀ x", 1.0, &mut |layer| {
        layer.weight_gradient(&x, &dy, &mut dw, &mut scratch);
    });
    report("all, W changed", 3.0, &mut |layer| {
        layer.invalidate();
        layer.forward(&x, &weight, &mut y, &mut scratch);
        layer.weight_gradient(&x, &dy, &mut dw, &mut scratch);
        layer.input_gradient(&dy, &weight, &mut dx, &mut scratch);
    });
}
