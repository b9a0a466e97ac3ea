//! What can be wrong with the header of a safetensors file.

use crate::units::{Bytes, DType};

/// A safetensors file whose header cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` {problem}")]
pub struct HeaderError {
    /// The file, as its folder or index names it.
    pub file: String,
    /// What is wrong with it.
    pub problem: HeaderProblem,
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderProblem {
    /// Fewer bytes than the length field that every safetensors file begins with.
    #[error("is not a safetensors file: {0} is less than the 8-byte length it begins with")]
    TooSmall(Bytes),
    /// The first bytes are those of another format.
    #[error("is not a safetensors file but {0}")]
    OtherFormat(&'static str),
    /// The header does not start as a JSON object.
    #[error("is not a safetensors file: its header does not begin with `{{`")]
    NotAnObject,
    /// The length field passes the format's limit of 100,000,000 bytes.
    #[error(
        "says that its header is {0} bytes long; the format allows 100000000, so this is not a safetensors file, or a damaged one"
    )]
    LengthAbsurd(u64),
    /// The file ends inside its header.
    #[error("says that its header is {header} bytes long, but only {present} bytes follow")]
    Truncated {
        /// Bytes that the length field states.
        header: u64,
        /// Bytes after the length field.
        present: u64,
    },
    /// The header is not UTF-8.
    #[error("has a header that is not UTF-8 text, from byte {0} on")]
    NotUtf8(usize),
    /// The header is not JSON, or an entry lacks a field or has one of another kind.
    #[error("has a header that cannot be read: {0}")]
    Malformed(serde_json::Error),
    /// More entries than any checkpoint needs.
    #[error("lists more than {0} tensors in its header")]
    TooManyTensors(usize),
    /// A name longer than any checkpoint needs.
    #[error("has a tensor name of {length} bytes (`{start}…`); at most {limit} are read")]
    NameTooLong {
        /// Its first characters.
        start: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More dimensions than any checkpoint needs.
    #[error("gives tensor `{tensor}` more than {limit} dimensions")]
    TooManyDimensions {
        /// Name of the tensor.
        tensor: String,
        /// The limit.
        limit: usize,
    },
    /// A name occurs twice.
    #[error("lists tensor `{0}` twice")]
    Duplicate(String),
    /// A dtype that this program does not know.
    #[error("stores tensor `{tensor}` as `{dtype}`, which is not a known element type")]
    UnknownDType {
        /// Name of the tensor.
        tensor: String,
        /// Its dtype as written.
        dtype: String,
    },
    /// The product of the shape does not fit 64 bits.
    #[error("gives tensor `{tensor}` a shape of more than 2^64 bits: {shape:?}")]
    Overflow {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// A sub-byte format whose elements do not fill whole bytes.
    #[error("stores tensor `{tensor}` of shape {shape:?} as {dtype}, which does not fill whole bytes")]
    PartialByte {
        /// Name of the tensor.
        tensor: String,
        /// Its element format.
        dtype: DType,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// Offsets run backwards.
    #[error("puts tensor `{tensor}` at {begin}..{end}, which ends before it begins")]
    Reversed {
        /// Name of the tensor.
        tensor: String,
        /// First byte, from the start of the data.
        begin: u64,
        /// One past the last byte.
        end: u64,
    },
    /// The range has another size than shape and dtype ask for.
    #[error("gives tensor `{tensor}` {actual} bytes; its shape {shape:?} of {dtype} takes {expected}")]
    SizeMismatch {
        /// Name of the tensor.
        tensor: String,
        /// Its element format.
        dtype: DType,
        /// Its shape.
        shape: Vec<u64>,
        /// Bytes that shape and dtype take.
        expected: u64,
        /// Bytes of its range.
        actual: u64,
    },
    /// The range passes the end of the file.
    #[error(
        "puts the end of tensor `{tensor}` at byte {end} of the data, but the file holds {available} bytes of data"
    )]
    OutOfRange {
        /// Name of the tensor.
        tensor: String,
        /// One past its last byte, from the start of the data.
        end: u64,
        /// Bytes after the header.
        available: u64,
    },
    /// Two tensors share bytes.
    #[error("puts tensors `{first}` and `{second}` over each other at byte {at} of the data")]
    Overlap {
        /// The tensor that begins first.
        first: String,
        /// The tensor that begins inside it.
        second: String,
        /// Where the second begins.
        at: u64,
    },
    /// Bytes that belong to no tensor.
    #[error("leaves bytes {from}..{to} of its data to no tensor")]
    Hole {
        /// First byte of the gap, from the start of the data.
        from: u64,
        /// One past its last byte.
        to: u64,
    },
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl HeaderProblem {
    /// What the user can do about it.
    #[must_use]
    pub fn repair(&self) -> &'static str {
        match self {
            Self::OtherFormat(GIT_LFS) => "run `git lfs pull` in the folder: only the pointer was downloaded",
            Self::OtherFormat(_) | Self::NotAnObject => "name a folder or file with weights in the safetensors format",
            Self::TooSmall(_) | Self::Truncated { .. } | Self::OutOfRange { .. } => {
                "the file is cut short: download or copy it again and compare its size with the original"
            }
            Self::UnknownDType { .. } => {
                "update shardfit, or convert the tensor; known types are BOOL, U8 to U64, I8 to I64, F4, F6_E2M3, F6_E3M2, F8_E4M3, F8_E5M2, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, F16, BF16, F32, F64, C64"
            }
            Self::Io(_) => "check that the file exists and that you may read it",
            Self::LengthAbsurd(_)
            | Self::NotUtf8(_)
            | Self::Malformed(_)
            | Self::TooManyTensors(_)
            | Self::NameTooLong { .. }
            | Self::TooManyDimensions { .. }
            | Self::Duplicate(_)
            | Self::Overflow { .. }
            | Self::PartialByte { .. }
            | Self::Reversed { .. }
            | Self::SizeMismatch { .. }
            | Self::Overlap { .. }
            | Self::Hole { .. } => {
                "the file is damaged or was written wrongly: download it again, or save it again with the safetensors library"
            }
        }
    }
}

const GIT_LFS: &str = "a Git LFS pointer";

/// The format that a file's first bytes give away, where it is one that is often taken for safetensors.
pub(super) fn recognise(start: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 7] = [
        (b"version ", GIT_LFS),
        (b"PK\x03\x04", "a zip archive, as PyTorch's .bin and .pt files are"),
        (b"GGUF", "a GGUF file"),
        (b"\x80\x02", "a Python pickle, as old PyTorch files are"),
        (b"<!DOCTYP", "a web page"),
        (b"<!doctyp", "a web page"),
        (b"<html", "a web page"),
    ];
    MAGICS.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| name)
}
