//! Curves over the epochs, as SVG within the page.

use super::text::{escaped, percent, short};
use std::fmt::Write;

const SIZE: [f64; 2] = [440.0, 250.0];
/// What is around the plot: left, top, right, bottom.
const AROUND: [f64; 4] = [56.0, 10.0, 14.0, 36.0];
/// More points would only make the line thick.
const MOST_DOTS: usize = 40;

/// One curve.
pub(super) struct Series {
    pub(super) name: String,
    /// The value of each epoch, where there is one.
    pub(super) points: Vec<(usize, f64)>,
}

/// How values are written.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    label: fn(f64) -> String,
    /// At the axis.
    tick: fn(f64) -> String,
    /// Whether an axis of positive values that differ widely is logarithmic.
    logarithmic: bool,
}

/// A number without a unit.
pub(super) const PLAIN: Unit = Unit { label: short, tick: short, logarithmic: true };
/// A learning rate, which ends near nothing: on a logarithmic axis that would be most of what one sees.
pub(super) const RATE: Unit = Unit { label: short, tick: short, logarithmic: false };
/// A share of one, in per cent.
pub(super) const PERCENT: Unit =
    Unit { label: percent, tick: |share| format!("{} %", short(100.0 * share)), logarithmic: false };

/// A figure with one or more curves. Values that are not finite leave a gap, and are told of.
pub(super) fn figure(title: &str, series: &[Series], Unit { label, tick, logarithmic }: Unit) -> String {
    let all = || series.iter().flat_map(|it| &it.points);
    let finite: Vec<f64> = all().map(|point| point.1).filter(|value| value.is_finite()).collect();
    let mut html = format!("<figure><figcaption>{}", escaped(title));
    let scale = Scale::of(&finite, logarithmic);
    if let Some(Scale { logarithmic: true, .. }) = scale {
        html += " <small>(logarithmic)</small>";
    }
    html += "</figcaption>\n<p class=\"legend\">";
    for (place, Series { name, points }) in series.iter().enumerate() {
        let last = points.last().map_or(String::new(), |(_, value)| format!(" <b>{}</b>", escaped(&label(*value))));
        let _ = write!(html, "<span><i class=\"s{place}\"></i>{}{last}</span>", escaped(name));
    }
    html += "</p>\n";
    match scale {
        Some(scale) => {
            let epochs = [all().map(|it| it.0).min().unwrap_or(1), all().map(|it| it.0).max().unwrap_or(1)];
            html += &Plot { epochs, scale, label, tick }.draw(title, series);
        }
        None => html += "<p class=\"none\">There is no finite value to draw.</p>\n",
    }
    for Series { name, points } in series {
        let gaps: Vec<String> = points
            .iter()
            .filter(|it| !it.1.is_finite())
            .map(|it| format!("{} in epoch {}", short(it.1), it.0))
            .collect();
        if let Some(first) = gaps.first() {
            let more =
                if gaps.len() > 1 { format!(", and not finite in {} more", gaps.len() - 1) } else { String::new() };
            let _ = writeln!(html, "<p class=\"warning\">{}: {first}{more}</p>", escaped(name));
        }
    }
    html + "</figure>\n"
}

/// The axis of the values.
struct Scale {
    logarithmic: bool,
    /// In the axis' own measure: logarithms where it is logarithmic.
    ticks: Vec<f64>,
}

impl Scale {
    /// `None` where there is nothing to draw.
    fn of(values: &[f64], logarithmic: bool) -> Option<Self> {
        // Beyond these, differences are infinite.
        let clamped = |value: f64| value.clamp(-1e300, 1e300);
        let low = values.iter().copied().reduce(f64::min).map(clamped)?;
        let high = values.iter().copied().reduce(f64::max).map(clamped)?;
        let logarithmic = logarithmic && low > 0.0 && high / low > 8.0;
        let ticks = if logarithmic { decades(low.log10(), high.log10()) } else { even(low, high) };
        Some(Self { logarithmic, ticks })
    }

