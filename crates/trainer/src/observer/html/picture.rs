//! Pictures within the page: PNG, as data URIs.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

/// A picture `[C, H, W]` of one or three channels as a data URI, its least value black and its greatest full light; `None`
/// for values of another shape.
pub(super) fn data_uri(values: &[f32], shape: &[usize]) -> Option<String> {
    let &[channels @ (1 | 3), height, width] = shape else { return None };
    let plane = height * width;
    if plane == 0 || values.len() != channels * plane {
        return None;
    }
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, most) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    // The cast saturates, and makes NaN black.
    let level = |value: f32| ((value - least) / (most - least) * 255.0).round() as u8;
    let mut rows = Vec::with_capacity(height * (1 + channels * width));
    for y in 0..height {
        // The row is not predicted from the one above.
        rows.push(0);
        for x in 0..width {
            rows.extend((0..channels).map(|channel| level(values[channel * plane + y * width + x])));
        }
    }
    let png = png(u32::try_from(width).ok()?, u32::try_from(height).ok()?, channels == 3, &rows);
    Some(format!("data:image/png;base64,{}", base64(&png)))
}

/// Source: the PNG specification (third edition), sections 5 and 11.
fn png(width: u32, height: u32, coloured: bool, rows: &[u8]) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits a sample; grey or red, green and blue; and the only methods there are, not interlaced.
    header.extend([8, if coloured { 2 } else { 0 }, 0, 0, 0]);
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = deflated.write_all(rows);
    let deflated = deflated.finish().unwrap_or_default();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", &header), (b"IDAT", &deflated), (b"IEND", &Vec::new())] {
        png.extend((content.len() as u32).to_be_bytes());
        let named = [name.as_slice(), content].concat();
        png.extend(&named);
        png.extend(crc32fast::hash(&named).to_be_bytes());
    }
    png
}

/// Source: RFC 4648, section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let sextet = (group >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= chunk.len() { char::from(DIGITS[sextet]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn what_is_no_picture_is_none() {
        for shape in [&[2, 1, 1][..], &[1, 1], &[1, 0, 3], &[1, 2, 2]] {
            assert_eq!(data_uri(&[0.0, 1.0], shape), None, "{shape:?}");
        }
        assert!(data_uri(&[f32::NAN, 1.0], &[1, 1, 2]).is_some());
    }

    #[cfg(feature = "images")]
    #[test]
    fn a_decoder_reads_the_pixels() {
        let values: Vec<f32> = (0..3 * 2 * 5).map(|i| -1.0 + i as f32 / 29.0 * 3.0).collect();
        for channels in [1, 3] {
            let shape = [channels, 2, 5];
            let count = channels * 10;
            let uri = data_uri(&values[..count], &shape).unwrap();
            let digits = uri.strip_prefix("data:image/png;base64,").unwrap();
            let picture = image::load_from_memory(&decoded(digits)).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), (5, 2));
            for (x, y, pixel) in picture.enumerate_pixels() {
                let level = |channel: usize| {
                    let at = channel.min(channels - 1) * 10 + y as usize * 5 + x as usize;
                    (at as f32 / (count - 1) as f32 * 255.0).round() as i32
                };
                for channel in 0..3 {
                    assert!((i32::from(pixel[channel]) - level(channel)).abs() <= 1, "{x} {y} {pixel:?}");
                }
            }
        }
    }

    #[cfg(feature = "images")]
    fn decoded(digits: &str) -> Vec<u8> {
        let value = |digit: u8| match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let bytes = |group: &[u8]| {
            let number = group.iter().fold(0, |number, digit| number << 6 | u32::from(value(*digit)));
            let padding = group.iter().filter(|digit| **digit == b'=').count();
            number.to_be_bytes()[1..4 - padding].to_vec()
        };
        digits.as_bytes().chunks(4).flat_map(bytes).collect()
    }
}
