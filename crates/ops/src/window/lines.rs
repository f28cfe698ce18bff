//! Which lines of the input a line of the output takes part in, and the other way round: the same for every plane, so that
//! it is worked out once.

use super::PoolDims;
use std::collections::BTreeMap;
use std::ops::Range;

/// A line that takes part, and the number of the first tap it lies under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) line: usize,
    pub(crate) tap: u32,
}

/// Lines, and the parts that each has: `ends` tells where they end.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    parts: Vec<Part>,
    ends: Vec<usize>,
}

impl Parts {
    fn push(&mut self, parts: impl IntoIterator<Item = Part>) {
        self.parts.extend(parts);
        self.ends.push(self.parts.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The parts of one line.
    #[inline(always)]
    pub(crate) fn of(&self, line: usize) -> &[Part] {
        let start = if line == 0 { 0 } else { self.ends[line - 1] };
        &self.parts[start..self.ends[line]]
    }
}

/// For each line of the output plane the starts of the lines of the input that its windows hold, in order.
pub(crate) fn by_output(dims: &PoolDims) -> Parts {
    let mut parts = Parts::default();
    for row in dims.rows() {
        parts.push(row.tap_rows().map(|(tap, line)| Part { line, tap: tap as u32 }));
    }
    parts
}

/// For each line of the input plane the lines of the output whose windows hold it, in order.
pub(crate) fn by_input(dims: &PoolDims) -> Parts {
    let width = dims.width().input;
    let mut held = vec![Vec::new(); dims.planes.plane_in / width];
    for (line, row) in dims.rows().enumerate() {
        row.tap_rows().for_each(|(tap, start)| held[start / width].push(Part { line, tap: tap as u32 }));
    }
    let mut parts = Parts::default();
    held.into_iter().for_each(|held| parts.push(held));
    parts
}

/// Lines of the output that are pooled together, so that the lines of the input they share are read once.
#[derive(Debug)]
pub(crate) struct Band {
    pub(crate) outputs: Range<usize>,
    /// Where the lines of the input start.
    pub(crate) inputs: Vec<usize>,
}

/// Bands over at most `lines` lines of the input each, or of one line of the output; `parts` then names lines of the band.
pub(crate) fn bands(mut parts: Parts, lines: usize) -> (Parts, Vec<Band>) {
    let mut bands: Vec<Band> = Vec::new();
    let mut places = BTreeMap::new();
    for line in 0..parts.len() {
        let new = parts.of(line).iter().filter(|part| !places.contains_key(&part.line)).count();
        if bands.is_empty() || places.len() + new > lines {
            places.clear();
            bands.push(Band { outputs: line..line, inputs: Vec::new() });
        }
        let Some(band) = bands.last_mut() else { break };
        band.outputs.end = line + 1;
        let start = if line == 0 { 0 } else { parts.ends[line - 1] };
        for part in &mut parts.parts[start..parts.ends[line]] {
            part.line = *places.entry(part.line).or_insert_with(|| {
                band.inputs.push(part.line);
                band.inputs.len() - 1
            });
        }
    }
    (parts, bands)
}
