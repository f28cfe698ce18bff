//! Event files: records with checksums (TFRecord), under names that sort in the order in which they were begun.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

const PREFIX: &str = "events.out.tfevents.";
/// Of ten digits.
const LAST: u64 = 9_999_999_999;

/// A file of records.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
}

impl Records {
    /// A new file in `folder`, after all that are there: TensorBoard reads them in the order of their names.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        // Clocks go back, and fits begin within one second; names go on.
        let mut second = latest(folder)?.map_or(now, |latest| now.max(latest + 1));
        loop {
            let path = folder.join(format!("{PREFIX}{second:010}.taper"));
            match OpenOptions::new().append(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => second += 1,
                other => return Ok(Self { file: other? }),
            }
        }
    }

    /// Appends a record in one call: a kill falls before or after it.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let length = (content.len() as u64).to_le_bytes();
        let [length_sum, content_sum] = [&length, content].map(|bytes| masked(crc32c(bytes)).to_le_bytes());
        self.file.write_all(&[&length, &length_sum[..], content, &content_sum].concat())
    }
}

/// The latest second in the names of the event files in `folder`.
fn latest(folder: &Path) -> io::Result<Option<u64>> {
    let mut latest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let second = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
        latest = latest.max(second.filter(|second| *second < LAST));
    }
    Ok(latest)
}

/// What a record holds of a checksum, since the sum over data that holds its own sum says little.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The cyclic redundancy check of 32 bits with Castagnoli's polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| TABLE[usize::from(sum as u8 ^ byte)] ^ sum >> 8)
}

/// The remainder of each byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut remainder, mut bit) = (byte as u32, 0);
        while bit < 8 {
            remainder = remainder >> 1 ^ if remainder & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn names_sort_in_the_order_of_creation_even_where_the_clock_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = format!("{PREFIX}9999999900.host");
        fs::write(folder.path().join(&ahead), b"").unwrap();
        fs::write(folder.path().join(format!("{PREFIX}host")), b"").unwrap();
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let mut before = names();
        for count in 3..15 {
            Records::create(folder.path()).unwrap();
            let after = names();
            assert_eq!(after.len(), count);
            // All but the file without a time, which is the last by its letter.
            assert_eq!(after[..count - 2], before[..count - 2], "the new one comes after those that were there");
            before = after;
        }
    }
}
