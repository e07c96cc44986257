//! What becomes of one picture: upright, RGB, over white, no larger than it needs to be.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod fixtures;

use std::path::Path;

use covary_data::{AugmentConfig, Dataset, ReadOptions, Split, open};
use fixtures::{encode, picture};
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgba, RgbaImage};

fn read(name: &str, bytes: &[u8], store_size: usize) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let options = ReadOptions {
        store_size,
        ..ReadOptions::default()
    };
    open(folder.path(), Split::Train, &options).unwrap()
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_that_a_camera_turned_are_upright() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let upright = read("a.png", &file("upright.png"), 0);
    for orientation in [3, 6, 8] {
        let name = format!("turned{orientation}.jpg");
        let turned = read(&name, &file(&name), 0);
        assert_eq!(turned.size(0), upright.size(0), "{name}");
        let pairs = turned.pixels().iter().zip(upright.pixels());
        let sum: f64 = pairs.map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
        let mean = sum / upright.pixels().len() as f64;
        assert!(mean < 2.0, "{name}: {mean} grey levels off");
    }
}

#[test]
fn transparent_pixels_are_white_and_half_transparent_ones_half_white() {
    let image = RgbaImage::from_fn(4, 4, |x, _| {
        Rgba([200, 0, 100, [0, 51, 128, 255][x as usize]])
    });
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let dataset = read("a", &encoded(image.clone(), format), 0);
        let expected = [
            [255, 255, 255],
            [244, 204, 224],
            [227, 127, 177],
            [200, 0, 100],
        ];
        assert_eq!(dataset.pixels()[..12], expected.concat(), "{format:?}");
    }
}

#[test]
fn grey_and_sixteen_bit_values_become_eight_bit_rgb() {
    let grey = GrayImage::from_fn(3, 1, |x, _| Luma([[0, 100, 255][x as usize]]));
    let expected = [[0; 3], [100; 3], [255; 3]].concat();
    assert_eq!(
        read("a.png", &encoded(grey, ImageFormat::Png), 0).pixels(),
        expected
    );
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(3, 1, |x, _| Luma([[0, 100 * 257, 65535][x as usize]]));
    assert_eq!(
        read("a.png", &encoded(deep, ImageFormat::Png), 0).pixels(),
        expected
    );
}

#[test]
fn files_are_read_by_what_they_are_whatever_they_are_called() {
    let image = picture(20, 10, 77);
    let formats = [
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];
    for format in formats {
        for name in ["a.jpg", "a.jfif", "a.unknown", "a"] {
            let dataset = read(name, &encode(&image, format), 0);
            assert_eq!(dataset.pixels(), image.as_raw().as_slice(), "{format:?}");
        }
    }
}

#[test]
fn large_images_are_shrunk_and_small_ones_left_alone() {
    // a horizontal ramp: after shrinking by four, pixel o is the mean of its surroundings, the ramp at 4 o + 1.5
    let ramp = image::RgbImage::from_fn(240, 160, |x, _| image::Rgb([x as u8; 3]));
    let bytes = encode(&ramp, ImageFormat::Png);
    let dataset = read("a.png", &bytes, 40);
    assert_eq!((dataset.size(0).height, dataset.size(0).width), (40, 60));
    for column in 2..58 {
        let value = f64::from(dataset.image(0).pixels[column * 3]);
        let expected = 4.0 * column as f64 + 1.5;
        assert!((value - expected).abs() <= 0.5, "{column}: {value}");
    }
    for store_size in [0, 160, 500] {
        let dataset = read("a.png", &bytes, store_size);
        assert_eq!(dataset.pixels(), ramp.as_raw().as_slice(), "{store_size}");
    }
}

#[test]
fn no_crop_of_the_stored_image_is_enlarged() {
    // torchvision's defaults: the smallest crop of a square of side s is sqrt(0.08 * 0.75) s high
    let mut augment = AugmentConfig {
        size: 224,
        ..AugmentConfig::default()
    };
    augment.view_a.crop.scale = (0.08, 1.0);
    assert_eq!(augment.longest_useful_side(), 915);
    assert!(AugmentConfig::default().longest_useful_side() > 32);
}
