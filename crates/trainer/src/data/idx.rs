//! The IDX format of MNIST: a magic number, big-endian extents, then the values.
//!
//! Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", section "File formats".

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// The type byte of unsigned 8-bit values, the only type that the data sets in this format use.
const UNSIGNED_BYTE: u8 = 0x08;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The largest array that is read; all of EMNIST is half of it. A small compressed file can promise any size.
const MAX_VALUES: usize = 1 << 30;
/// How far bytes beyond the promised ones are counted.
const MAX_TRAILING: u64 = 1 << 20;

/// An array of unsigned bytes in `AXES` axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdxArray<const AXES: usize> {
    /// The extents.
    pub(crate) extents: [usize; AXES],
    /// The values in row-major order, as many as the extents multiply to.
    pub(crate) values: Vec<u8>,
}

impl<const AXES: usize> IdxArray<AXES> {
    /// Reads an array from a raw or gzip-compressed stream, told apart by their first bytes. `file` names it in errors.
    pub(crate) fn read(file: &str, reader: impl Read) -> Result<Self> {
        read(reader).map_err(|fault| Error::Idx { file: file.to_owned(), fault })
    }
}

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
    #[error("the header {extents:?} promises {expected} values, but the file holds {found}")]
    Trailing {
        /// The extents in the header.
        extents: Vec<usize>,
        /// Their product.
        expected: usize,
        /// The values that there are, counted up to a mebibyte past the promised ones.
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

fn read<const AXES: usize>(reader: impl Read) -> Result<IdxArray<AXES>, IdxFault> {
    let mut reader = io::BufReader::new(reader);
    let mut start = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut start).map_err(IdxFault::Read)?;
    let reader = io::Cursor::new(start.clone()).chain(reader);
    if start == GZIP { read_raw(MultiGzDecoder::new(reader)) } else { read_raw(reader) }
}

fn read_raw<const AXES: usize>(mut reader: impl Read) -> Result<IdxArray<AXES>, IdxFault> {
    let extents = read_extents(&mut reader)?;
    let count = extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let expected = count
        .filter(|&count| count <= MAX_VALUES)
        .ok_or_else(|| IdxFault::TooLarge { extents: extents.to_vec(), limit: MAX_VALUES })?;

    // Memory grows with what arrives, not with what the header promises.
    let mut values = Vec::new();
    reader.by_ref().take(expected as u64).read_to_end(&mut values).map_err(IdxFault::Read)?;
    if values.len() < expected {
        return Err(IdxFault::Truncated { extents: extents.to_vec(), expected, found: values.len() });
    }
    let trailing = io::copy(&mut reader.take(MAX_TRAILING), &mut io::sink()).map_err(IdxFault::Read)?;
    if trailing > 0 {
        return Err(IdxFault::Trailing { extents: extents.to_vec(), expected, found: expected + trailing as usize });
    }
    Ok(IdxArray { extents, values })
}

fn read_extents<const AXES: usize>(reader: &mut impl Read) -> Result<[usize; AXES], IdxFault> {
    let expected = 4 + 4 * AXES;
    let mut header = Vec::with_capacity(expected);
    reader.take(expected as u64).read_to_end(&mut header).map_err(IdxFault::Read)?;
    let short = IdxFault::ShortHeader { expected, found: header.len() };
    let mut words = header.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));

    let magic = u32::from_be_bytes([0, 0, UNSIGNED_BYTE, AXES as u8]);
    match words.next() {
        None => return Err(short),
        Some(found) if found != magic => return Err(IdxFault::Magic { expected: magic, axes: AXES, found }),
        Some(_) => {}
    }
    let mut extents = [0; AXES];
    for extent in &mut extents {
        *extent = match words.next() {
            Some(word) => word as usize,
            None => return Err(short),
        };
    }
    Ok(extents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_no_values_is_whole() -> Result<()> {
        let array = IdxArray::<1>::read("empty", [0, 0, 8, 1, 0, 0, 0, 0].as_slice())?;
        assert_eq!(array, IdxArray { extents: [0], values: vec![] });
        Ok(())
    }
}
