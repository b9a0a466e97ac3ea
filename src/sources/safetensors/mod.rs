//! Headers of safetensors files: which tensors a file holds and where, without touching their data.
//!
//! A file is an 8-byte little-endian length, a JSON object of that length (`{"name": {"dtype", "shape", "data_offsets"}, …}`, with free
//! texts under `__metadata__`), and the data, which the tensors must cover without overlap or hole
//! (<https://github.com/huggingface/safetensors#format>). The safetensors crate checks the same, but needs the whole file in memory to do
//! it and does not say which tensor is at fault, so its rules are kept here with errors of our own.

mod entries;
mod problem;

use std::collections::BTreeMap;
use std::io::{self, Read};

pub use entries::{MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_TENSORS};
pub use problem::{HeaderError, HeaderProblem};

use crate::units::{Bytes, DType};

/// Bytes of the length field at the start of a file.
pub const LENGTH_BYTES: u64 = 8;

/// Longest header that the format allows, in bytes.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Tensors in the order of their data.
    pub tensors: Vec<HeaderTensor>,
    /// Free texts of the file.
    pub metadata: BTreeMap<String, String>,
}

/// One tensor of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTensor {
    /// Name.
    pub name: String,
    /// Element format.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// First byte of its data, from the start of the file.
    pub offset: u64,
    /// Size of its data.
    pub bytes: Bytes,
}

/// Length of the JSON part, from the first eight bytes of a file of `file_size` bytes.
///
/// # Errors
/// [`HeaderProblem::OtherFormat`], [`HeaderProblem::LengthAbsurd`], [`HeaderProblem::Truncated`].
pub fn header_length(start: [u8; 8], file_size: u64) -> Result<u64, HeaderProblem> {
    if let Some(format) = problem::recognise(&start) {
        return Err(HeaderProblem::OtherFormat(format));
    }
    let length = u64::from_le_bytes(start);
    if length > MAX_HEADER_BYTES {
        return Err(HeaderProblem::LengthAbsurd(length));
    }
    let present = file_size.saturating_sub(LENGTH_BYTES);
    if length > present {
        return Err(HeaderProblem::Truncated { header: length, present });
    }
    Ok(length)
}

/// Reads and checks the JSON part of a file of `file_size` bytes.
///
/// # Errors
/// Each fault that the format knows has its own [`HeaderProblem`].
pub fn parse_header(json: &[u8], file_size: u64) -> Result<Header, HeaderProblem> {
    let json_bytes = u64::try_from(json.len()).unwrap_or(u64::MAX);
    let data_start = LENGTH_BYTES.saturating_add(json_bytes);
    let available = file_size
        .checked_sub(data_start)
        .ok_or(HeaderProblem::Truncated { header: json_bytes, present: file_size.saturating_sub(LENGTH_BYTES) })?;
    if json.first() != Some(&b'{') {
        return Err(HeaderProblem::NotAnObject);
    }
    let text = str::from_utf8(json).map_err(|e| HeaderProblem::NotUtf8(e.valid_up_to()))?;
    let (entries, metadata) = entries::parse(text, MAX_TENSORS)?;
    let tensors = entries::check(entries, data_start, available)?;
    Ok(Header { tensors, metadata })
}

/// Reads the header at the start of `reader`, which yields a file of `file_size` bytes. Nothing after the header is read.
///
/// # Errors
/// As [`parse_header`], and [`HeaderProblem::Io`].
pub fn read_header(reader: &mut impl Read, file_size: u64) -> Result<Header, HeaderProblem> {
    if file_size < LENGTH_BYTES {
        return Err(HeaderProblem::TooSmall(Bytes(file_size)));
    }
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    let length = header_length(start, file_size)?;
    // The buffer grows with what really comes, so that a wrong size costs no memory.
    let mut json = Vec::new();
    reader.take(length).read_to_end(&mut json)?;
    if u64::try_from(json.len()) != Ok(length) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    parse_header(&json, file_size)
}

/// Entry point for fuzzing: any bytes, taken as a whole file, give a header or an error.
///
/// # Errors
/// As [`read_header`].
pub fn read_header_from_bytes(mut file: &[u8]) -> Result<Header, HeaderProblem> {
    let size = u64::try_from(file.len()).unwrap_or(u64::MAX);
    read_header(&mut file, size)
}

#[cfg(test)]
mod tests;
