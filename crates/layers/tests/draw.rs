//! The drawing of a network: well-formed whatever it is called, complete, the same each time, and within its edges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use roxmltree::{Document, Node};
use taper_layers::{
    BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential, Summary,
    VarStore, draw, summary,
};

fn lenet() -> Sequential {
    let store = VarStore::new(1, DType::F32, &Device::Cpu);
    let vb = store.builder();
    Sequential::new()
        .add(Conv2d::new(1, 6, 5, Conv2dConfig::default().padding(2), vb.pp("conv1")).unwrap())
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Conv2d::new(6, 16, 5, Conv2dConfig::default(), vb.pp("conv2")).unwrap())
        .add(BatchNorm2d::new(16, BatchNormConfig::default(), vb.pp("bn")).unwrap())
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten::default())
        .add(Dropout::new(0.5))
        .add(Linear::new(400, 10, vb.pp("fc")).unwrap())
}

/// `blocks` of convolution, normalisation, activation and pooling or dropout, as far as there is a map to narrow.
fn deep(blocks: usize) -> Sequential {
    let store = VarStore::new(1, DType::F32, &Device::Cpu);
    let vb = store.builder().pp("features");
    (0..blocks).fold(Sequential::new(), |net, block| {
        let channels = |block: usize| 4 << (block / 5).min(3);
        let (from, to) = (if block == 0 { 3 } else { channels(block - 1) }, channels(block));
        let config = Conv2dConfig::default().padding(1).bias(false);
        let net = net
            .add(Conv2d::new(from, to, 3, config, vb.pp(format!("{block}.conv"))).unwrap())
            .add(BatchNorm2d::new(to, BatchNormConfig::default(), vb.pp(format!("{block}.bn"))).unwrap())
            .add(ReLU);
        if block % 5 == 4 { net.add(MaxPool2d::new(2)) } else { net.add(Dropout::new(0.1)) }
    })
}

fn table(net: &Sequential, shape: &[usize]) -> Summary {
    summary(net, shape, DType::F32, &Device::Cpu).unwrap()
}

fn number(node: &Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).unwrap().parse().unwrap()
}

fn points(polygon: &Node<'_, '_>) -> Vec<[f64; 2]> {
    let points = polygon.attribute("points").unwrap().split(' ');
    points.map(|it| it.split_once(',').map(|(x, y)| [x, y].map(|it| it.parse().unwrap())).unwrap()).collect()
}

/// The texts of each layer, the input's first.
fn groups(document: &Document<'_>) -> Vec<Vec<String>> {
    let groups = document.descendants().filter(|node| node.has_tag_name("g"));
    let texts = |group: Node<'_, '_>| {
        let texts =
            group.descendants().filter(|node| node.is_text()).map(|node| node.text().unwrap().trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect()
    };
    groups.map(texts).collect()
}

#[test]
fn each_layer_is_told_with_its_sizes() {
    let svg = draw(&table(&lenet(), &[1, 1, 28, 28]));
    let document = Document::parse(&svg).unwrap();
    let groups = groups(&document);
    assert_eq!(groups.len(), 11);
    assert_eq!(groups[0], ["input [1, 1, 28, 28]", "input", "1 × 28 × 28"]);
    let arguments = "1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2)";
    let sizes = "6 × 28 × 28 · 156 parameters, 117,600 multiply-adds";
    assert_eq!(groups[1], [&format!("conv1: Conv2d({arguments})"), "conv1", "Conv2d", sizes, arguments]);
    assert_eq!(groups[2], ["ReLU: ReLU()", "ReLU", "6 × 28 × 28"]);
    assert_eq!(groups[9], ["Dropout: Dropout(p=0.5)", "Dropout", "400", "p=0.5"]);
    // The input's frame, a box a layer, and the seven families of the legend.
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("polygon")).count(), 1 + 10 + 7);
    for family in ["convolution", "pooling", "normalisation", "activation", "dropout", "linear", "shape"] {
        assert!(svg.contains(&format!(">{family}<")), "{family}");
    }
    assert!(!svg.contains(">other<"));
    assert!(svg.contains("10 layers, 6,614 parameters, 361,600 multiply-adds"), "{svg}");
}

