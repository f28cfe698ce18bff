//! Windows that are runs of neighbouring positions along each axis, of any sizes and in any places: the geometry that
//! adaptive and fractional pooling share. Rank 1 and 2 are rank 3 with unit axes in front.

use std::ops::Range;

/// The windows over one plane.
#[derive(Debug)]
pub(crate) struct Grid([Axis; 3]);

/// One axis: the input positions that each output position holds.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) windows: Vec<Range<usize>>,
}

/// One row of the output, and the windows it lies in along the other two axes.
pub(crate) struct Row<'a> {
    grid: &'a Grid,
    depth: &'a Range<usize>,
    height: &'a Range<usize>,
}

impl Axis {
    pub(crate) fn unit() -> Self {
        Self { input: 1, windows: std::iter::once(0..1).collect() }
    }
}

impl Grid {
    pub(crate) fn new<const D: usize>(axes: [Axis; D]) -> Self {
        let mut all = [Axis::unit(), Axis::unit(), Axis::unit()];
        all[3 - D..].iter_mut().zip(axes).for_each(|(place, axis)| *place = axis);
        Self(all)
    }

    /// Depth, height and width.
    pub(crate) fn axes(&self) -> &[Axis; 3] {
        &self.0
    }

    /// The last axis, along which rows lie.
    pub(crate) fn width(&self) -> &Axis {
        &self.0[2]
    }

    /// Elements that the windows hold, counted with their overlap.
    pub(crate) fn work(&self) -> usize {
        self.0.iter().map(|axis| axis.windows.iter().map(Range::len).sum()).fold(1, usize::saturating_mul)
    }

    /// The rows of the output plane, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let [depth, height, _] = &self.0;
        let along = move |depth| height.windows.iter().map(move |height| Row { grid: self, depth, height });
        depth.windows.iter().flat_map(along)
    }
}

impl Row<'_> {
    /// Where the input rows under this row's windows start within their plane, in order.
    pub(crate) fn input_rows(&self) -> impl Iterator<Item = usize> {
        let [_, height, width] = &self.grid.0;
        let at = move |depth| self.height.clone().map(move |row| (depth * height.input + row) * width.input);
        self.depth.clone().flat_map(at)
    }

    /// Elements of a window of this row that holds `across` of its columns.
    pub(crate) fn count(&self, across: usize) -> usize {
        self.depth.len() * self.height.len() * across
    }
}
