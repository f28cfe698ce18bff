//! The digits the net read wrong.

use std::path::Path;

use super::canvas::{Canvas, INK, MUTED, PAPER, RULE, Text, ink};
use crate::error::Result;

/// A test digit that was read as another.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    /// 28 × 28 values, 0 the background and 1 the full stroke.
    pub(crate) pixels: Vec<f32>,
    pub(crate) truth: u32,
    pub(crate) predicted: u32,
    /// The probability the net gave to its answer.
    pub(crate) confidence: f32,
}

const COLUMNS: usize = 8;
const MOST: usize = 6 * COLUMNS;
const ZOOM: f32 = 4.0;
const SIDE: f32 = 28.0 * ZOOM;
const PITCH: (f32, f32) = (SIDE + 18.0, SIDE + 42.0);
const MARGIN: f32 = 32.0;
const HEADER: f32 = 104.0;

/// Draws the mistakes in a grid, the most confident first.
pub(crate) fn mistakes(path: &Path, mut wrong: Vec<Mistake>, digits: usize) -> Result<()> {
    wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let (count, shown) = (wrong.len(), wrong.len().min(MOST));
    let rows = shown.div_ceil(COLUMNS) as f32;
    let width = 2.0 * MARGIN + COLUMNS as f32 * PITCH.0 - (PITCH.0 - SIDE);
    let mut canvas = Canvas::new(width, HEADER + rows * PITCH.1 + 14.0)?;

    let title = match count {
        0 => format!("All {digits} test digits were read right"),
        _ => format!("{count} of {digits} test digits were misread"),
    };
    canvas.text((MARGIN, 48.0), Text::TITLE, &title);
    let order = match count {
        0 => "There is nothing to show.".to_owned(),
        _ if shown < count => format!("true → predicted (confidence), the {shown} most confident of them"),
        _ => "true → predicted (confidence), the most confident first".to_owned(),
    };
    canvas.text((MARGIN, 74.0), Text::BODY, &order);

    for (i, mistake) in wrong[..shown].iter().enumerate() {
        let (row, column) = ((i / COLUMNS) as f32, (i % COLUMNS) as f32);
        let (x, y) = (MARGIN + column * PITCH.0, HEADER + row * PITCH.1);
        canvas.rectangle((x - 1.0, y - 1.0), (SIDE + 2.0, SIDE + 2.0), RULE);
        canvas.rectangle((x, y), (SIDE, SIDE), PAPER);
        canvas.map((x, y), ZOOM, &mistake.pixels, 28, ink);
        let reading = format!("{} → {}", mistake.truth, mistake.predicted);
        canvas.text((x, y + SIDE + 20.0), Text::BODY.bold().colour(INK).size(16.0), &reading);
        let confidence = format!("({:.0} %)", 100.0 * mistake.confidence);
        canvas.text((x + SIDE, y + SIDE + 20.0), Text::BODY.colour(MUTED).align(1.0), &confidence);
    }
    canvas.save(path)
}
