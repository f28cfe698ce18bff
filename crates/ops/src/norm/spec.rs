//! Which elements share a mean and a variance, and which share a weight and a bias.

use crate::error::expect_shape;
use crate::{Error, Result};
use candle_core::{Shape, Tensor};

/// How the statistics of a set come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistics {
    /// The set's own mean and variance.
    Centred,
    /// Mean 0, and the set's own mean square for a variance.
    Uncentred,
    /// Constants.
    Fixed,
}

/// Which elements of `[samples, channels, positions]` are normalised together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sets {
    /// Those of a channel, over all samples and positions.
    Channels,
    /// Those of a sample in this many neighbouring channels.
    Groups(usize),
}

/// Neighbouring elements of a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) start: usize,
    /// The channel of the first, counted from that of the set's piece.
    pub(super) channel: usize,
    pub(super) len: usize,
}

/// Sets below which a task a set would leave cores idle.
const FEW: usize = 8;
/// Elements of a set from which on it may be cut.
const CUT: usize = 1 << 15;

/// A normalisation of `[samples, channels, positions]`, checked: every channel has a weight and a bias. Where the axes
/// that are normalised have a weight an element, they are the channels, and there is one position.
#[derive(Debug, Clone)]
pub(super) struct NormDims {
    pub(super) op: &'static str,
    /// The input's own shape.
    shape: Vec<usize>,
    /// The weight's own shape, of `channels` elements.
    affine: Vec<usize>,
    pub(super) samples: usize,
    pub(super) channels: usize,
    pub(super) positions: usize,
    pub(super) sets: Sets,
    pub(super) statistics: Statistics,
    pub(super) eps: f64,
}

impl NormDims {
    /// A weight for each entry of the axis of channels, which is the second.
    pub(super) fn channels(
        op: &'static str,
        x: &Tensor,
        sets: impl Fn(usize) -> Result<Sets>,
        statistics: Statistics,
        eps: f64,
    ) -> Result<Self> {
        let &[samples, channels, ref positions @ ..] = x.dims() else {
            return Err(Error::Rank { op, argument: "input", expected: "2 or more", shape: x.dims().to_vec() });
        };
        let (sets, positions) = (sets(channels)?, product(op, positions)?);
        Self::new(op, x, vec![channels], [samples, channels, positions], sets, statistics, eps)
    }

    /// A weight for each element of the last axes, which are normalised together.
    pub(super) fn last_axes(
        op: &'static str,
        x: &Tensor,
        normalized_shape: &[usize],
        statistics: Statistics,
        eps: f64,
    ) -> Result<Self> {
        if normalized_shape.is_empty() {
            return Err(Error::Rank { op, argument: "normalized_shape", expected: "1 or more", shape: vec![] });
        }
        let Some(samples) = x.dims().strip_suffix(normalized_shape) else {
            let leading = x.rank().saturating_sub(normalized_shape.len());
            let expected = [&x.dims()[..leading], normalized_shape].concat();
            return Err(Error::Shape { op, argument: "input", expected, shape: x.dims().to_vec() });
        };
        let dims = [product(op, samples)?, product(op, normalized_shape)?, 1];
        Self::new(op, x, normalized_shape.to_vec(), dims, Sets::Groups(dims[1]), statistics, eps)
    }

    fn new(
        op: &'static str,
        x: &Tensor,
        affine: Vec<usize>,
        [samples, channels, positions]: [usize; 3],
        sets: Sets,
        statistics: Statistics,
        eps: f64,
    ) -> Result<Self> {
        if !(eps >= 0. && eps.is_finite()) {
            return Err(Error::Value { op, argument: "eps", expected: "a finite number of at least 0", value: eps });
        }
        // An empty tensor may claim any extent on its other axes.
        product(op, &[samples, channels])?;
        product(op, &[channels, positions])?;
        product(op, &[samples, positions])?;
        let shape = x.dims().to_vec();
        Ok(Self { op, shape, affine, samples, channels, positions, sets, statistics, eps })
    }