#[test]
fn each_box_begins_as_wide_as_the_one_above_it_ends() {
    let svg = draw(&table(&deep(20), &[1, 3, 32, 32]));
    let document = Document::parse(&svg).unwrap();
    let boxes: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("g"))
        .map(|group| points(&group.children().find(|node| node.has_tag_name("polygon")).unwrap()))
        .collect();
    assert_eq!(boxes.len(), 81);
    for pair in boxes.windows(2) {
        let widths = [pair[0][2][0] - pair[0][3][0], pair[1][1][0] - pair[1][0][0]];
        assert!((widths[0] - widths[1]).abs() < 1e-9, "{pair:?}");
    }
    let below = |at: usize| boxes[at][2][0] - boxes[at][3][0];
    assert!(below(20) < below(19), "the first pooling narrows the map");
    assert!((below(0) - 112.0).abs() < 1e-9, "{}", below(0));
}

#[test]
fn networks_of_any_length_are_whole_and_within_the_edges() {
    for blocks in [0, 1, 5, 6, 20] {
        let svg = draw(&table(&deep(blocks), &[2, 3, 33, 35]));
        let document = Document::parse(&svg).unwrap();
        let root = document.root_element();
        let (width, height) = (number(&root, "width"), number(&root, "height"));
        assert!(height <= 22.0 * 58.0 + 112.0, "{height}");
        let columns: Vec<_> = root.children().filter(|node| node.has_tag_name("svg")).collect();
        assert_eq!(columns.len(), (4 * blocks + 1).div_ceil(22));
        let mut boxes = 0;
        for column in columns {
            assert!(number(&column, "x") + number(&column, "width") <= width);
            assert!(number(&column, "y") + number(&column, "height") <= height);
            for polygon in column.descendants().filter(|node| node.has_tag_name("polygon")) {
                boxes += 1;
                let (across, down) = (0.0..=120.0, 0.0..=number(&column, "height"));
                let inside = |[x, y]: [f64; 2]| across.contains(&x) && down.contains(&y);
                assert!(points(&polygon).into_iter().all(inside), "{:?}", points(&polygon));
            }
        }
        assert_eq!(boxes, 4 * blocks + 1);
    }
}

#[test]
fn a_network_without_maps_tapers_by_its_features() {
    let store = VarStore::new(1, DType::F32, &Device::Cpu);
    let vb = store.builder();
    let linear = |from, to, name: &str| Linear::new(from, to, vb.pp(name)).unwrap();
    let net = Sequential::new().add(linear(64, 16, "fc1")).add(linear(16, 4, "fc2"));
    let svg = draw(&table(&net, &[1, 64]));
    let document = Document::parse(&svg).unwrap();
    let groups = document.descendants().filter(|node| node.has_tag_name("g"));
    let widths: Vec<f64> = groups
        .map(|group| points(&group.children().find(|node| node.has_tag_name("polygon")).unwrap()))
        .map(|points| points[2][0] - points[3][0])
        .collect();
    assert_eq!(widths, [112.0, 56.0, 28.0]);
}

#[test]
fn equal_networks_give_equal_bytes() {
    assert_eq!(draw(&table(&lenet(), &[1, 1, 28, 28])), draw(&table(&lenet(), &[1, 1, 28, 28])));
}

#[test]
fn a_layer_from_elsewhere_is_other_and_its_cost_is_a_question() {
    let net = Sequential::new().add_module("twice", |x: &Tensor| x * 2.0);
    let svg = draw(&table(&net, &[1, 3]));
    assert!(svg.contains(">other<") && svg.contains("3 · ? parameters, ? multiply-adds"), "{svg}");
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_label_is_well_formed_and_told_in_full(label in any::<String>(), more in "[<>&'\"\\]\\x00-\\x20]{0,80}") {
        let label = label + &more;
        let net = Sequential::new().add_module(label.clone(), |x: &Tensor| x * 2.0);
        let svg = draw(&table(&net, &[1, 3]));
        let document = Document::parse(&svg).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let titles: Vec<_> = document.descendants().filter(|node| node.has_tag_name("title")).collect();
        let held = |c: char| match c {
            '\t' | '\n' | '\r' => ' ',
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            other => other,
        };
        let expected: String = format!("{label}: {label}").chars().map(held).collect();
        prop_assert_eq!(titles[1].text(), Some(expected.as_str()));
    }
}

/// `cargo test -p taper-layers --test draw -- --ignored`, to look at them.
#[test]
#[ignore = "leaves drawings in the temporary folder, to be looked at"]
fn leaves_drawings() {
    for (name, net, shape) in
        [("three", deep(1), [1, 3, 32, 32]), ("lenet", lenet(), [1, 1, 28, 28]), ("eighty", deep(20), [1, 3, 64, 64])]
    {
        let path = std::env::temp_dir().join(format!("taper-{name}.svg"));
        std::fs::write(&path, draw(&table(&net, &shape))).unwrap();
        eprintln!("{}", path.display());
    }
}
