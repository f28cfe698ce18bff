//! Pictures of batches: every pixel where it belongs, and what cannot be drawn.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use taper_trainer::data::save_image_grid;

#[test]
fn each_pixel_stands_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.png");
    // Five pictures [3, 2, 4] in two columns; the values are 0 to 119.
    let images = Tensor::arange(0f64, 120., &Device::Cpu).unwrap().reshape((5, 3, 2, 4)).unwrap();
    save_image_grid(&path, &images, 2, 3).unwrap();
    let picture = image::open(&path).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (2 + 2 * (4 * 3 + 2), 2 + 3 * (2 * 3 + 2)));
    let mut seen = 0;
    for (x, y, pixel) in picture.enumerate_pixels() {
        let (x, y) = (x as i64 - 2, y as i64 - 2);
        let (column, row, x, y) = (x.div_euclid(14), y.div_euclid(8), x.rem_euclid(14) / 3, y.rem_euclid(8) / 3);
        let place = row * 2 + column;
        let inside = column >= 0 && row >= 0 && x < 4 && y < 2 && place < 5;
        let level = |channel: i64| (((place * 3 + channel) * 2 + y) * 4 + x) as f64 / 119.0 * 255.0;
        let expected = if inside { [0, 1, 2].map(|channel| level(channel).round() as u8) } else { [128; 3] };
        assert_eq!(pixel.0, expected, "{x} {y} of {place}");
        seen += usize::from(inside);
    }
    assert_eq!(seen, 5 * 8 * 9);
}

#[test]
fn one_channel_is_grey_and_no_value_is_too_strange() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.png");
    let values = [-2f32, 6.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2.0];
    let images = Tensor::from_slice(&values, (1, 1, 2, 3), &Device::Cpu).unwrap();
    save_image_grid(&path, &images, 8, 1).unwrap();
    let picture = image::open(&path).unwrap().into_rgb8();
    let levels: Vec<[u8; 3]> = (0..6).map(|i| picture.get_pixel(2 + i % 3, 2 + i / 3).0).collect();
    assert_eq!(levels, [[0; 3], [255; 3], [0; 3], [255; 3], [0; 3], [128; 3]]);
    let even = Tensor::ones((2, 1, 2, 3), DType::U8, &Device::Cpu).unwrap();
    save_image_grid(&path, &even, 8, 1).unwrap();
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let refusal = |shape: &[usize], columns, zoom| {
        save_image_grid("nowhere/grid.png", &zeros(shape), columns, zoom).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(&[2, 2, 3, 4], 2, 1),
        "save_image_grid: images must be of shape [N, 1 or 3, H, W], got shape [2, 2, 3, 4]"
    );
    assert!(refusal(&[3, 4], 2, 1).contains("got shape [3, 4]"));
    assert!(refusal(&[0, 1, 3, 4], 2, 1).contains("some pictures of some pixels"));
    assert!(refusal(&[2, 1, 3, 4], 0, 1).contains("columns and zoom must be at least 1, got 0 and 1"));
    for zoom in [100_000, usize::MAX] {
        assert!(refusal(&[2, 1, 3, 4], 2, zoom).contains("few and small enough for 2²⁸ pixels"));
    }
    assert!(refusal(&[2, 1, 3, 4], 2, 1).starts_with("cannot write nowhere/grid.png: "));
}
