//! What a user says of a padding, and the geometry that follows from it.

use crate::planes::{Planes, split};
use crate::{Error, Result};

/// What a tensor is padded with.
///
/// ```
/// use taper_ops::PadMode;
///
/// assert_eq!(PadMode::default(), PadMode::Constant(0.));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// This number, rounded to the tensor's dtype.
    Constant(f64),
    /// The tensor mirrored at its outermost elements, which are not repeated: `c b | a b c | b a`.
    Reflect,
    /// The outermost element: `a a | a b c | c c`.
    Replicate,
    /// The other end of the tensor: `b c | a b c | a b`.
    Circular,
}

impl Default for PadMode {
    /// Zeros.
    fn default() -> Self {
        Self::Constant(0.)
    }
}

/// Checked geometry of a padding over planes of three axes: rank 1 and 2 are rank 3 with unit axes in front.
#[derive(Debug)]
pub(super) struct PadDims {
    pub(super) planes: Planes,
    pub(super) axes: [Axis; 3],
    pub(super) mode: PadMode,
}

/// One axis: where each position of the output comes from; `None` where that is the constant.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) before: usize,
    pub(super) sources: Vec<Option<usize>>,
}

impl PadMode {
    /// The geometry over an input of `shape`: `[N, C, axes…]`, or `[C, axes…]`.
    pub(super) fn dims<const D: usize>(
        self,
        op: &'static str,
        shape: &[usize],
        padding: [(usize, usize); D],
    ) -> Result<PadDims> {
        let (lead, extents) = split::<D>(op, "input", shape)?;
        let mut inner = [0; D];
        for (i, output) in inner.iter_mut().enumerate() {
            self.check(op, &extents, padding[i], extents[i])?;
            let sides = padding[i].0.checked_add(padding[i].1);
            *output =
                sides.and_then(|p| p.checked_add(extents[i])).ok_or(Error::Overflow { op, what: "the output" })?;
        }
        let planes = Planes::new(op, lead, &extents, &inner)?;
        let mut axes = [Axis::unit(), Axis::unit(), Axis::unit()];
        if !planes.is_empty() {
            for (i, axis) in axes[3 - D..].iter_mut().enumerate() {
                *axis = Axis::new(self, extents[i], padding[i].0, inner[i]);
            }
        }
        Ok(PadDims { planes, axes, mode: self })
    }

    fn check(self, op: &'static str, extents: &[usize], padding: (usize, usize), extent: usize) -> Result<()> {
        let (mode, limit) = match self {
            Self::Constant(_) => return Ok(()),
            _ if extent == 0 => {
                let argument = "every extent of a plane of the input";
                return Err(Error::NotPositive { op, argument, value: extents.to_vec() });
            }
            Self::Replicate => return Ok(()),
            Self::Reflect => ("reflect", extent - 1),
            Self::Circular => ("circular", extent),
        };
        if padding.0.max(padding.1) <= limit {
            return Ok(());
        }
        Err(Error::PaddingTooLarge { op, mode, padding, limit, extent })
    }
}

impl Axis {
    /// Extents and their padding lie within `isize`, as the output does.
    fn new(mode: PadMode, input: usize, before: usize, output: usize) -> Self {
        let last = input as isize - 1;
        let source = |position: usize| {
            let at = position as isize - before as isize;
            match mode {
                PadMode::Constant(_) => (0..=last).contains(&at).then_some(at as usize),
                PadMode::Reflect => Some((last - (last - at.abs()).abs()) as usize),
                PadMode::Replicate => Some(at.clamp(0, last) as usize),
                PadMode::Circular => Some(at.rem_euclid(last + 1) as usize),
            }
        };
        Self { input, before, sources: (0..output).map(source).collect() }
    }

    fn unit() -> Self {
        Self { input: 1, before: 0, sources: vec![Some(0)] }
    }
}

impl PadDims {
    /// The last axis, along which rows lie.
    pub(super) fn width(&self) -> &Axis {
        &self.axes[2]
    }

    /// Where row `row` of an output plane comes from: the start of a row of the input plane.
    pub(super) fn source_row(&self, row: usize) -> Option<usize> {
        let [depth, height, width] = &self.axes;
        let rows = height.sources.len();
        Some((depth.sources[row / rows]? * height.input + height.sources[row % rows]?) * width.input)
    }
}
