//! Damaged image files of every format are errors that name the file, never wrong pixels.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod fixtures;

use std::path::Path;

use covary_data::{DataError, ReadOptions, Split, open};
use fixtures::{encode, picture};
use image::{ImageFormat, RgbImage};

/// Pixels of a file with these bytes, alone in a folder.
fn pixels(name: &str, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let dataset = open(folder.path(), Split::Train, &ReadOptions::default())?;
    Ok(dataset.image(0).pixels.to_vec())
}

/// A file in `tests/fixtures`.
fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    std::fs::read(folder.join(name)).unwrap()
}

/// JPEGs that Pillow wrote (`fixtures/jpegs.py`): baseline and progressive, with and without subsampling, restart markers, grey, CMYK.
const JPEGS: [&str; 6] = [
    "baseline.jpg",
    "progressive.jpg",
    "subsampled.jpg",
    "restarts.jpg",
    "grey.jpg",
    "cmyk_progressive.jpg",
];

fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    RgbImage::from_fn(width, height, |_, _| {
        image::Rgb([random(), random(), random()])
    })
}

#[test]
fn whole_jpegs_of_every_kind_are_read() {
    for name in JPEGS {
        assert!(pixels(name, &fixture(name)).is_ok(), "{name}");
    }
}

#[test]
fn a_jpeg_that_ends_early_is_an_error_wherever_it_ends() {
    for name in JPEGS {
        let whole = fixture(name);
        let expected = pixels(name, &whole).unwrap();
        for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let error = pixels(name, &whole[..length]).unwrap_err().to_string();
            assert!(error.contains(name), "{length} bytes: {error}");
            let mended = [&whole[..length], &[0xFF, 0xD9]].concat();
            if let Ok(found) = pixels(name, &mended) {
                assert_eq!(found, expected, "{name}: {length} bytes and an end");
            }
        }
    }
}

/// Compressed data carry no checksum: what is left may decode to the right number of blocks by chance.
#[test]
fn a_jpeg_with_bytes_missing_or_zeroed_is_mostly_an_error() {
    let (mut found, mut all) = (0, 0);
    for name in JPEGS {
        let whole = fixture(name);
        let scan = whole
            .windows(2)
            .position(|pair| pair == [0xFF, 0xDA])
            .unwrap();
        for start in (scan + 20..whole.len() - 50).step_by(37) {
            let without = [&whole[..start], &whole[start + 40..]].concat();
            let mut zeroed = whole.clone();
            zeroed[start..start + 40].fill(0);
            all += 2;
            found += usize::from(pixels(name, &without).is_err());
            found += usize::from(pixels(name, &zeroed).is_err());
        }
    }
    println!("{found} of {all}");
    assert!(found * 10 >= all * 8, "{found} of {all}");
}

#[test]
fn other_formats_that_end_early_are_errors_or_have_all_their_pixels() {
    let formats = [
        ("a.png", ImageFormat::Png),
        ("a.bmp", ImageFormat::Bmp),
        ("a.gif", ImageFormat::Gif),
        ("a.tiff", ImageFormat::Tiff),
        ("a.webp", ImageFormat::WebP),
    ];
    for (name, format) in formats {
        let files = [
            encode(&noise(40, 30), format),
            encode(&picture(40, 30, 7), format),
        ];
        for whole in files {
            check_cuts(name, &whole);
        }
    }
    check_cuts("lossy.webp", &fixture("lossy.webp"));
    check_cuts("lzw.tiff", &fixture("lzw.tiff"));
    check_cuts("jpeg.tiff", &fixture("jpeg.tiff"));
}

fn check_cuts(name: &str, whole: &[u8]) {
    let expected = pixels(name, whole).unwrap();
    for length in (0..whole.len()).step_by(11).chain([whole.len() - 1]) {
        if let Ok(found) = pixels(name, &whole[..length]) {
            assert_eq!(found, expected, "{name}, {length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn an_image_with_too_many_pixels_is_an_error_before_it_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    // 60,000 x 60,000 pixels of one colour, which are 15 MB as PNG: the header is enough
    let mut png = encode(&picture(8, 8, 0), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    std::fs::write(folder.path().join("bomb.png"), &png).unwrap();
    let error = open(folder.path(), Split::Train, &ReadOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("bomb.png") && text.contains("data.max_pixels"),
        "{text}"
    );
    let mut jpeg = fixture("baseline.jpg");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    let error = pixels("bomb.jpg", &jpeg).unwrap_err().to_string();
    assert!(error.contains("65535 x 65535"), "{error}");
}
