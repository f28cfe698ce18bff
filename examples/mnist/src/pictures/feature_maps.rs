//! What each convolution and each pooling layer makes of one digit.

use std::path::Path;

use super::canvas::{Canvas, INK, MUTED, Palette, Text, ink, signed};
use crate::error::Result;

/// The output of one layer for one digit.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// What the layer does, in a line.
    pub(crate) remark: &'static str,
    /// A row-major map a channel, all of `rows` × `columns`.
    pub(crate) maps: Vec<Vec<f32>>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

const ZOOM: f32 = 3.0;
const GAP: f32 = 4.0;
/// Every layer's maps stand in so many columns: a channel keeps its place from a convolution to its pooling.
const ACROSS: usize = 4;
const MARGIN: f32 = 32.0;
const TOP: f32 = 186.0;
const BETWEEN: f32 = 44.0;
/// The room of a layer's labels, however narrow its maps are.
const LABEL: f32 = 178.0;

/// Draws the stages from left to right, every map at the same scale, so that the narrowing is seen.
pub(crate) fn feature_maps(path: &Path, stages: &[Stage]) -> Result<()> {
    let label = |i| if i == 0 { 0.0 } else { LABEL };
    let widths: Vec<f32> = stages.iter().enumerate().map(|(i, stage)| size(stage).0.max(label(i))).collect();
    let width = 2.0 * MARGIN + widths.iter().sum::<f32>() + BETWEEN * stages.len().saturating_sub(1) as f32;
    let height = stages.iter().map(|stage| size(stage).1).fold(0.0, f32::max);
    let mut canvas = Canvas::new(width, TOP + height + 60.0)?;
    canvas.text(
        (MARGIN, 48.0),
        Text::TITLE,
        "A convolution finds features and keeps the map; pooling keeps the features and narrows the map",
    );
    canvas.text(
        (MARGIN, 74.0),
        Text::BODY,
        "One test digit on its way through the net. Every map is drawn at the same scale; a channel keeps its place.",
    );

    let mut x = MARGIN;
    for (i, (stage, width)) in stages.iter().zip(&widths).enumerate() {
        canvas.text((x, 122.0), Text::BODY.bold().colour(INK).size(16.0), &stage.name);
        let shape = format!("{} × {} × {}", stage.maps.len(), stage.rows, stage.columns);
        canvas.text((x, 143.0), Text::BODY.colour(INK), &shape);
        canvas.text((x, 163.0), Text::BODY.size(13.0), stage.remark);
        draw(&mut canvas, (x, TOP), stage, if i == 0 { ink } else { signed });
        x += width + BETWEEN;
    }
    let legend = TOP + height + 34.0;
    canvas.text(
        (MARGIN, legend),
        Text::BODY.size(13.0).colour(MUTED),
        "orange: positive · blue: negative (ReLU sets it to 0 before the pooling) · each channel in its own strength",
    );
    canvas.save(path)
}

fn size(stage: &Stage) -> (f32, f32) {
    let across = stage.maps.len().min(ACROSS) as f32;
    let down = stage.maps.len().div_ceil(ACROSS) as f32;
    let extent = |maps: f32, cells: usize| maps * (cells as f32 * ZOOM + GAP) - GAP;
    (extent(across, stage.columns), extent(down, stage.rows))
}

fn draw(canvas: &mut Canvas, (x, y): (f32, f32), stage: &Stage, palette: Palette) {
    let pitch = (stage.columns as f32 * ZOOM + GAP, stage.rows as f32 * ZOOM + GAP);
    for (channel, map) in stage.maps.iter().enumerate() {
        let (row, column) = ((channel / ACROSS) as f32, (channel % ACROSS) as f32);
        let strongest = map.iter().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
        let shares: Vec<f32> = map.iter().map(|v| v / strongest).collect();
        canvas.map((x + column * pitch.0, y + row * pitch.1), ZOOM, &shares, stage.columns, palette);
    }
}
