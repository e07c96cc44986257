//! Damaged files end in an error or in images, never in a panic.

mod fixtures;

use std::path::Path;

use covary_data::{ReadOptions, Split, open};
use fixtures::{encode, picture};
use image::ImageFormat;
use proptest::prelude::*;

const ARCHIVE: &str = "cifar.tar.gz";

/// Opens `bytes` as a file of that name in an otherwise empty folder.
fn open_bytes(name: &str, bytes: &[u8]) -> Option<usize> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    std::fs::write(folder.path().join(name), bytes).expect("a file for the test");
    let path = match name {
        ARCHIVE => folder.path().join(name),
        _ => folder.path().to_path_buf(),
    };
    let options = ReadOptions {
        skip_corrupt: true,
        ..ReadOptions::default()
    };
    open(&path, Split::Train, &options)
        .ok()
        .map(|dataset| dataset.len())
}

/// Overwrites bytes at the fractions given, and cuts the end off.
fn damage(bytes: &mut Vec<u8>, places: &[(f64, u8)], length: f64) {
    let whole = bytes.len() as f64;
    for &(place, value) in places {
        bytes[(place * whole) as usize] = value;
    }
    bytes.truncate((length * whole).ceil() as usize);
}

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::none(),
    ));
    for batch in 1..=5 {
        let mut header = tar::Header::new_gnu();
        header.set_size(3073);
        archive
            .append_data(
                &mut header,
                format!("cifar-10-batches-bin/data_batch_{batch}.bin"),
                [1; 3073].as_slice(),
            )
            .expect("memory takes all");
    }
    archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .expect("memory takes all")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_do_not_panic(
        kind in 0..4,
        places in prop::collection::vec((0.0..1.0, any::<u8>()), 0..6),
        length in prop_oneof![Just(1.0), 0.0..1.0],
    ) {
        let parquet = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/three.parquet"));
        let (name, mut bytes) = match kind {
            0 => ("train-0.parquet", std::fs::read(parquet).expect("part of the repository")),
            1 => (ARCHIVE, archive()),
            2 => ("image.jpg", encode(&picture(24, 17, 90), ImageFormat::Jpeg)),
            _ => ("image.png", encode(&picture(24, 17, 90), ImageFormat::Png)),
        };
        prop_assert!(open_bytes(name, &bytes).is_some(), "{} is whole", name);
        damage(&mut bytes, &places, length);
        open_bytes(name, &bytes);
    }
}
