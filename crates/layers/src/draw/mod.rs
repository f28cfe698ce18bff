//! A drawing of a network: what each layer makes of the map before it, as SVG.

mod family;
mod svg;

use self::family::Family;
use self::svg::{Svg, shortened};
use crate::summary::{Summary, SummaryRow, thousands};

/// The most rows of a column; a longer network is drawn in several, side by side.
const ROWS: usize = 22;
const ROW: f64 = 58.0;
const COLUMN: f64 = 500.0;
const MARGIN: f64 = 20.0;
/// Above the columns: the title, and the legend in one line or two.
const HEADER: f64 = 92.0;
const LEGEND: f64 = 18.0;
/// The middle of the maps, from the left of their column.
const AXIS: f64 = 62.0;
/// Half the width of the widest and of the narrowest map.
const WIDEST: f64 = 56.0;
const NARROWEST: f64 = 7.0;
const TEXT: f64 = 134.0;

/// Draws the layers of a summary as an SVG document that stands for itself.
///
/// Each layer is a box in the colour of its family, from above as wide as the map that it is handed, and below as the one that
/// it hands on (by the square root of the map's extent): so a network that narrows its map tapers. Beside it stand name, kind,
/// the output's shape without the batch, parameters and arguments. A long network goes on in the next column.
///
/// Equal summaries give equal bytes. The text is escaped; readers that prefer a dark scheme get one.
///
/// ```
/// use candle_core::{DType, Device};
/// use taper_layers::{Conv2d, Conv2dConfig, Flatten, Linear, MaxPool2d, Sequential, VarStore, draw, summary};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let vb = store.builder();
/// let net = Sequential::new()
///     .add(Conv2d::new(1, 4, 3, Conv2dConfig::default(), vb.pp("conv"))?)
///     .add(MaxPool2d::new(2))
///     .add(Flatten::default())
///     .add(Linear::new(144, 10, vb.pp("fc"))?);
/// let svg = draw(&summary(&net, (1, 1, 14, 14), DType::F32, &Device::Cpu)?);
/// assert!(svg.starts_with("<svg ") && svg.contains("4 × 12 × 12"));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn draw(summary: &Summary) -> String {
    let boxes = summary.rows.len() + 1;
    let columns = boxes.div_ceil(ROWS);
    let rows = boxes.div_ceil(columns);
    let families =
        Family::ALL.into_iter().filter(|family| summary.rows.iter().any(|row| Family::of(&row.kind) == *family));
    let families: Vec<Family> = families.collect();
    let width = columns as f64 * COLUMN + 2.0 * MARGIN;
    let mut svg = Svg::new(width, HEADER + rows as f64 * ROW + MARGIN, &title(summary));
    header(&mut svg, summary, &families, width - MARGIN);

    let widths = Widths::of(summary);
    for place in 0..boxes {
        if place % rows == 0 {
            let left = MARGIN + (place / rows) as f64 * COLUMN;
            svg.begin_column(left, HEADER, COLUMN, rows as f64 * ROW);
        }
        let top = (place % rows) as f64 * ROW;
        match place.checked_sub(1).map(|index| &summary.rows[index]) {
            None => input(&mut svg, top, &summary.input_shape, &widths),
            Some(row) => layer(&mut svg, top, row, &widths),
        }
        if place % rows == rows - 1 || place == boxes - 1 {
            svg.end_column();
        }
    }
    svg.finish()
}

