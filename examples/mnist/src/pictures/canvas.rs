//! A small anti-aliased canvas: rectangles, strokes, text and magnified maps, in logical units of 2 × 2 pixels.

use std::path::Path;

use ab_glyph::{Font, FontRef, Glyph, ScaleFont, point};
use image::{Rgb, RgbImage};
use taper::trainer::write_atomic;

use crate::error::{Error, Result};

/// Red, green, blue.
pub(crate) type Colour = [u8; 3];

pub(crate) const PAPER: Colour = [255, 255, 255];
pub(crate) const INK: Colour = [26, 32, 44];
pub(crate) const MUTED: Colour = [107, 114, 128];
pub(crate) const RULE: Colour = [226, 229, 234];
pub(crate) const BLUE: Colour = [37, 99, 186];
pub(crate) const ORANGE: Colour = [217, 89, 20];

/// Pixels a logical unit: pictures stay sharp on dense screens.
const DENSITY: f32 = 2.0;

static REGULAR: &[u8] = include_bytes!("../../fonts/Inter-Regular.otf");
static SEMI_BOLD: &[u8] = include_bytes!("../../fonts/Inter-SemiBold.otf");

/// How a text looks, and which of its points is put at the position given with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) size: f32,
    pub(crate) colour: Colour,
    pub(crate) bold: bool,
    /// 0 puts the text's left end at the position, 0.5 its middle, 1 its right end.
    pub(crate) align: f32,
}

impl Text {
    pub(crate) const TITLE: Self = Self { size: 23.0, colour: INK, bold: true, align: 0.0 };
    pub(crate) const BODY: Self = Self { size: 14.0, colour: MUTED, bold: false, align: 0.0 };

    pub(crate) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) fn colour(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    pub(crate) fn size(self, size: f32) -> Self {
        Self { size, ..self }
    }

    pub(crate) fn align(self, align: f32) -> Self {
        Self { align, ..self }
    }
}

/// A picture in the making.
#[derive(Debug)]
pub(crate) struct Canvas {
    image: RgbImage,
    regular: FontRef<'static>,
    semi_bold: FontRef<'static>,
}

impl Canvas {
    pub(crate) fn new(width: f32, height: f32) -> Result<Self> {
        let font = |bytes| FontRef::try_from_slice(bytes).map_err(|e| Error::new(format!("the embedded font: {e}")));
        Ok(Self {
            image: RgbImage::from_pixel(device(width) as u32, device(height) as u32, Rgb(PAPER)),
            regular: font(REGULAR)?,
            semi_bold: font(SEMI_BOLD)?,
        })
    }

    pub(crate) fn rectangle(&mut self, (x, y): (f32, f32), (width, height): (f32, f32), colour: Colour) {
        for py in device(y)..device(y + height) {
            for px in device(x)..device(x + width) {
                self.blend(px, py, colour, 1.0);
            }
        }
    }

    /// A line with round ends; a line of no length is a disc.
    pub(crate) fn line(&mut self, from: (f32, f32), to: (f32, f32), width: f32, colour: Colour) {
        let [ax, ay, bx, by] = [from.0, from.1, to.0, to.1].map(|v| v * DENSITY);
        let (dx, dy, radius) = (bx - ax, by - ay, width * DENSITY / 2.0);
        let length2 = (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
        for py in (ay.min(by) - radius).floor() as i32..=(ay.max(by) + radius).ceil() as i32 {
            for px in (ax.min(bx) - radius).floor() as i32..=(ax.max(bx) + radius).ceil() as i32 {
                let (x, y) = (px as f32 + 0.5 - ax, py as f32 + 0.5 - ay);
                let along = ((x * dx + y * dy) / length2).clamp(0.0, 1.0);
                let distance = (x - along * dx).hypot(y - along * dy);
                self.blend(px, py, colour, (radius + 0.5 - distance).clamp(0.0, 1.0));
            }
        }
    }

    /// Writes `text` on the baseline `y`.
    pub(crate) fn text(&mut self, (x, y): (f32, f32), style: Text, text: &str) {
        let font = if style.bold { self.semi_bold.clone() } else { self.regular.clone() };
        let scaled = font.as_scaled(style.size * DENSITY);
        let width: f32 = text.chars().map(|c| scaled.h_advance(scaled.glyph_id(c))).sum();
        let mut pen = x * DENSITY - width * style.align;
        for c in text.chars() {
            let glyph = Glyph { position: point(pen, y * DENSITY), ..scaled.scaled_glyph(c) };
            pen += scaled.h_advance(glyph.id);
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|gx, gy, coverage| {
                    self.blend(corner.x as i32 + gx as i32, corner.y as i32 + gy as i32, style.colour, coverage);
                });
            }
        }
    }

    /// Draws a row-major map of `columns` columns, each value a square of `zoom` units.
    pub(crate) fn map(&mut self, (x, y): (f32, f32), zoom: f32, values: &[f32], columns: usize, palette: Palette) {
        for (i, &value) in values.iter().enumerate() {
            let (row, column) = ((i / columns) as f32, (i % columns) as f32);
            self.rectangle((x + column * zoom, y + row * zoom), (zoom, zoom), palette(value));
        }
    }

    /// Writes the picture as a PNG, whole or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut png = std::io::Cursor::new(Vec::new());
        self.image
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|e| Error::new(format!("cannot encode {}: {e}", path.display())))?;
        Ok(write_atomic(path, png.get_ref())?)
    }

    fn blend(&mut self, x: i32, y: i32, colour: Colour, coverage: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(Rgb(pixel)) = self.image.get_pixel_mut_checked(x, y) {
            *pixel = mix(*pixel, colour, coverage);
        }
    }
}

/// Turns a value into its colour.
pub(crate) type Palette = fn(f32) -> Colour;

/// Ink on paper: 0 is paper, 1 is ink.
pub(crate) fn ink(value: f32) -> Colour {
    mix(PAPER, INK, value)
}

/// Blue below 0, nearly white at 0, orange above it; full at −1 and 1.
pub(crate) fn signed(value: f32) -> Colour {
    let full = if value < 0.0 { BLUE } else { ORANGE };
    mix([246, 246, 244], full, value.abs().powf(0.75))
}

pub(crate) fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|i| (f32::from(from[i]) * (1.0 - share) + f32::from(to[i]) * share).round() as u8)
}

fn device(length: f32) -> i32 {
    (length * DENSITY).round() as i32
}
