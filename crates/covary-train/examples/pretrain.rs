//! The main job from a program: pretrain an encoder without labels, freeze it, score it. Generated shapes stand in for your images.
//!
//! `cargo run --release -p covary-train --example pretrain [FOLDER OF IMAGES]`
#![expect(clippy::print_stdout, reason = "the scores are what it is for")]

use std::error::Error;
use std::sync::atomic::AtomicBool;

use covary_train::config::TrainConfig;
use covary_train::run::RunFolder;
use covary_train::trainer::Event;
use covary_train::{Ending, Pretraining};

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::args().nth(1);
    let data = data.unwrap_or_else(|| "synthetic:2000".into());
    let overrides = [
        format!("data.path={data}"),
        "epochs=2".into(),
        "encoder.width=8".into(),
        "projector.hidden=64".into(),
        "projector.dim=64".into(),
    ];
    let config = TrainConfig::resolve("vicreg", &overrides)?;

    let folder = std::env::temp_dir().join(format!("covary-example-{}", std::process::id()));
    let run = RunFolder::create(&folder)?;
    let never = AtomicBool::new(false);
    let ending = Pretraining::prepare(config)?.run(&run, &never, &mut |event| {
        if let Event::Monitor(progress, report) = event {
            let h = &report.spaces.representation_verdict;
            println!("epoch {}: h: {}", progress.epoch, h.reason);
        }
    })?;

    if let Ending::Finished(result) = ending {
        println!("{result:#}");
    }
    println!("the encoder is in {}", folder.display());
    Ok(())
}
