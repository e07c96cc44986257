//! Scores anybody's embeddings: collapse metrics, verdict, linear probe and nearest neighbors of a matrix.
//!
//! `cargo run --release -p covary-score --example score_embeddings`
#![expect(clippy::print_stdout, reason = "the scores are what it is for")]

use covary_score::{
    EmbeddingError, Embeddings, LabeledEmbeddings, LinearProbe, NearestNeighbors, Sample, Verdict,
    measure,
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// Rows, width and classes of the made-up embeddings. Yours come from a file: see `covary_score::Matrix`.
const ROWS: usize = 600;
const WIDTH: usize = 16;
const CLASSES: usize = 3;

/// Each class is a cloud of uniform noise around a center of its own.
fn made_up(seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let labels: Vec<u32> = (0..ROWS).map(|row| (row % CLASSES) as u32).collect();
    let value = |(row, column): (usize, usize)| {
        let center = if column % CLASSES == row % CLASSES {
            1.0
        } else {
            0.0
        };
        center + rng.random_range(-1.0..1.0)
    };
    let places = (0..ROWS).flat_map(|row| (0..WIDTH).map(move |column| (row, column)));
    (places.map(value).collect(), labels)
}

fn main() -> Result<(), EmbeddingError> {
    let (train, train_labels) = made_up(0);
    let (test, test_labels) = made_up(1);
    let embeddings = Embeddings::try_new(&train, WIDTH)?;

    let sample = Sample::new(embeddings);
    for measurement in measure(&sample)? {
        let value = measurement.value;
        println!(
            "{:40} {}",
            measurement.name,
            value.map_or_else(|| "undefined".into(), |value| format!("{value:.3}"))
        );
    }
    println!("{}", Verdict::of(&sample)?.reason);

    let train = LabeledEmbeddings {
        embeddings,
        labels: &train_labels,
    };
    let test = LabeledEmbeddings {
        embeddings: Embeddings::try_new(&test, WIDTH)?,
        labels: &test_labels,
    };
    let held_out: Vec<usize> = (0..ROWS / 5).collect();
    let linear = LinearProbe::default().evaluate(train, test, &held_out, CLASSES)?;
    let neighbors = NearestNeighbors::default().evaluate(train, test, CLASSES)?;
    println!("linear top-1 {:.1} %", 100.0 * linear.test_accuracy);
    for score in neighbors.scores {
        println!(
            "kNN top-1, k = {}: {:.1} %",
            score.k,
            100.0 * score.test_accuracy
        );
    }
    Ok(())
}
