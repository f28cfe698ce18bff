//! One error for the whole program: a line for the reader.

use std::fmt;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one line. Every other error converts into it.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Error {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self(one_line(&message.to_string()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// Joins the lines of a message. Where `RUST_BACKTRACE` is set, candle appends a backtrace to its errors: it is cut off.
pub(crate) fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).take_while(|line| !is_frame(line)).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(": ")
}

/// Whether this is the line of a backtrace, such as `0: std::backtrace::Backtrace::create`.
fn is_frame(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}
