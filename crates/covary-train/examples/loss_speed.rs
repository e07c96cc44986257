//! Milliseconds of a loss with its gradients, on two threads: presets and single terms, at a narrow and a wide embedding.
//!
//! `cargo run --release -p covary-train --example loss_speed [PRESET or TERM ...]`
#![expect(clippy::print_stdout, reason = "a table is what it is for")]
#![expect(clippy::unwrap_used, reason = "it fails where it panics")]

use std::fmt::Write;
use std::time::Instant;

use covary_data::rng::stream;
use covary_loss::method;
use covary_loss::{BranchOutputs, Branches, Objective, TERMS};
use covary_train::config::TrainConfig;
use rand::Rng;

const SHAPES: [(usize, usize); 2] = [(128, 512), (256, 2048)];
const REPEATS: usize = 15;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|c| c == name);
    let presets = method::presets().map(|(name, _)| (name, format!("method = \"{name}\"\n")));
    let terms = TERMS.iter().map(|term| {
        let text = format!("method = \"custom\"\n[terms.{}]\n", term.kind);
        (term.kind, text)
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
    let pool = pool.build().unwrap();
    println!("median of {REPEATS} (fastest), ms");
    for (name, text) in presets.chain(terms).filter(|(name, _)| is_chosen(name)) {
        let method = TrainConfig::parse(name, &text).unwrap().method_config();
        let mut line = format!("{name:<24}");
        for (n, d) in SHAPES {
            let mut objective = Objective::new(&method).unwrap();
            let mut times = pool.install(|| times_ms(&mut objective, n, d));
            times.sort_by(f64::total_cmp);
            let (median, fastest) = (times[REPEATS / 2], times[0]);
            let _ = write!(line, "  {n}x{d} {median:8.2} ({fastest:.2})");
        }
        println!("{line}");
    }
}

fn times_ms(objective: &mut Objective, n: usize, d: usize) -> Vec<f64> {
    let outputs: [Vec<f32>; 6] = std::array::from_fn(|i| normal(i as u64, n * d));
    let view = |i: usize| Some(outputs[i].as_slice());
    let outputs = BranchOutputs {
        n,
        d,
        branches: Branches {
            embedding: vec![view(0), view(1)],
            prediction: vec![view(2), view(3)],
            target: vec![view(4), view(5)],
        },
    };
    objective.evaluate(&outputs, 0.0).unwrap();
    let time = |_| {
        let start = Instant::now();
        objective.evaluate(&outputs, 0.0).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..REPEATS).map(time).collect()
}

/// Sums of twelve uniform numbers, less their mean.
fn normal(seed: u64, len: usize) -> Vec<f32> {
    let mut random = stream(seed, 0, 0, 0);
    let mut uniform = || f64::from(random.next_u32()) / 4_294_967_296.0;
    (0..len)
        .map(|_| ((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32)
        .collect()
}
