//! What can go wrong when parameters are made, loaded or saved: one variant a cause.

use candle_core::{DType, Shape};
use std::path::PathBuf;

/// The result of making, loading or saving parameters.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why parameters could not be made, loaded or saved.
///
/// Converts into [`candle_core::Error`], so `?` works where candle's result is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file is not in the safetensors format, or is cut short.
    #[error("{} is not a whole safetensors file: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What its reader found.
        reason: String,
    },
    /// A file's tensors are not those of the network.
    #[error("{} does not fit the network: {differences}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Every difference.
        differences: Differences,
    },
    /// A strictly loaded file has no tensor of a name that the network asks for.
    #[error(
        "{} has no tensor `{name}`; use `load_partial` to start from fresh values where the file has none",
        path.display()
    )]
    NotInFile {
        /// The name that was asked for.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A file holds a tensor of another shape than the network asks for.
    #[error("tensor `{name}` is {file:?} in {} but the network asks for {asked:?}", path.display())]
    FileShape {
        /// The tensor's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// The shape in the file.
        file: Shape,
        /// The shape that was asked for.
        asked: Shape,
    },
    /// One name is asked for with two shapes.
    #[error(
        "tensor `{name}` exists with shape {existing:?} and is asked for again with {asked:?}; \
         give each layer its own prefix with `vb.pp(..)`"
    )]
    ShapeConflict {
        /// The tensor's name.
        name: String,
        /// The shape it was made with.
        existing: Shape,
        /// The shape that was asked for.
        asked: Shape,
    },
    /// One name is asked for with two dtypes.
    #[error(
        "tensor `{name}` exists with dtype {existing:?} and is asked for again with {asked:?}; a tensor has one dtype"
    )]
    DTypeConflict {
        /// The tensor's name.
        name: String,
        /// The dtype it was made with.
        existing: DType,
        /// The dtype that was asked for.
        asked: DType,
    },
    /// A tensor is asked for by name alone, and there is none.
    #[error("there is no tensor `{name}`; ask for it with a shape to make it, or load a file that has it")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// An error of candle's own.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// How a file's tensors differ from the network's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Names that the network has and the file lacks.
    pub missing: Vec<String>,
    /// Names that the file has and the network lacks.
    pub unexpected: Vec<String>,
    /// Names that both have, in different shapes: (name, the file's shape, the network's).
    pub mismatched: Vec<(String, Shape, Shape)>,
}

impl Differences {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl std::fmt::Display for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("it lacks {}", quoted(&self.missing)));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!("the network lacks {}", quoted(&self.unexpected)));
        }
        for (name, file, network) in &self.mismatched {
            parts.push(format!("`{name}` is {file:?} in the file and {network:?} in the network"));
        }
        f.write_str(&parts.join("; "))
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            // Keeps the type and one line, where `Error::wrap` would print a backtrace.
            error => candle_core::Error::Io(std::io::Error::other(error)),
        }
    }
}
