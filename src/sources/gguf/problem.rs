//! What can be wrong with a GGUF file.

use std::io;
use std::path::PathBuf;

/// A GGUF file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` {problem}", path = path.display())]
pub struct GgufError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: GgufProblem,
}

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error)]
pub enum GgufProblem {
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// Other first bytes.
    #[error("is no GGUF file")]
    Magic,
    /// Written on a machine of the other byte order, or damaged.
    #[error("has GGUF version {0}; versions 2 and 3 are read")]
    Version(u32),
    /// The file ends inside its header.
    #[error("ends inside its header: the download was broken off")]
    Truncated,
    /// A count that no model has.
    #[error("claims {count} {what}; at most {limit} are read")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// A text that is not UTF-8.
    #[error("has a text that is not UTF-8")]
    Utf8,
    /// A metadata type that does not exist.
    #[error("has metadata of the unknown type {0}")]
    ValueType(u32),
    /// A tensor type that does not exist.
    #[error("stores `{tensor}` in the unknown type {id}")]
    TensorType {
        /// Tensor.
        tensor: String,
        /// Number of the type.
        id: u32,
    },
    /// A shape that does not match the type or is too large.
    #[error("gives `{tensor}` the shape {shape:?}, which its type {type_name} cannot store")]
    Shape {
        /// Tensor.
        tensor: String,
        /// Dimensions, innermost first.
        shape: Vec<u64>,
        /// The type.
        type_name: &'static str,
    },
    /// A tensor that reaches past the end.
    #[error("ends before the data of `{0}`: the download was broken off")]
    DataTruncated(String),
    /// Data that begins in the middle of a unit.
    #[error("puts `{tensor}` at byte {offset} of its data, which is no multiple of its alignment {alignment}")]
    Unaligned {
        /// Tensor.
        tensor: String,
        /// Where its data begins.
        offset: u64,
        /// What that must be a multiple of.
        alignment: u64,
    },
    /// The same name twice.
    #[error("holds `{0}` twice")]
    Duplicate(String),
    /// A part of a split model under another name.
    #[error("is one of {count} parts, but its name does not say which: parts end in `-00001-of-{count:05}.gguf`")]
    SplitName {
        /// Number of parts.
        count: u64,
    },
}
