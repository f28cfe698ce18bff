//! Pictures in files: which classes they are of, how they come out, and damaged ones.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;
use taper_trainer::data::{Dataset, ImageFiles, Loader, open_image};
use taper_trainer::{Error, Result};

const SHAPE: [usize; 3] = [3, 2, 4];

fn colours() -> RgbImage {
    RgbImage::from_fn(4, 2, |x, y| Rgb([x as u8 * 10, y as u8 * 100, 200 + x as u8]))
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn expected() -> Vec<f32> {
    let plane =
        |value: fn(u8, u8) -> u8| (0..8).map(move |i| f32::from(value(i % 4, i / 4)) / 255.0).collect::<Vec<_>>();
    [plane(|x, _| x * 10), plane(|_, y| y * 100), plane(|x, _| 200 + x)].concat()
}

fn refusal<T>(result: Result<T>) -> String {
    let Err(error) = result else { panic!("must be refused") };
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

/// A data set of one file with this content.
fn one_file(folder: &Path, content: &[u8]) -> Result<ImageFiles> {
    fs::create_dir_all(folder.join("class")).unwrap();
    fs::write(folder.join("class/picture.png"), content).unwrap();
    ImageFiles::from_folder(folder, SHAPE)
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for folder in ["beta", "Alpha", "gamma 10", ".hidden"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    colours().save(root.join("beta/2.png")).unwrap();
    colours().save(root.join("beta/10.PNG")).unwrap();
    colours().save(root.join("Alpha/a.jpeg")).unwrap();
    // Its first bytes tell what it is.
    fs::write(root.join("gamma 10/c.jpg"), encoded(&colours(), ImageFormat::Png)).unwrap();
    for other in ["beta/notes.txt", "beta/.hidden.png", "list.csv", ".hidden/d.png"] {
        fs::write(root.join(other), "no picture").unwrap();
    }
    let dataset = ImageFiles::from_folder(root, SHAPE).unwrap();
    assert_eq!(dataset.classes(), ["Alpha", "beta", "gamma 10"]);
    let targets: Vec<u32> = (0..dataset.len()).map(|i| dataset.target(i).unwrap()).collect();
    assert_eq!(targets, [0, 1, 1, 2]);
    for index in [1, 2, 3] {
        let sample = dataset.get(index).unwrap();
        assert_eq!((sample.input, sample.target), (expected(), targets[index]));
    }
    assert!(dataset.get(4).is_err() && dataset.target(4).is_err());

    let loader = Loader::new(dataset, 3).unwrap().shuffle(true).workers(2);
    assert_eq!(loader.epoch(0, 0).map(|batch| batch.unwrap().indices.len()).sum::<usize>(), 4);
}

#[test]
fn grey_colour_transparency_and_size_are_brought_to_the_shape() {
    let root = tempfile::tempdir().unwrap();
    let class = root.path().join("class");
    fs::create_dir(&class).unwrap();
    GrayImage::from_pixel(4, 2, Luma([51])).save(class.join("1.png")).unwrap();
    RgbaImage::from_pixel(4, 2, Rgba([51, 102, 204, 0])).save(class.join("2.png")).unwrap();
    GrayImage::from_fn(8, 4, |x, _| Luma([if x < 4 { 0 } else { 255 }])).save(class.join("3.png")).unwrap();
    let dataset = ImageFiles::from_folder(root.path(), SHAPE).unwrap();
    assert_eq!(dataset.get(0).unwrap().input, [0.2; 24]);
    assert_eq!(dataset.get(1).unwrap().input, [[0.2; 8], [0.4; 8], [0.8; 8]].concat());
    let halves = dataset.get(2).unwrap().input;
    assert!(
        halves.chunks(4).all(|row| row[0] < row[1] && row[1] < 0.5 && row[2] > 0.5 && row[2] < row[3]),
        "{halves:?}"
    );
    let grey = ImageFiles::from_folder(root.path(), [1, 2, 4]).unwrap();
    assert_eq!(grey.get(0).unwrap().input, [0.2; 8]);
}

#[test]
fn a_csv_file_names_pictures_and_labels() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir(root.join("pictures")).unwrap();
    for name in ["a.png", "b, \"best\".png"] {
        colours().save(root.join("pictures").join(name)).unwrap();
    }
    let csv = root.join("labels.csv");
    let read = |text: &str| {
        fs::write(&csv, text).unwrap();
        ImageFiles::from_csv(&csv, SHAPE)
    };
    let targets =
        |dataset: &ImageFiles| -> Vec<u32> { (0..dataset.len()).map(|i| dataset.target(i).unwrap()).collect() };
    let named = read("path,label\r\npictures/a.png,dog\n\n\"pictures/b, \"\"best\"\".png\", cat \n").unwrap();
    assert_eq!((named.classes(), targets(&named)), (["cat".to_owned(), "dog".to_owned()].as_slice(), vec![1, 0]));
    assert_eq!(named.get(0).unwrap().input, expected());
    assert_eq!(named.get(1).unwrap().input, expected());
    let numbered = read("path,label\npictures/a.png,10\npictures/a.png,2\n").unwrap();
    assert_eq!((numbered.classes().len(), targets(&numbered)), (11, vec![10, 2]));
    assert!(read("path,label\n").unwrap().is_empty());
    // As a spreadsheet writes it, and as people do.
    let marked = read("\u{feff}path,label\npictures/a.png,3\n").unwrap();
    assert_eq!(targets(&marked), [3]);
    let spaced = read("path, label\n \"pictures/b, \"\"best\"\".png\" , \"c d\" \n").unwrap();
    assert_eq!((spaced.classes(), spaced.get(0).unwrap().input), (["c d".to_owned()].as_slice(), expected()));
    let negative = read("path,label\npictures/a.png,-1\npictures/a.png,1\n").unwrap();
    assert_eq!(negative.classes(), ["-1", "1"], "names, since one is no number from 0 on");

    let shown = csv.display().to_string();
    for (text, reason) in [
        ("", "its first line must be `path,label`"),
        ("label,path\n", "its first line must be `path,label`"),
        ("path,label\na.png\n", "line 2 must be a path, a comma and a label"),
        ("path,label\n\na.png,1,2\n", "line 3 must be a path, a comma and a label"),
        ("path,label\n\"a.png,1\n", "line 2 must be a path, a comma and a label"),
        ("path,label\n\"a.png\"b,1\n", "line 2 must be a path, a comma and a label"),
        ("path,label\na.png,\n", "line 2 must be a path, a comma and a label"),
        ("path,label\na.png,65536\n", "class 65536 must be below 65536"),
    ] {
        assert_eq!(refusal(read(text)), format!("{shown}: {reason}"));
    }
    let absent = read("path,label\nabsent.png,1\n").unwrap();
    assert!(refusal(absent.get(0)).starts_with(&format!("cannot read {}: ", root.join("absent.png").display())));
    fs::write(&csv, [0xff, 0xfe, 0x00]).unwrap();
    assert!(refusal(ImageFiles::from_csv(&csv, SHAPE)).starts_with("cannot read "));
}

#[test]
fn folders_and_shapes_are_checked() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let shown = root.display();
    assert_eq!(
        refusal(ImageFiles::from_folder(root, SHAPE)),
        format!("{shown}: there is no folder in it, and each class must have one")
    );
    fs::create_dir(root.join("empty")).unwrap();
    assert!(refusal(ImageFiles::from_folder(root, SHAPE)).contains("empty: no picture (.png, .jpg or .jpeg) is in"));
    assert!(refusal(ImageFiles::from_folder(root.join("absent"), SHAPE)).starts_with("cannot read "));
    assert_eq!(
        refusal(ImageFiles::from_folder(root, [2, 3, 4])),
        "ImageFiles: shape must be [1, H, W] or [3, H, W], got [2, 3, 4]"
    );
    assert!(refusal(ImageFiles::from_folder(root, [3, 0, 4])).contains("size must be [height, width]"));
}

#[test]
fn a_picture_cut_anywhere_is_refused_and_named() {
    let root = tempfile::tempdir().unwrap();
    let picture =
        RgbImage::from_fn(40, 30, |x, y| Rgb([(x * y % 256) as u8, (x * 7 % 256) as u8, (y * 11 % 256) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let bytes = encoded(&picture, format);
        assert!(one_file(root.path(), &bytes).unwrap().get(0).is_ok());
        // A PNG's last chunk holds nothing.
        for end in (0..bytes.len() - 12).step_by(bytes.len() / 60 + 1) {
            let message = refusal(one_file(root.path(), &bytes[..end]).unwrap().get(0));
            assert!(message.contains("picture.png: "), "{message}");
        }
    }
    let message = refusal(one_file(root.path(), b"<html>log in</html>").unwrap().get(0));
    assert!(message.ends_with("; replace the file, or remove it"), "{message}");
}

#[test]
fn a_small_file_that_promises_a_huge_picture_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut png = encoded(&colours(), ImageFormat::Png);
    for side in [32_769u32, 30_000, u32::MAX / 2] {
        png[16..20].copy_from_slice(&side.to_be_bytes());
        png[20..24].copy_from_slice(&side.to_be_bytes());
        let check = crc32(&png[12..29]).to_be_bytes();
        png[29..33].copy_from_slice(&check);
        let error = one_file(root.path(), &png).unwrap().get(0).unwrap_err();
        assert!(matches!(error, Error::DataFile { .. }), "{error}");
    }
}

/// A PNG's header that promises grey pixels of 8 bits, and nothing after it.
fn promise(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::new(1, 1).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let mut png = bytes.into_inner();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let check = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&check);
    png
}

#[test]
fn the_memory_of_what_is_made_of_a_picture_counts_too() {
    // 60 megapixels of grey are 60 MB decoded and 1.1 GB as three planes of `f32` by way of `u16`.
    let root = tempfile::tempdir().unwrap();
    let message = refusal(one_file(root.path(), &promise(10_000, 6_000)).unwrap().get(0));
    assert!(message.contains("10000 × 6000 pixels take 1140000000 bytes, and may take 1073741824; "), "{message}");
    let picture = root.path().join("class/picture.png");
    let message = refusal(open_image(&picture));
    assert!(!message.contains("may take"), "it is within the limit, and cut short: {message}");
    fs::write(&picture, promise(32_768, 32_768)).unwrap();
    assert!(!refusal(open_image(&picture)).contains("may take"), "2³⁰ bytes are just within");
    fs::write(&picture, promise(32_769, 2)).unwrap();
    assert!(open_image(&picture).is_err());
}

/// A JPEG with an EXIF block that says how its camera was held.
fn held(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let jpeg = encoded(picture, ImageFormat::Jpeg);
    let tiff = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0], &[0; 4]].concat();
    let block = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = (block.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &block, &jpeg[2..]].concat()
}

