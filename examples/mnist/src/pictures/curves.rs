//! Loss and accuracy over the epochs.

use std::path::Path;

use super::canvas::{BLUE, Canvas, Colour, INK, MUTED, ORANGE, RULE, Text};
use crate::error::Result;

/// What one epoch measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    pub(crate) epoch: usize,
    pub(crate) train_loss: f64,
    pub(crate) test_loss: f64,
    /// In [0, 1].
    pub(crate) train_accuracy: f64,
    /// In [0, 1].
    pub(crate) test_accuracy: f64,
}

const SIZE: (f32, f32) = (1120.0, 470.0);
const PLOT: (f32, f32) = (430.0, 264.0);
const TOP: f32 = 128.0;

/// Draws both curves side by side, on logarithmic scales: of the loss, and of the digits that are misread. So the last
/// epochs are seen as well as the first.
pub(crate) fn curves(path: &Path, epochs: &[Epoch]) -> Result<()> {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1)?;
    canvas.text((32.0, 48.0), Text::TITLE, "Loss and accuracy over the epochs");
    if let Some(last) = epochs.last() {
        let Epoch { train_loss, train_accuracy, test_loss, test_accuracy, .. } = *last;
        legend(&mut canvas, 32.0, ("training digits, moved and turned", BLUE), train_loss, train_accuracy);
        legend(&mut canvas, 592.0, ("test digits", ORANGE), test_loss, test_accuracy);
    }

    let points = |value: fn(&Epoch) -> f64| -> Vec<(f64, f64)> {
        epochs.iter().map(|e| (e.epoch as f64, value(e))).filter(|point| point.1.is_finite()).collect()
    };
    let loss = [points(|e| e.train_loss.log10()), points(|e| e.test_loss.log10())];
    let accuracy = [points(|e| nines(e.train_accuracy)), points(|e| nines(e.test_accuracy))];
    let last = epochs.last().map_or(1.0, |e| e.epoch as f64);
    let first = epochs.first().map_or(1.0, |e| e.epoch as f64);
    Panel { left: 82.0, title: "Cross-entropy loss (log scale)", epochs: (first, last), ticks: decades(&loss) }.draw(
        &mut canvas,
        &loss,
        |v| trimmed(10f64.powf(v)),
    );
    Panel {
        left: 642.0,
        title: "Accuracy (%, log scale of what is missing)",
        epochs: (first, last),
        ticks: decades(&accuracy),
    }
    .draw(&mut canvas, &accuracy, |v| trimmed(100.0 - 10f64.powf(-v)));
    canvas.save(path)
}

/// What a colour stands for, and where its curves end.
fn legend(canvas: &mut Canvas, x: f32, (label, colour): (&str, Colour), loss: f64, accuracy: f64) {
    canvas.line((x + 2.0, 70.0), (x + 20.0, 70.0), 3.0, colour);
    let text = format!("{label}: in the end loss {loss:.4}, accuracy {:.2} %", 100.0 * accuracy);
    canvas.text((x + 30.0, 75.0), Text::BODY.colour(INK), &text);
}

/// One plot: where it stands and its axes.
struct Panel {
    left: f32,
    title: &'static str,
    epochs: (f64, f64),
    ticks: Vec<f64>,
}

impl Panel {
    fn draw(&self, canvas: &mut Canvas, series: &[Vec<(f64, f64)>; 2], label: impl Fn(f64) -> String) {
        canvas.text((self.left - 50.0, TOP - 18.0), Text::BODY.bold().colour(INK), self.title);
        let small = Text::BODY.size(13.0);
        for &tick in &self.ticks {
            let y = self.y(tick);
            canvas.rectangle((self.left, y - 0.5), (PLOT.0, 1.0), RULE);
            canvas.text((self.left - 10.0, y + 4.5), small.align(1.0), &label(tick));
        }
        for epoch in whole_ticks(self.epochs) {
            let x = self.x(epoch);
            canvas.rectangle((x - 0.5, TOP + PLOT.1), (1.0, 5.0), MUTED);
            canvas.text((x, TOP + PLOT.1 + 22.0), small.align(0.5), &trimmed(epoch));
        }
        canvas.rectangle((self.left, TOP + PLOT.1 - 0.5), (PLOT.0, 1.0), MUTED);
        canvas.text((self.left + PLOT.0 / 2.0, TOP + PLOT.1 + 48.0), small.align(0.5), "epoch");
        for (points, colour) in series.iter().zip([BLUE, ORANGE]) {
            self.curve(canvas, points, colour);
        }
    }

    fn curve(&self, canvas: &mut Canvas, points: &[(f64, f64)], colour: Colour) {
        let at = |&(epoch, value): &(f64, f64)| (self.x(epoch), self.y(value));
        for pair in points.windows(2) {
            canvas.line(at(&pair[0]), at(&pair[1]), 2.0, colour);
        }
        for point in points.iter().map(at) {
            canvas.line(point, point, 6.0, colour);
        }
    }

    fn x(&self, epoch: f64) -> f32 {
        let (first, last) = self.epochs;
        let inset = 14.0;
        // A single epoch stands in the middle.
        let share = if last > first { (epoch - first) / (last - first) } else { 0.5 };
        self.left + inset + share as f32 * (PLOT.0 - 2.0 * inset)
    }

    fn y(&self, value: f64) -> f32 {
        let (low, high) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        TOP + PLOT.1 * (1.0 - (value - low) / (high - low)) as f32
    }
}

/// 1, 2 and 5 in each decade, as logarithms, from just below the least value to just above the greatest.
fn decades(series: &[Vec<(f64, f64)>; 2]) -> Vec<f64> {
    let (low, high) = extent(series).unwrap_or((-1.0, 0.0));
    let all: Vec<f64> = (low.floor() as i32 - 1..=high.ceil() as i32 + 1)
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|v: f64| v.log10() + f64::from(decade)))
        .collect();
    around(&all, low, high)
}

/// How near to 100 % an accuracy is: the logarithm of one over the per cents that are missing, −1 for 90 %, 0 for 99 %.
fn nines(accuracy: f64) -> f64 {
    // Were nothing missing, the curve would leave the picture.
    -(100.0 * (1.0 - accuracy)).max(0.01).log10()
}

/// At most 12 whole numbers of an even step.
fn whole_ticks((first, last): (f64, f64)) -> Vec<f64> {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().find(|s| (last - first) / s < 12.0).unwrap_or(100.0);
    let from = (first / step).ceil() as i64;
    let to = (last / step).floor() as i64;
    (from..=to).map(|i| i as f64 * step).collect()
}

fn extent(series: &[Vec<(f64, f64)>; 2]) -> Option<(f64, f64)> {
    series.iter().flatten().map(|point| point.1).fold(None, |extent, v| {
        let (low, high) = extent.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    })
}

/// The ticks from the last one at or below `low` to the first one at or above `high`: two at least.
fn around(ticks: &[f64], low: f64, high: f64) -> Vec<f64> {
    let from = ticks.partition_point(|&tick| tick <= low).saturating_sub(1);
    let to = ticks.partition_point(|&tick| tick < high).max(from + 1).min(ticks.len() - 1);
    ticks[from..=to].to_vec()
}

/// At most four decimals, without the zeros at their end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
