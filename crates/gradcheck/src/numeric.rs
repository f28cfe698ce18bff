//! Derivatives by differences, each with an estimate of its own error.

use crate::error::Result;
use crate::function::Function;

/// The general steps, relative to max(1, |x|), tried from the first while the point does not resolve: the smaller ones
/// step past a kink nearby.
const STEPS: [f64; 5] = [pow2(-10), pow2(-14), pow2(-18), pow2(-22), pow2(-26)];

const fn pow2(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// A derivative of ⟨f, cotangent⟩ along a direction, and how far it may be off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

/// The two one-sided derivatives where they differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kink {
    pub(crate) left: f64,
    pub(crate) right: f64,
}

/// Measures derivatives of ⟨f, cotangent⟩ at one point along directions within one input.
pub(crate) struct Differences<'a> {
    f: &'a Function<'a>,
    cotangent: &'a [f64],
    input: usize,
    x: Vec<f64>,
    y: Vec<f64>,
    /// Of the function's own value: what of ⟨f, cotangent⟩ is lost to rounding.
    rounding: f64,
}

/// The size of the terms that a value is computed from: at least 1, for a small one may be what is left of larger ones.
fn term_size((y, c): (&f64, &f64)) -> f64 {
    c.abs() * y.abs().max(1.0)
}

/// Where to go from the point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction<'a> {
    /// One element by one.
    Element(usize),
    /// All of the input at once.
    Along(&'a [f64]),
}

impl<'a> Differences<'a> {
    pub(crate) fn new(f: &'a Function<'a>, input: usize, y: &[f64], cotangent: &'a [f64]) -> Result<Self> {
        let largest = y.iter().zip(cotangent).map(term_size).fold(0.0, f64::max);
        let x = f.inputs[input].values()?;
        Ok(Self { f, cotangent, input, x, y: y.to_vec(), rounding: f.epsilon() * largest })
    }

    /// Whether the function was declared linear in the input: then there is no truncation error and no kink.
    pub(crate) fn linear(&self) -> bool {
        self.f.inputs[self.input].linear
    }

    /// How small a derivative is still told from 0 where all of them are 0.
    pub(crate) fn floor(&self) -> f64 {
        1e8 * self.f.epsilon() * self.y.iter().zip(self.cotangent).map(term_size).sum::<f64>()
    }

    /// The derivatives that differences of ever smaller steps give, for as long as the caller asks for the next.
    pub(crate) fn estimates<'s>(&'s self, direction: Direction<'s>) -> impl Iterator<Item = Result<Estimate>> + 's {
        let linear = self.linear();
        let steps = if linear { 1 } else { self.steps().len() };
        (0..steps).map(move |i| {
            if linear {
                self.central(direction, self.linear_step())
            } else {
                self.richardson(direction, self.steps()[i])
            }
        })
    }

    /// Whether the one-sided derivatives differ, and go on differing as the step shrinks.
    pub(crate) fn kink(&self, direction: Direction<'_>) -> Result<Option<Kink>> {
        if self.linear() {
            return Ok(None);
        }
        let unit = self.unit(direction);
        let mut gaps = Vec::new();
        let mut sides = Kink { left: 0.0, right: 0.0 };
        for step in &self.steps()[1..4] {
            let (left, right) = (self.one_sided(direction, -step * unit)?, self.one_sided(direction, step * unit)?);
            let gap = (right.value - left.value).abs();
            let visible = 16.0 * (left.error + right.error) + 1e-3 * left.value.abs().max(right.value.abs());
            if gap.is_nan() || gap <= visible {
                return Ok(None);
            }
            gaps.push(gap);
            sides = Kink { left: left.value, right: right.value };
        }
        // A curved but smooth function's gap shrinks with the step, sixteenfold each time.
        let persists = gaps.windows(2).all(|pair| pair[1] > 0.5 * pair[0]);
        Ok(persists.then_some(sides))
    }

    /// Central differences at h, h/2 and h/4, extrapolated twice: the remaining error is of order h⁶.
    fn richardson(&self, direction: Direction<'_>, step: f64) -> Result<Estimate> {
        let h = step * self.unit(direction);
        let [d0, d1, d2] =
            [self.central(direction, h)?, self.central(direction, h / 2.0)?, self.central(direction, h / 4.0)?];
        let r1 = (4.0 * d1.value - d0.value) / 3.0;
        let r2 = (4.0 * d2.value - d1.value) / 3.0;
        let value = (16.0 * r2 - r1) / 15.0;
        Ok(Estimate { value, error: 4.0 * (r2 - r1).abs() + 2.0 * d2.error })
    }

    /// (f(x + h) − f(x − h)) / 2h; its error is that of rounding alone.
    fn central(&self, direction: Direction<'_>, h: f64) -> Result<Estimate> {
        let (up, above) = self.shifted(direction, h)?;
        let (down, below) = self.shifted(direction, -h)?;
        Ok(self.quotient(&above, &below, up - down))
    }

    fn one_sided(&self, direction: Direction<'_>, h: f64) -> Result<Estimate> {
        let (step, y) = self.shifted(direction, h)?;
        Ok(self.quotient(&y, &self.y, step))
    }

    fn quotient(&self, above: &[f64], below: &[f64], width: f64) -> Estimate {
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for ((above, below), c) in above.iter().zip(below).zip(self.cotangent) {
            let difference = above - below;
            sum += c * difference;
            if difference != 0.0 {
                magnitude += c.abs() * (above.abs() + below.abs());
            }
        }
        let rounding = 4.0 * (self.f.epsilon() * magnitude + self.rounding) / width.abs();
        Estimate { value: sum / width, error: rounding }
    }

    /// f at x + h·direction, and the step that was truly taken (x + h rounds).
    fn shifted(&self, direction: Direction<'_>, h: f64) -> Result<(f64, Vec<f64>)> {
        let mut x = self.x.clone();
        let step = match direction {
            Direction::Element(i) => {
                x[i] = self.rounded(x[i] + h);
                x[i] - self.x[i]
            }
            Direction::Along(u) => {
                x.iter_mut().zip(u).for_each(|(x, u)| *x += h * u);
                h
            }
        };
        Ok((step, self.f.value_with(self.input, x)?))
    }

    fn rounded(&self, x: f64) -> f64 {
        if self.f.dtype == candle_core::DType::F32 { f64::from(x as f32) } else { x }
    }

    /// In float32 truncation and rounding meet at much larger steps.
    fn steps(&self) -> [f64; 5] {
        if self.f.dtype == candle_core::DType::F32 { STEPS.map(|step| step * 32.0) } else { STEPS }
    }

    /// A power of two of at least the size of what is stepped from.
    fn unit(&self, direction: Direction<'_>) -> f64 {
        let size = match direction {
            Direction::Element(i) => self.x[i].abs(),
            Direction::Along(_) => 1.0,
        };
        size.max(1.0).log2().ceil().exp2()
    }

    /// Without truncation error a step as large as the data loses the least to rounding.
    fn linear_step(&self) -> f64 {
        self.x.iter().fold(1.0, |largest: f64, x| largest.max(x.abs())).log2().ceil().exp2()
    }
}
