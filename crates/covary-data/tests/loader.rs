//! Batches: what they depend on, what they do not, and which images they hold.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::{path::Path, sync::Arc};

use covary_data::{
    AugmentConfig, Augmenter, DataError, Dataset, EvaluationImages, Image, Loader, LoaderConfig,
    ReadOptions, Split, ViewBatch, ViewConfig, hold_out, open, rng,
};
use rayon::ThreadPoolBuilder;

const IMAGES: usize = 50;
const VIEW: usize = 32 * 32 * 3;

fn dataset() -> Arc<Dataset> {
    Arc::new(
        open(
            Path::new("synthetic:50"),
            Split::Train,
            &ReadOptions::default(),
        )
        .unwrap(),
    )
}

fn config() -> LoaderConfig {
    LoaderConfig {
        batch_size: 8,
        seed: 3,
        limit: None,
        drop_last: true,
    }
}

fn loader(config: LoaderConfig) -> Loader {
    Loader::new(dataset(), AugmentConfig::byol(), config).unwrap()
}

/// Indices and bits of a batch.
fn batch(loader: &mut Loader, epoch: u64, batch: usize) -> (Vec<u32>, Vec<u32>) {
    let mut views = Vec::new();
    let indices = loader.fill(epoch, batch, 0.0, &mut views).to_vec();
    let values = views.into_iter().flat_map(|group| group.values);
    (indices, values.map(f32::to_bits).collect())
}

/// Images of an epoch in their order.
fn order(loader: &mut Loader, epoch: u64) -> Vec<u32> {
    (0..loader.batches_per_epoch())
        .flat_map(|index| batch(loader, epoch, index).0)
        .collect()
}

#[test]
fn batches_are_the_same_bits_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            (0..6)
                .map(|index| batch(&mut loader(config()), 1, index))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(on(1), on(2));
    assert_eq!(on(1), on(3));
}

#[test]
fn a_batch_does_not_depend_on_the_batches_before_it() {
    let mut straight = loader(config());
    let mut all = Vec::new();
    for epoch in 0..3 {
        for index in 0..straight.batches_per_epoch() {
            all.push(batch(&mut straight, epoch, index));
        }
    }
    let resumed = batch(&mut loader(config()), 2, 4);
    assert_eq!(all[2 * straight.batches_per_epoch() + 4], resumed);
}

#[test]
fn a_view_depends_on_its_coordinates_alone() {
    let (dataset, augment) = (dataset(), AugmentConfig::byol());
    let mut loader = loader(config());
    let (indices, bits) = batch(&mut loader, 5, 2);
    let mut alone = vec![0.0; VIEW];
    for (position, bits) in bits.chunks_exact(VIEW).enumerate() {
        let (view, index) = ((position / 8) as u64, indices[position % 8]);
        let mut random = rng::stream(3, 5, u64::from(index), view);
        Augmenter::default().view(
            &augment,
            dataset.image(index as usize),
            view,
            &mut random,
            &mut alone,
        );
        assert!(
            alone
                .iter()
                .map(|value| value.to_bits())
                .eq(bits.iter().copied()),
            "view {view} of {index}"
        );
    }
}

