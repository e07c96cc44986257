//! Which image formats are read, told by the first bytes and not by a file's name.

use image::ImageFormat;

/// Formats that are read, by the bytes at their beginning.
pub(super) const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
];

/// Whether the bytes begin as an image that is read.
pub(in crate::dataset) fn is_image(head: &[u8]) -> bool {
    image::guess_format(head).is_ok_and(|format| FORMATS.contains(&format))
}

/// The name of an image format that is known and not read.
pub(in crate::dataset) fn unread_image(head: &[u8]) -> Option<String> {
    if let (Some(b"ftyp"), Some(brand)) = (head.get(4..8), head.get(8..12)) {
        let name = match brand {
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => "HEIC",
            b"avif" | b"avis" => "AVIF",
            _ => return None,
        };
        return Some(name.to_owned());
    }
    if head.starts_with(b"\xFF\x0A") || head.starts_with(b"\0\0\0\x0CJXL ") {
        return Some("JPEG XL".to_owned());
    }
    if head.starts_with(b"\0\0\0\x0CjP  ") {
        return Some("JPEG 2000".to_owned());
    }
    let format = image::guess_format(head).ok()?;
    (!FORMATS.contains(&format)).then(|| format!("{format:?}"))
}
