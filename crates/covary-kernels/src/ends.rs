//! The ends of an encoder: images into maps with padded channels, and the mean over pixels.

use rayon::prelude::*;

use crate::element::{Element, padded};

/// Rounds images to storage, with channels padded by zeros.
///
/// # Shapes
/// - images: `[images, pixels, channels]`
/// - out: `[images, pixels, padded channels]`, resized; its padding must be as it was first made
pub fn store_images<T: Element>(images: &[f32], pixels: usize, channels: usize, out: &mut Vec<T>) {
    let (len, stored) = (pixels * channels, pixels * padded(channels));
    out.resize(images.len() / len * stored, T::default());
    out.par_chunks_mut(stored)
        .zip(images.par_chunks(len))
        .for_each(|(padded, image)| put_pixels(image, channels, padded));
}

/// Rounds `[pixels, channels]` into the front of padded pixels.
pub(crate) fn put_pixels<T: Element>(image: &[f32], channels: usize, padded_image: &mut [T]) {
    let pixels = padded_image.chunks_exact_mut(padded(channels));
    for (pixel, values) in pixels.zip(image.chunks_exact(channels)) {
        let values = values.iter().map(|value| T::round(*value));
        pixel
            .iter_mut()
            .zip(values)
            .for_each(|(to, value)| *to = value);
    }
}

/// The mean over pixels: `[images, pixels, padded channels]` to `[images, channels]` in f32, pixels added in order.
pub fn average_pool<T: Element>(x: &[T], pixels: usize, channels: usize, out: &mut [f32]) {
    let images = x
        .par_chunks(pixels * padded(channels))
        .zip(out.par_chunks_mut(channels));
    images.for_each(|(image, out)| {
        out.fill(0.0);
        for pixel in image.chunks_exact(padded(channels)) {
            out.iter_mut()
                .zip(pixel)
                .for_each(|(sum, value)| *sum += value.widen());
        }
        out.iter_mut().for_each(|sum| *sum /= pixels as f32);
    });
}