#[test]
fn groups_of_views_have_their_sizes_and_leave_the_pair_as_it_is() {
    let text = "pair_size = [[0.0, 16], [0.5, 32]]\n[[views]]\ncount = 3\nsize = 12\ncrop.scale = [0.1, 0.3]";
    let augment: AugmentConfig = toml::from_str(text).unwrap();
    let group = augment.views[0].clone();
    let dataset = dataset();
    let mut many = Loader::new(Arc::clone(&dataset), augment, config()).unwrap();
    let mut pair = Loader::new(Arc::clone(&dataset), AugmentConfig::default(), config()).unwrap();
    let (mut early, mut late, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    many.fill(1, 2, 0.49, &mut early);
    let indices = many.fill(1, 2, 0.5, &mut late).to_vec();
    pair.fill(1, 2, 0.5, &mut alone);
    let shape = |groups: &[ViewBatch]| -> Vec<(usize, usize, usize)> {
        let groups = groups.iter();
        groups.map(|g| (g.size, g.views, g.values.len())).collect()
    };
    let pixels = |side: usize, views: usize| views * 8 * side * side * 3;
    assert_eq!(
        shape(&early),
        [(16, 2, pixels(16, 2)), (12, 3, pixels(12, 3))]
    );
    assert_eq!(
        shape(&late),
        [(32, 2, pixels(32, 2)), (12, 3, pixels(12, 3))]
    );
    // Further groups change nothing in the pair, and no size changes another group.
    assert_eq!(late[0], alone[0]);
    assert_eq!(late[1], early[1]);
    // The views of the group are the third to the fifth of an image.
    let alike = AugmentConfig {
        size: 12,
        view_a: ViewConfig {
            crop: group.crop,
            ..ViewConfig::default()
        },
        ..AugmentConfig::default()
    };
    let mut alone = vec![0.0; 12 * 12 * 3];
    for (position, view) in late[1].values.chunks_exact(12 * 12 * 3).enumerate() {
        let index = indices[position % 8];
        let mut random = rng::stream(3, 1, u64::from(index), 2 + (position / 8) as u64);
        let image = dataset.image(index as usize);
        Augmenter::default().view(&alike, image, 0, &mut random, &mut alone);
        assert_eq!(view, alone, "view {position}");
    }
}

#[test]
fn seed_and_epoch_change_order_and_views() {
    let base = batch(&mut loader(config()), 0, 0);
    let other_epoch = batch(&mut loader(config()), 1, 0);
    let other_seed = batch(
        &mut loader(LoaderConfig {
            seed: 4,
            ..config()
        }),
        0,
        0,
    );
    for other in [other_epoch, other_seed] {
        assert_ne!(base.0, other.0);
        assert_ne!(base.1, other.1);
    }
}

#[test]
fn an_epoch_holds_each_image_once() {
    let mut whole = loader(LoaderConfig {
        drop_last: false,
        ..config()
    });
    assert_eq!(
        (whole.images_per_epoch(), whole.batches_per_epoch()),
        (IMAGES, 7)
    );
    assert_eq!(batch(&mut whole, 0, 6).0.len(), IMAGES - 6 * 8);
    let mut seen = order(&mut whole, 0);
    assert!(!seen.is_sorted());
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..IMAGES as u32));
    let mut full = loader(config());
    assert_eq!(full.batches_per_epoch(), 6);
    let mut seen = order(&mut full, 0);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 48);
}

#[test]
fn a_limit_keeps_the_same_images_for_every_seed_and_epoch() {
    let images = |limit, seed, epoch| {
        let mut loader = loader(LoaderConfig {
            limit: Some(limit),
            seed,
            ..config()
        });
        let mut images = order(&mut loader, epoch);
        images.sort_unstable();
        images
    };
    let sixteen = images(16, 0, 0);
    assert_eq!(sixteen.len(), 16);
    assert_eq!(sixteen, images(16, 1, 9));
    assert!(
        sixteen.iter().all(|image| images(24, 0, 0).contains(image)),
        "a smaller limit is part of a larger one"
    );
    assert_eq!(
        loader(LoaderConfig {
            limit: Some(1000),
            ..config()
        })
        .images_per_epoch(),
        IMAGES
    );
}

#[test]
fn impossible_configurations_are_refused_by_key() {
    let mut augment = AugmentConfig::default();
    augment.view_b.colour_jitter.hue = 0.7;
    for (augment, config, key) in [
        (augment, config(), "augment.view_b.colour_jitter.hue"),
        (
            AugmentConfig::default(),
            LoaderConfig {
                batch_size: 0,
                ..config()
            },
            "batch_size",
        ),
        (
            AugmentConfig::default(),
            LoaderConfig {
                batch_size: 51,
                ..config()
            },
            "batch_size",
        ),
        (
            AugmentConfig::default(),
            LoaderConfig {
                limit: Some(0),
                ..config()
            },
            "data.limit",
        ),
    ] {
        let error = Loader::new(dataset(), augment, config).unwrap_err();
        assert!(
            matches!(&error, DataError::InvalidValue { key: found, .. } if found == key),
            "{error}"
        );
    }
}

