//! Generated images for demonstrations and tests: one shape of eight on a plain ground, in random colours, place and size,
//! with noise. Labeled by shape; 32x32; the same images each time.
//!
//! The path is `synthetic` (512 training images) or `synthetic:N`; the test split has a quarter as many, at least one.

use std::path::Path;

use super::{Dataset, Format, Image, ReadOptions, Split};
use crate::{
    DataError,
    rng::{Stream, stream, uniform},
};

pub(super) static FORMAT: Format = Format {
    name: "synthetic",
    about: "generated shapes, 32x32, eight classes; the path is synthetic or synthetic:N for N training images",
    recognises,
    read,
};

const SIDE: usize = 32;
const DEFAULT_IMAGES: usize = 512;
/// Grey levels of noise to either side.
const NOISE: f64 = 12.0;

/// Whether a point is in a shape whose box is [-1, 1] x [-1, 1], y downwards.
type Contains = fn(x: f64, y: f64) -> bool;

static SHAPES: [(&str, Contains); 8] = [
    ("disc", |x, y| x * x + y * y < 1.0),
    ("ring", |x, y| (0.4..1.0).contains(&(x * x + y * y))),
    ("square", |x, y| x.abs().max(y.abs()) < 0.9),
    ("diamond", |x, y| x.abs() + y.abs() < 1.0),
    ("triangle", |x, y| y < 0.9 && y > 2.0 * x.abs() - 1.0),
    ("cross", |x, y| {
        x.abs().max(y.abs()) < 1.0 && x.abs().min(y.abs()) < 0.33
    }),
    ("columns", |x, y| {
        x.abs().max(y.abs()) < 1.0 && (x * 2.5).rem_euclid(1.0) < 0.5
    }),
    ("rows", |x, y| {
        x.abs().max(y.abs()) < 1.0 && (y * 2.5).rem_euclid(1.0) < 0.5
    }),
];

/// Number of training images that the path asks for.
fn images(path: &Path) -> Option<usize> {
    let path = path.to_str()?;
    match path.strip_prefix("synthetic")? {
        "" => Some(DEFAULT_IMAGES),
        count => count
            .strip_prefix(':')?
            .parse()
            .ok()
            .filter(|&count| count > 0),
    }
}

fn recognises(path: &Path) -> bool {
    !path.exists() && images(path).is_some()
}

fn read(path: &Path, split: Split, _: &ReadOptions) -> Result<Dataset, DataError> {
    let train = images(path).ok_or_else(|| DataError::MissingPath {
        path: path.to_path_buf(),
    })?;
    let (count, seed) = match split {
        Split::Train => (train, 0),
        Split::Test => ((train / 4).max(1), 1),
    };
    let labels: Vec<u32> = (0..count)
        .map(|index| (index % SHAPES.len()) as u32)
        .collect();
    let drawn: Vec<Vec<u8>> = (0_u64..)
        .zip(&labels)
        .map(|(index, &label)| draw(label, &mut stream(seed, 0, index, 0)))
        .collect();
    let images = drawn.iter().map(|pixels| Image {
        height: SIDE,
        width: SIDE,
        pixels,
    });
    let class_names = SHAPES.iter().map(|(name, _)| (*name).to_owned()).collect();
    Ok(Dataset::from_images(
        "synthetic shapes",
        images,
        Some(labels),
        class_names,
    ))
}

fn draw(label: u32, random: &mut Stream) -> Vec<u8> {
    let contains = SHAPES[label as usize].1;
    let ground: [f64; 3] = std::array::from_fn(|_| uniform(random, 20.0, 235.0));
    // at least 60 grey levels away from the ground
    let colour = ground.map(|value| (value + uniform(random, 60.0, 155.0) - 20.0) % 215.0 + 20.0);
    let radius = uniform(random, 8.0, 13.0);
    let mut centre = || uniform(random, radius, SIDE as f64 - radius);
    let (x, y) = (centre(), centre());
    (0..SIDE * SIDE)
        .flat_map(|pixel| {
            let at = |position: usize, centre: f64| (position as f64 + 0.5 - centre) / radius;
            let inside = contains(at(pixel % SIDE, x), at(pixel / SIDE, y));
            let shade = if inside { colour } else { ground };
            shade.map(|value| (value + uniform(random, -NOISE, NOISE)).clamp(0.0, 255.0) as u8)
        })
        .collect()
}
