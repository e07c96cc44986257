//! How large an image may be, and how large it is kept.

use std::sync::Mutex;

/// What may be decoded, and how large it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// Most pixels of an image.
    pub(super) max_pixels: u64,
    /// Shorter side of images that are larger, 0 to keep all as they are.
    pub(super) store_size: usize,
    /// Held while a very large image is decoded.
    pub(super) large: &'a Mutex<()>,
}

/// An error if an image of that size has more pixels than `max_pixels`.
pub(super) fn check_pixels(width: u64, height: u64, max_pixels: u64) -> Result<(), String> {
    if width * height <= max_pixels {
        return Ok(());
    }
    Err(format!(
        "{width} x {height} pixels are more than data.max_pixels = {max_pixels}"
    ))
}
