//! The IDX format of MNIST: a magic number, big-endian extents, then the values.
//!
//! Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", section "File formats".

use std::io;

/// What is wrong with an IDX file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxFault {
    /// The bytes could not be read or decompressed.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The first four bytes are not those of unsigned bytes in this many axes.
    #[error("the magic number must be {expected:#010x} (unsigned bytes, {axes} axes), got {found:#010x}")]
    Magic {
        /// The magic number that is accepted.
        expected: u32,
        /// The number of axes that goes with it.
        axes: usize,
        /// The first four bytes of the file.
        found: u32,
    },
    /// The file ends inside its header.
    #[error("the header has {expected} bytes, but the file ends after {found}")]
    ShortHeader {
        /// The bytes of the header.
        expected: usize,
        /// The bytes that there are.
        found: usize,
    },
    /// The file ends before its values do.
    #[error("the header {extents:?} promises {expected} values, but the file ends after {found}")]
    Truncated {
        /// The extents in the header.
        extents: Vec<usize>,
        /// Their product.
        expected: usize,
        /// The values that there are.
        found: usize,
    },
    /// The file goes on after its values.
    #[error("the header {extents:?} promises {expected} values, but {found} or more follow")]
    Trailing {
        /// The extents in the header.
        extents: Vec<usize>,
        /// Their product.
        expected: usize,
        /// The values that were counted.
        found: usize,
    },
    /// The extents multiply to more than is accepted.
    #[error("the header {extents:?} promises more than the {limit} values that are accepted")]
    TooLarge {
        /// The extents in the header.
        extents: Vec<usize>,
        /// The largest number of values that is accepted.
        limit: usize,
    },
}