#[test]
fn pictures_are_turned_upright_as_their_camera_says() {
    // The left half is dark.
    let picture = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 10 } else { 240 }; 3]));
    let root = tempfile::tempdir().unwrap();
    let dark = |orientation: u8| {
        fs::create_dir_all(root.path().join("class")).unwrap();
        let path = root.path().join("class/picture.png");
        fs::write(&path, held(&picture, orientation)).unwrap();
        let opened = open_image(&path).unwrap().to_luma8();
        let (width, height) = opened.dimensions();
        let at = |x: u32, y: u32| opened.get_pixel(x, y).0[0] < 100;
        let sample = ImageFiles::from_folder(root.path(), [1, 4, 4]).unwrap().get(0).unwrap().input;
        let [left, top] = [sample[0] < 0.5 && sample[12] < 0.5, sample[0] < 0.5 && sample[3] < 0.5];
        let (x, y) = (width / 2, height / 2);
        let [shown_left, shown_top] = [at(1, 1) && at(1, height - 2), at(1, 1) && at(width - 2, 1)];
        assert_eq!((left, top), (shown_left, shown_top), "a data set opens it as `open_image` does");
        assert!(at(x - 3, y - 3) || at(x + 2, y + 2));
        (width, height, shown_left, shown_top)
    };
    assert_eq!(dark(1), (32, 16, true, false));
    assert_eq!(dark(3), (32, 16, false, false));
    assert_eq!(dark(6), (16, 32, false, true));
    assert_eq!(dark(8), (16, 32, false, false));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn random_and_damaged_bytes_are_a_picture_or_an_error(
        format in 0usize..3, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut bytes = match format {
            0 => encoded(&colours(), ImageFormat::Png),
            1 => encoded(&colours(), ImageFormat::Jpeg),
            _ => noise,
        };
        if !bytes.is_empty() {
            for (place, value) in damage {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
        }
        match one_file(root.path(), &bytes).unwrap().get(0) {
            Ok(sample) => prop_assert_eq!(sample.input.len(), 24),
            Err(error) => prop_assert!(matches!(error, Error::DataFile { .. }), "{}", error),
        }
    }
}
