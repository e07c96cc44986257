//! Every operation at fixed parameters against `torchvision` 0.29 on 8-bit images (`golden/make_trajectory.py`).

use safetensors::SafeTensors;

use super::{
    Augmentation, Augmenter, GaussianBlur, Greyscale, HorizontalFlip, Solarise,
    blur::Gaussian,
    colour_jitter::JitterStep,
    flip::Flip,
    greyscale::Grey,
    planes::Planes,
    resample::{Filter, Region},
    solarise::Threshold,
};
use crate::Image;

const SIZE: usize = 32;
const LEN: usize = SIZE * SIZE * 3;

/// Largest difference of each image of `key` from `operation` on the image, in grey levels.
fn largest_difference(key: &str, crop: (Region, Filter), operation: impl Fn(&mut Planes)) -> f32 {
    let bytes = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/augment.safetensors"
    ))
    .unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (images, expected) = (
        tensors.tensor("images").unwrap(),
        tensors.tensor(key).unwrap(),
    );
    assert_eq!(images.shape(), [8, SIZE, SIZE, 3]);
    let mut augmenter = Augmenter::default();
    let mut largest = 0.0_f32;
    for (pixels, expected) in images
        .data()
        .chunks_exact(LEN)
        .zip(expected.data().chunks_exact(LEN))
    {
        let image = Image {
            height: SIZE,
            width: SIZE,
            pixels,
        };
        augmenter.planes.resize(SIZE);
        augmenter
            .resampler
            .region(image, crop.0, crop.1, &mut augmenter.planes);
        operation(&mut augmenter.planes);
        for (channel, plane) in augmenter.planes.channels().into_iter().enumerate() {
            for (pixel, &value) in plane.iter().enumerate() {
                largest = largest.max((value - f32::from(expected[pixel * 3 + channel])).abs());
            }
        }
    }
    println!("{key}: {largest}");
    largest
}

fn on_whole_image(key: &str, operation: impl Fn(&mut Planes)) {
    let whole = Region {
        top: 0,
        left: 0,
        height: SIZE,
        width: SIZE,
    };
    let difference = largest_difference(key, (whole, Filter::Bilinear), operation);
    assert!(
        difference <= 2.0,
        "{key}: {difference} grey levels from torchvision"
    );
}

#[test]
fn an_uncropped_image_is_unchanged() {
    for filter in [Filter::Bilinear, Filter::Bicubic] {
        let whole = Region {
            top: 0,
            left: 0,
            height: SIZE,
            width: SIZE,
        };
        assert_eq!(
            largest_difference("images", (whole, filter), |_| ()).to_bits(),
            0
        );
    }
}

#[test]
fn crops_agree_with_torchvision() {
    let region = Region {
        top: 3,
        left: 5,
        height: 20,
        width: 17,
    };
    for (filter, name) in [(Filter::Bilinear, "bilinear"), (Filter::Bicubic, "bicubic")] {
        let difference = largest_difference(
            &format!("crop_top3_left5_h20_w17_{name}"),
            (region, filter),
            |_| (),
        );
        assert!(
            difference <= 2.0,
            "{name}: {difference} grey levels from torchvision"
        );
    }
}

#[test]
fn colours_agree_with_torchvision() {
    for (key, step) in [
        ("brightness_1.3", JitterStep::Brightness(1.3)),
        ("brightness_0.7", JitterStep::Brightness(0.7)),
        ("contrast_0.6", JitterStep::Contrast(0.6)),
        ("contrast_1.4", JitterStep::Contrast(1.4)),
        ("saturation_0.8", JitterStep::Saturation(0.8)),
        ("saturation_1.7", JitterStep::Saturation(1.7)),
        ("hue_0.1", JitterStep::Hue(0.1)),
        ("hue_-0.08", JitterStep::Hue(-0.08)),
    ] {
        on_whole_image(key, |planes| step.apply(planes));
    }
}

#[test]
fn other_operations_agree_with_torchvision() {
    on_whole_image("grayscale", |planes| Greyscale::apply(Grey, planes));
    on_whole_image("solarize_128", |planes| {
        Solarise::apply(Threshold(128.0), planes);
    });
    on_whole_image("hflip", |planes| HorizontalFlip::apply(Flip, planes));
    on_whole_image("blur_k3_sigma0.8", |planes| {
        let (radius, sigma) = (1, 0.8);
        GaussianBlur::apply(Gaussian { radius, sigma }, planes);
    });
}
