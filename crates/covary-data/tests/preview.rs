//! The preview shows the images themselves, enlarged, and their views beside them.

use std::path::Path;

use covary_data::{AugmentConfig, PreviewOptions, ReadOptions, Split, open, preview};

#[test]
fn the_first_column_holds_the_enlarged_images() {
    let dataset = open(
        Path::new("synthetic:8"),
        Split::Train,
        &ReadOptions::default(),
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("preview.png");
    let options = PreviewOptions {
        images: 3,
        views: 2,
        ..PreviewOptions::default()
    };
    preview(&dataset, &AugmentConfig::default(), options, &path).unwrap();
    let picture = image::open(&path).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (3 * 100 + 8, 3 * 100 + 4));
    let mut views_differ = false;
    for y in 0..96 {
        for x in 0..96 {
            let expected = &dataset.image(1).pixels[(y / 3 * 32 + x / 3) * 3..][..3];
            assert_eq!(picture.get_pixel(4 + x as u32, 104 + y as u32).0, expected);
            let view = |column: u32| picture.get_pixel(8 + column * 100 + x as u32, 104 + y as u32);
            views_differ |= view(1) != view(2);
        }
    }
    assert!(views_differ);
}
