//! GFLOP/s of the three products of a linear layer, as a fraction of the multiply-add peak measured beside each, on all cores.
//!
//! `cargo run --release -p covary-kernels --example linear_speed`
#![expect(clippy::print_stdout, reason = "prints its measurement")]

use std::time::Instant;

use covary_kernels::{Isa, IsaError, Linear, LinearScratch, Precision, peak_gflops};

const REPEATS: usize = 15;

fn main() -> Result<(), IsaError> {
    let isa = Isa::active()?;
    for precision in [Precision::Bf16, Precision::F32] {
        for (rows, inputs, outputs) in [
            (512, 2048, 2048),
            (512, 128, 2048),
            (512, 512, 512),
            (256, 512, 512),
        ] {
            measure(isa, precision, rows, inputs, outputs);
        }
    }
    Ok(())
}

fn measure(isa: Isa, precision: Precision, rows: usize, inputs: usize, outputs: usize) {
    let fill =
        |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect() };
    let (x, weight, dy) = (
        fill(rows * inputs),
        fill(outputs * inputs),
        fill(rows * outputs),
    );
    let (mut y, mut dx, mut dw) = (
        vec![0.0; dy.len()],
        vec![0.0; x.len()],
        vec![0.0; weight.len()],
    );
    let mut layer = Linear::new(inputs, outputs, isa, precision);
    let mut scratch = LinearScratch::default();
    let flops = 2.0 * (rows * inputs * outputs) as f64;
    println!(
        "{precision:?} {} {rows} x {inputs} -> {outputs}, {} threads",
        isa.name(),
        rayon::current_num_threads()
    );
    let mut report = |what: &str, run: &mut dyn FnMut(&mut Linear, &mut LinearScratch)| {
        run(&mut layer, &mut scratch);
        let mut fractions = Vec::new();
        let mut rates = Vec::new();
        for _ in 0..REPEATS {
            let peak = peak_gflops(isa, precision);
            let start = Instant::now();
            run(&mut layer, &mut scratch);
            let rate = flops / start.elapsed().as_secs_f64() / 1e9;
            rates.push(rate);
            fractions.push(rate / peak);
        }
        rates.sort_by(f64::total_cmp);
        fractions.sort_by(f64::total_cmp);
        let [low, middle, high] = [fractions[0], fractions[REPEATS / 2], fractions[REPEATS - 1]]
            .map(|fraction| 100.0 * fraction);
        println!(
            "  {what:16} {:6.0} GFLOP/s, {middle:3.0} % of peak ({low:.0} to {high:.0})",
            rates[REPEATS / 2]
        );
    };
    report("y = x Wᵀ", &mut |layer, scratch| {
        layer.forward(&x, &weight, &mut y, scratch);
    });
    report("dx = dy W", &mut |layer, scratch| {
        layer.input_gradient(&dy, &weight, &mut dx, scratch);
    });
    report("dW += dyᵀ x", &mut |layer, scratch| {
        layer.weight_gradient(&x, &dy, &mut dw, scratch);
    });
    report("y, packing W", &mut |layer, scratch| {
        layer.invalidate();
        layer.forward(&x, &weight, &mut y, scratch);
    });
    report("dx, packing W", &mut |layer, scratch| {
        layer.invalidate();
        layer.input_gradient(&dy, &weight, &mut dx, scratch);
    });
}
