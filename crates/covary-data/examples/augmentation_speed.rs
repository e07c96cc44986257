//! Source images a second (two views each) through the default augmentation of 32x32 images, on all cores.
//!
//! `cargo run --release -p covary-data --example augmentation_speed [FOLDER]`
#![expect(clippy::print_stdout, reason = "prints its measurement")]

use std::{error::Error, path::PathBuf, sync::Arc, time::Instant};

use covary_data::{AugmentConfig, Filter, Loader, LoaderConfig, ReadOptions, Split, open};

const BATCHES: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("data/cifar10"), PathBuf::from);
    let start = Instant::now();
    let dataset = Arc::new(open(&folder, Split::Train, &ReadOptions::default())?);
    println!(
        "{}: {} images read in {:.2} s",
        dataset.name(),
        dataset.len(),
        start.elapsed().as_secs_f64()
    );
    let mut bicubic = AugmentConfig::default();
    bicubic.view_a.crop.filter = Filter::Bicubic;
    bicubic.view_b.crop.filter = Filter::Bicubic;
    for (name, augment) in [
        ("default", AugmentConfig::default()),
        ("bicubic", bicubic),
        ("byol", AugmentConfig::byol()),
    ] {
        let config = LoaderConfig {
            batch_size: 256,
            seed: 0,
            limit: None,
            drop_last: true,
        };
        let mut loader = Loader::new(Arc::clone(&dataset), augment, config)?;
        let mut out = Vec::new();
        loader.fill(0, 0, 0.0, &mut out);
        let mut rates: Vec<f64> = (0..5)
            .map(|_| {
                let start = Instant::now();
                for batch in 0..BATCHES.min(loader.batches_per_epoch()) {
                    loader.fill(0, batch, 0.0, &mut out);
                }
                (BATCHES * 256) as f64 / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.0} source images/s (median of 5, {:.0} to {:.0})",
            rates[2], rates[0], rates[4]
        );
    }
    Ok(())
}