    pub(super) fn expect_affine(&self, argument: &'static str, tensor: Option<&Tensor>) -> Result<()> {
        tensor.map_or(Ok(()), |tensor| expect_shape(self.op, argument, &self.affine, tensor))
    }

    pub(super) fn shape(&self) -> Shape {
        Shape::from(self.shape.as_slice())
    }

    pub(super) fn affine_shape(&self) -> Shape {
        Shape::from(self.affine.as_slice())
    }

    pub(super) fn set_count(&self) -> usize {
        match self.sets {
            Sets::Channels => self.channels,
            Sets::Groups(channels) => self.samples * self.channels.checked_div(channels).unwrap_or(0),
        }
    }

    pub(super) fn set_len(&self) -> usize {
        match self.sets {
            Sets::Channels => self.samples * self.positions,
            Sets::Groups(channels) => channels * self.positions,
        }
    }

    /// Elements of a set that lie side by side.
    pub(super) fn piece_len(&self) -> usize {
        match self.sets {
            Sets::Channels => self.positions,
            Sets::Groups(_) => self.set_len(),
        }
    }

    /// The parts of a set, in order: its pieces, or where sets are cut the cuts of its pieces.
    pub(super) fn parts(&self, set: usize) -> impl Iterator<Item = Part> + use<> {
        let (first, step, count) = match self.sets {
            Sets::Channels => (set * self.positions, self.channels * self.positions, self.samples),
            Sets::Groups(_) => (set * self.set_len(), 0, 1),
        };
        let (piece, positions) = (self.piece_len(), self.positions.max(1));
        let [block, cut] = if self.cuts_sets() { self.cuts() } else { [piece.max(1); 2] };
        let cuts = move |start: usize| {
            (0..piece).step_by(block).flat_map(move |first| {
                let end = piece.min(first + block);
                let part = move |at| Part { start: start + at, channel: at / positions, len: cut.min(end - at) };
                (first..end).step_by(cut).map(part)
            })
        };
        (0..count).flat_map(move |i| cuts(first + i * step))
    }

    /// Whether the sets are too few and too large for a task each.
    pub(super) fn cuts_sets(&self) -> bool {
        self.set_count() < FEW && self.set_len() > CUT
    }

    /// How pieces are cut: into blocks of whole runs of a channel, or of one, and these into parts.
    pub(super) fn cuts(&self) -> [usize; 2] {
        let positions = self.positions.max(1);
        [(CUT / positions).max(1) * positions, CUT]
    }

    /// The channels of any of a set's pieces: the first, and how many.
    pub(super) fn piece_channels(&self, set: usize) -> (usize, usize) {
        match self.sets {
            Sets::Channels => (set, 1),
            Sets::Groups(channels) => (set % (self.channels / channels) * channels, channels),
        }
    }

    pub(super) fn set_of(&self, sample: usize, channel: usize) -> usize {
        match self.sets {
            Sets::Channels => channel,
            Sets::Groups(channels) => (sample * self.channels + channel) / channels,
        }
    }

    /// The shape in which the sets are numbered by the second axis, and run over the others.
    pub(super) fn by_set(&self) -> (usize, usize, usize) {
        match self.sets {
            Sets::Channels => self.by_channel(),
            Sets::Groups(_) => (1, self.set_count(), self.set_len()),
        }
    }

    /// The shape in which the channels are numbered by the second axis.
    pub(super) fn by_channel(&self) -> (usize, usize, usize) {
        (self.samples, self.channels, self.positions)
    }

    /// The same normalisation of `[1, channels, samples · positions]`, of sets that are channels.
    pub(super) fn channel_major(&self) -> Self {
        Self { samples: 1, positions: self.samples * self.positions, ..self.clone() }
    }
}

fn product(op: &'static str, extents: &[usize]) -> Result<usize> {
    let what = "the input";
    extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)).ok_or(Error::Overflow { op, what })
}