#[test]
fn evaluation_images_are_the_pixels_normalised_in_order() {
    let (dataset, augment) = (dataset(), AugmentConfig::default());
    let evaluation = EvaluationImages::new(&dataset, &augment, 16);
    assert_eq!(evaluation.batches(), 4);
    let (mut all, mut out) = (Vec::new(), Vec::new());
    for index in 0..evaluation.batches() {
        let images = evaluation.fill(index, &mut out);
        assert_eq!(
            (images, out.len()),
            (if index < 3 { 16 } else { 2 }, images * VIEW)
        );
        all.extend_from_slice(&out);
    }
    for (position, (&value, &pixel)) in all.iter().zip(dataset.pixels()).enumerate() {
        let (mean, std) = (
            augment.normalise.mean[position % 3],
            augment.normalise.std[position % 3],
        );
        let expected = (f64::from(pixel) / 255.0 - mean) / std;
        assert!(
            (f64::from(value) - expected).abs() < 1e-5,
            "{value} for {expected}"
        );
    }
}

#[test]
fn images_of_any_size_become_views_and_clean_images() {
    // left half black, right half white: the centre keeps both
    let picture = |height: usize, width: usize| -> Vec<u8> {
        (0..height * width)
            .flat_map(|pixel| [if pixel % width < width / 2 { 0 } else { 255 }; 3])
            .collect()
    };
    let sizes = [(100, 140), (140, 100), (20, 48), (7, 5), (1, 1), (64, 32)];
    let pictures: Vec<Vec<u8>> = sizes
        .iter()
        .map(|&(height, width)| picture(height, width))
        .collect();
    let images = sizes
        .iter()
        .zip(&pictures)
        .map(|(&(height, width), pixels)| Image {
            height,
            width,
            pixels,
        });
    let dataset = Arc::new(Dataset::from_images("sizes", images, None, Vec::new()));
    let augment = AugmentConfig::byol();
    let mut out = Vec::new();
    EvaluationImages::new(&dataset, &augment, 6).fill(0, &mut out);
    let grey = |image: usize, x: usize| {
        (f64::from(out[image * VIEW + (16 * 32 + x) * 3]) * augment.normalise.std[0]
            + augment.normalise.mean[0])
            * 255.0
    };
    for image in [0, 1, 2, 5] {
        assert!(
            grey(image, 0).abs() < 0.1 && (grey(image, 31) - 255.0).abs() < 0.1,
            "image {image}"
        );
    }
    let config = LoaderConfig {
        batch_size: 6,
        ..config()
    };
    let mut loader = Loader::new(dataset, augment, config).unwrap();
    let mut groups = Vec::new();
    loader.fill(0, 0, 0.0, &mut groups);
    let views = &groups[0].values;
    assert!(views.len() == 2 * 6 * VIEW && views.iter().all(|value| value.is_finite()));
}

#[test]
fn the_hold_out_is_a_fixed_tenth() {
    let split = hold_out(50_000);
    assert_eq!((split.fit.len(), split.score.len()), (45_000, 5_000));
    let mut all = [split.fit.as_slice(), split.score.as_slice()].concat();
    assert!(split.fit.is_sorted() && split.score.is_sorted());
    all.sort_unstable();
    assert!(all.into_iter().eq(0..50_000));
    assert_eq!(split, hold_out(50_000));
    // 5000 of 50000 drawn evenly: the mean index has standard deviation 204 x sqrt(0.9)
    let mean = split
        .score
        .iter()
        .map(|&index| f64::from(index))
        .sum::<f64>()
        / 5000.0;
    assert!((mean - 24_999.5).abs() < 5.0 * 194.0, "{mean}");
}