    fn value(&self, place: f64) -> f64 {
        if self.logarithmic { 10f64.powf(place) } else { place }
    }

    /// Where a value stands between the first tick, 0, and the last, 1.
    fn share(&self, value: f64) -> f64 {
        let place = if self.logarithmic { value.log10() } else { value };
        let [first, last] = [self.ticks[0], self.ticks[self.ticks.len() - 1]];
        ((place - first) / (last - first)).clamp(0.0, 1.0)
    }
}

/// About five ticks of an even step, from at or below `low` to at or above `high`: two at least.
fn even(low: f64, high: f64) -> Vec<f64> {
    if high <= low {
        // A value alone stands in the middle.
        let room = if low.abs() * 0.1 > 0.0 { low.abs() * 0.1 } else { 0.5 };
        return even(low - room, low + room);
    }
    let span = high - low;
    let power = 10f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|step| span / step <= 5.0).unwrap_or(span);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let last = last.max(first + 1.0);
    // Where the span is a few roundings of the values, there are no more than these.
    let count = (last - first).clamp(1.0, 12.0) as usize;
    (0..=count).map(|i| (first + i as f64) * step).collect()
}

/// 1, 2 and 5 in each decade, or whole decades where those are many, as logarithms around `low` and `high`.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let every = ((last - first) / 6).max(1);
    if last - first > 2 {
        return (0..=(last - first + every - 1) / every).map(|i| f64::from(first + i * every)).collect();
    }
    let steps = (first..=last).flat_map(|decade| [1.0, 2.0, 5.0].map(|it: f64| it.log10() + f64::from(decade)));
    let steps: Vec<f64> = steps.collect();
    let from = steps.partition_point(|tick| *tick <= low + 1e-9).saturating_sub(1);
    let to = steps.partition_point(|tick| *tick < high - 1e-9).min(steps.len() - 1).max(from + 1);
    steps[from..=to].to_vec()
}

/// The area within the axes.
struct Plot {
    epochs: [usize; 2],
    scale: Scale,
    label: fn(f64) -> String,
    tick: fn(f64) -> String,
}

