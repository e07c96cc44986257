//! One encoded image to RGB: upright, 8 bits a channel, over white, no larger than is asked for.
//!
//! What the bytes are decides the decoder, not a file's name. EXIF's orientation is applied. Transparent pixels are laid over white,
//! c a + 255 (1 - a). 16-bit values become round(v / 257). Of an animation the first frame is taken.
//!
//! Decoders read some truncated files without an error. JPEG is checked by a walk of its own ([`super::jpeg`]); WebP, BMP and TIFF
//! by the lengths that they state.

use std::io::Cursor;
use std::panic::catch_unwind;

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, Rgba,
    imageops::{FilterType, resize},
    metadata::Orientation,
};

use super::bounds::{Bounds, check_pixels};
use super::format::{FORMATS, unread_image};
use super::jpeg;
use crate::dataset::foreign;

/// More pixels than a photograph has; one such image is in memory at a time.
const LARGE: u64 = 1 << 26;

/// Decodes an image.
///
/// # Errors
/// A reason in words.
pub(super) fn decode(bytes: &[u8], bounds: Bounds<'_>) -> Result<RgbImage, String> {
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or_else(|| match unread_image(bytes) {
            Some(name) => format!("{name} is not read: convert it to PNG or JPEG"),
            None if bytes.is_empty() => "it is empty".to_owned(),
            None if bytes.starts_with(foreign::POINTER) => {
                "it is a Git LFS pointer: fetch the file with `git lfs pull`".to_owned()
            }
            None => "it is no image".to_owned(),
        })?;
    let may_turn = if format == ImageFormat::Jpeg {
        jpeg::inspect(bytes, bounds.max_pixels)?.has_exif
    } else {
        check_length(format, bytes)?;
        true
    };
    // Decoders have panicked on damaged files; such a file is broken, not this program.
    catch_unwind(|| read(bytes, format, may_turn, bounds))
        .map_err(|_| "its structure contradicts itself".to_owned())?
}

fn read(
    bytes: &[u8],
    format: ImageFormat,
    may_turn: bool,
    bounds: Bounds<'_>,
) -> Result<RgbImage, String> {
    let max_pixels = bounds.max_pixels;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // 16-bit RGBA, and as much again for the decoder
    limits.max_alloc = Some(max_pixels.saturating_mul(16).max(1 << 26));
    reader.limits(limits);
    let words = |error: image::ImageError| error.to_string();
    let mut decoder = reader.into_decoder().map_err(words)?;
    let (width, height) = decoder.dimensions();
    check_pixels(u64::from(width), u64::from(height), max_pixels)?;
    if width == 0 || height == 0 {
        return Err("it has no pixels".to_owned());
    }
    let _turn = (u64::from(width) * u64::from(height) > LARGE).then(|| bounds.large.lock());
    let orientation = if may_turn {
        decoder.orientation().map_err(words)?
    } else {
        Orientation::NoTransforms
    };
    let mut image = DynamicImage::from_decoder(decoder).map_err(words)?;
    image.apply_orientation(orientation);
    Ok(shrink(flatten(image), bounds.store_size))
}

/// Lengths that files state and decoders do not insist on.
fn check_length(format: ImageFormat, bytes: &[u8]) -> Result<(), String> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let stated = match format {
        ImageFormat::WebP => number(4).map(|length| length.saturating_add(8)),
        ImageFormat::Bmp => number(2),
        _ => return Ok(()),
    };
    match stated {
        Some(stated) if stated > bytes.len() => Err(format!(
            "the file ends early: it has {} bytes of {stated}",
            bytes.len()
        )),
        _ => Ok(()),
    }
}

/// RGB with 8 bits a channel, over white.
fn flatten(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image: ImageBuffer<Rgba<u8>, Vec<u8>> = image.into_rgba8();
    let mut flat = RgbImage::new(image.width(), image.height());
    for (to, from) in flat.pixels_mut().zip(image.pixels()) {
        let [red, green, blue, alpha] = from.0.map(u32::from);
        let over_white = |value: u32| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        to.0 = [red, green, blue].map(over_white);
    }
    flat
}

/// Brings the shorter side down to `store_size` (triangle filter, antialiased); leaves smaller images alone.
fn shrink(image: RgbImage, store_size: usize) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let shorter = width.min(height);
    if store_size == 0 || shorter <= store_size {
        return image;
    }
    let side = |length: usize| ((length * store_size + shorter / 2) / shorter) as u32;
    resize(&image, side(width), side(height), FilterType::Triangle)
}