fn title(summary: &Summary) -> String {
    let layers = match summary.rows.len() {
        1 => "1 layer".to_owned(),
        count => format!("{count} layers"),
    };
    let numbers = numbers(Some(summary.parameters() as u64), Some(summary.multiply_adds()));
    [layers, numbers].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What is known to be none is not told.
fn numbers(parameters: Option<u64>, multiply_adds: Option<u64>) -> String {
    let counts = [(parameters, "parameters"), (multiply_adds, "multiply-adds")];
    let told = counts.into_iter().filter(|(count, _)| *count != Some(0));
    let told = told.map(|(count, what)| format!("{} {what}", count.map_or_else(|| "?".to_owned(), thousands)));
    told.collect::<Vec<_>>().join(", ")
}

fn header(svg: &mut Svg, summary: &Summary, families: &[Family], right: f64) {
    svg.text([MARGIN, 30.0], 16.0, "bold", "ink", &shortened(&title(summary), 56));
    let (mut left, mut top) = (MARGIN, 46.0);
    for family in families {
        // As wide as the text in a wide font.
        let width = 34.0 + 7.2 * family.name().chars().count() as f64;
        if left + width > right {
            (left, top) = (MARGIN, top + LEGEND);
        }
        svg.quadrilateral([left, left + 12.0], [left, left + 12.0], [top, top + 12.0], family.colour());
        svg.text([left + 17.0, top + 10.5], 12.0, "normal", "muted", family.name());
        left += width;
    }
}

fn input(svg: &mut Svg, top: f64, shape: &[usize], widths: &Widths) {
    let half = widths.half(shape);
    svg.begin_group(&format!("input {shape:?}"));
    svg.quadrilateral([AXIS - half, AXIS + half], [AXIS - half, AXIS + half], [top + 2.0, top + ROW - 4.0], "none");
    svg.text([TEXT, top + 24.0], 14.0, "bold", "ink", "input");
    svg.text([TEXT, top + 42.0], 12.0, "normal", "ink", &extents(shape));
    svg.end_group();
}

fn layer(svg: &mut Svg, top: f64, row: &SummaryRow, widths: &Widths) {
    let SummaryRow { name, kind, text, input_shape, output_shape, parameters, multiply_adds, .. } = row;
    let [above, below] = [input_shape, output_shape].map(|shape| widths.half(shape));
    svg.begin_group(&format!("{name}: {text}"));
    let colour = Family::of(kind).colour();
    let across = |half: f64| [AXIS - half, AXIS + half];
    svg.quadrilateral(across(above), across(below), [top + 2.0, top + ROW - 4.0], colour);
    if name == kind {
        svg.text([TEXT, top + 17.0], 14.0, "bold", "ink", &shortened(kind, 36));
    } else {
        svg.two_texts([TEXT, top + 17.0], 14.0, &shortened(name, 24), &shortened(kind, 20));
    }
    let numbers = numbers(parameters.map(|it| it as u64), *multiply_adds);
    let parts = [extents(output_shape), numbers].into_iter().filter(|part| !part.is_empty());
    let size = parts.collect::<Vec<_>>().join(" · ");
    svg.text([TEXT, top + 33.0], 12.0, "normal", "ink", &shortened(&size, 54));
    svg.text([TEXT, top + 47.0], 11.0, "normal", "muted", &shortened(arguments(text, kind), 56));
    svg.end_group();
}

/// What stands between the parentheses of `Conv2d(1, 16, …)`.
fn arguments<'a>(text: &'a str, kind: &str) -> &'a str {
    let inner = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    inner.unwrap_or(if text == kind { "" } else { text })
}

/// `16 × 28 × 28`: the shape of one sample.
fn extents(shape: &[usize]) -> String {
    match shape {
        [] | [_] => format!("{shape:?}"),
        [_, sample @ ..] => sample.iter().map(usize::to_string).collect::<Vec<_>>().join(" × "),
    }
}

/// How wide maps are drawn.
struct Widths {
    /// Whether a map of the network has axes beyond its channels; where none has, the features are the extent.
    spatial: bool,
    widest: f64,
}

impl Widths {
    fn of(summary: &Summary) -> Self {
        let shapes =
            || summary.rows.iter().flat_map(|row| [&row.input_shape, &row.output_shape]).chain([&summary.input_shape]);
        let mut widths = Self { spatial: shapes().any(|shape| shape.len() > 2), widest: 1.0 };
        widths.widest = shapes().map(|shape| widths.extent(shape)).fold(1.0, f64::max);
        widths
    }

    /// The side of a square, or cube, of as many positions as the map has.
    fn extent(&self, shape: &[usize]) -> f64 {
        match shape {
            [_, features] if !self.spatial => *features as f64,
            [_, _, axes @ ..] if !axes.is_empty() => {
                let positions: f64 = axes.iter().map(|extent| *extent as f64).product();
                positions.powf(1.0 / axes.len() as f64)
            }
            _ => 1.0,
        }
    }

    fn half(&self, shape: &[usize]) -> f64 {
        (WIDEST * (self.extent(shape) / self.widest).sqrt()).max(NARROWEST)
    }
}