impl Plot {
    fn draw(&self, title: &str, series: &[Series]) -> String {
        let ([width, height], [left, _, right, bottom]) = (SIZE, AROUND);
        let mut svg =
            format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n", escaped(title));
        for &tick in &self.scale.ticks {
            let value = self.scale.value(tick);
            let (y, label) = (self.y(value), escaped(&(self.tick)(value)));
            let _ = writeln!(
                svg,
                "<path class=\"rule\" d=\"M{left} {y:.1}H{:.1}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                width - right,
                left - 6.0,
                y + 4.0
            );
        }
        for epoch in self.epoch_ticks() {
            let (x, y) = (self.x(epoch), height - bottom + 17.0);
            let _ = writeln!(svg, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{epoch}</text>");
        }
        let _ = writeln!(
            svg,
            "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">epoch</text>",
            (left + width - right) / 2.0,
            height - 4.0
        );
        series.iter().enumerate().for_each(|(place, it)| self.curve(&mut svg, place, it));
        svg + "</svg>\n"
    }

    fn curve(&self, svg: &mut String, place: usize, Series { name, points }: &Series) {
        let mut path = String::new();
        let mut pen_down = false;
        for (epoch, value) in points {
            if value.is_finite() {
                let command = if pen_down { 'L' } else { 'M' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(*epoch), self.y(*value));
            }
            pen_down = value.is_finite();
        }
        let _ = writeln!(svg, "<path class=\"curve s{place}\" d=\"{path}\"/>");
        let look = if points.len() > MOST_DOTS { "far" } else { "near" };
        for (epoch, value) in points.iter().filter(|point| point.1.is_finite()) {
            let _ = writeln!(
                svg,
                "<circle class=\"{look} s{place}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}, epoch {epoch}: {}</title></circle>",
                self.x(*epoch),
                self.y(*value),
                escaped(name),
                escaped(&(self.label)(*value))
            );
        }
    }

    fn x(&self, epoch: usize) -> f64 {
        let [first, last] = self.epochs.map(|epoch| epoch as f64);
        // A single epoch stands in the middle.
        let share = if last > first { (epoch as f64 - first) / (last - first) } else { 0.5 };
        AROUND[0] + 8.0 + share * (SIZE[0] - AROUND[0] - AROUND[2] - 16.0)
    }

    fn y(&self, value: f64) -> f64 {
        AROUND[1] + (1.0 - self.scale.share(value)) * (SIZE[1] - AROUND[1] - AROUND[3])
    }

    /// At most nine, of an even step.
    fn epoch_ticks(&self) -> Vec<usize> {
        let [first, last] = self.epochs;
        let steps = (0..18).flat_map(|power| [1, 2, 5].map(|it| it * 10usize.pow(power)));
        let step = steps.into_iter().find(|step| (last - first) / step < 9).unwrap_or(usize::MAX);
        (first.div_ceil(step)..=last / step).map(|i| i * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_ascend_and_surround_the_values() {
        let values: Vec<f64> = [1e-300, 3e-5, 0.011, 0.3, 0.7, 0.99, 1.0, 2.3, 17.0, 1e4, 1e300]
            .into_iter()
            .flat_map(|v| [v, -v])
            .collect();
        for a in values.iter().chain(&[0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324]) {
            for b in &values {
                let scale = Scale::of(&[*a, *b], true).map(|scale| scale.ticks).unwrap_or_default();
                assert!((2..=14).contains(&scale.len()), "{a} {b}: {scale:?}");
                assert!(scale.windows(2).all(|pair| pair[0] < pair[1]), "{a} {b}: {scale:?}");
                let scale = Scale::of(&[*a, *b], true).into_iter();
                for scale in scale {
                    for value in [*a, *b] {
                        assert!(scale.share(value).is_finite(), "{a} {b}: {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_ticks_are_round() {
        let near = |ticks: Vec<f64>, expected: &[f64]| {
            assert_eq!(ticks.len(), expected.len(), "{ticks:?}");
            assert!(ticks.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{ticks:?} for {expected:?}");
        };
        near(even(0.0, 1.0), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        near(even(0.912, 0.987), &[0.9, 0.92, 0.94, 0.96, 0.98, 1.0]);
        near(even(0.001, 0.001), &[0.0009, 0.00095, 0.001, 0.00105, 0.0011]);
        near(decades(0.03f64.log10(), 0.4f64.log10()), &[0.02, 0.05, 0.1, 0.2, 0.5].map(f64::log10));
        near(decades(-5.0, -0.5), &[-5.0, -4.0, -3.0, -2.0, -1.0, 0.0]);
    }

    #[test]
    fn shares_and_rates_are_never_on_a_logarithmic_axis() {
        let points = vec![(1, 0.01), (2, 0.9)];
        for (unit, logarithmic) in [(PLAIN, true), (RATE, false), (PERCENT, false)] {
            let html = figure("Values", &[Series { name: "one".to_owned(), points: points.clone() }], unit);
            assert_eq!(html.contains("(logarithmic)"), logarithmic, "{html}");
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_a_gap_and_is_told() {
        let points = vec![(1, 1.0), (2, 2.0), (3, f64::NAN), (4, f64::INFINITY), (5, 1.5)];
        let html = figure("Loss", &[Series { name: "train".to_owned(), points }], PLAIN);
        let path = html.split("class=\"curve s0\" d=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(path.map(|path| path.matches('M').count()), Some(2), "{html}");
        assert_eq!(html.matches("<circle").count(), 3);
        assert!(html.contains("train: NaN in epoch 3, and not finite in 1 more"), "{html}");
        let none = figure("Loss", &[Series { name: "train".to_owned(), points: vec![(1, f64::NAN)] }], PLAIN);
        assert!(none.contains("There is no finite value to draw") && !none.contains("<svg"), "{none}");
    }
}
