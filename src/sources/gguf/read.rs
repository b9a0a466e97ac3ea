//! The binary layout of a GGUF header (ggml `docs/gguf.md`): little-endian, counts before contents.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};

use super::GgufProblem;
use crate::units::{Bytes, GgmlType, round_up};

/// Most tensors of one file; the largest published files have some thousands.
const MOST_TENSORS: u64 = 1 << 20;
/// Most metadata entries.
const MOST_ENTRIES: u64 = 1 << 16;
/// Most elements of one metadata array; vocabularies have a few hundred thousand.
const MOST_ELEMENTS: u64 = 1 << 24;
/// Longest text; chat templates have some tens of thousands of bytes.
const LONGEST_TEXT: u64 = 1 << 24;
/// Most dimensions of a tensor in ggml.
const MOST_DIMENSIONS: u64 = 4;
/// Alignment of data where the metadata states none.
const DEFAULT_ALIGNMENT: u64 = 32;

/// The header of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf {
    /// Version of the layout.
    pub version: u32,
    /// Metadata. Arrays keep their length alone: vocabularies are not needed.
    pub metadata: BTreeMap<String, GgufValue>,
    /// The tensors, in the order of the table.
    pub tensors: Vec<GgufTensor>,
    /// First byte of the data section.
    pub data_offset: u64,
}

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum GgufValue {
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Signed(i64),
    /// A number with decimals.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// An array, by its length.
    Array(u64),
}

/// One tensor of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufTensor {
    /// Name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Storage type.
    pub kind: GgmlType,
    /// Dimensions, innermost first as in the file.
    pub shape: Vec<u64>,
    /// First byte of its data, from the start of the file.
    pub offset: u64,
    /// Size of its data.
    pub bytes: Bytes,
}

impl GgufTensor {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shape.iter().copied().fold(1, u64::saturating_mul)
    }
}

impl Gguf {
    /// A whole number of the metadata.
    #[must_use]
    pub fn metadata_u64(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key) {
            Some(GgufValue::Unsigned(number)) => Some(*number),
            _ => None,
        }
    }
}

/// Reads the header of a file of `size` bytes.
///
/// # Errors
/// [`GgufProblem`], naming the tensor where there is one.
pub fn read_header(reader: &mut impl Read, size: u64) -> Result<Gguf, GgufProblem> {
    let mut input = Input { reader, position: 0, size };
    if input.array::<4>()? != *b"GGUF" {
        return Err(GgufProblem::Magic);
    }
    let version = input.u32()?;
    if !matches!(version, 2 | 3) {
        return Err(GgufProblem::Version(version));
    }
    let tensor_count = input.count("tensors", MOST_TENSORS)?;
    let entry_count = input.count("metadata entries", MOST_ENTRIES)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..entry_count {
        let key = input.text()?;
        let kind = input.u32()?;
        let value = input.value(kind)?;
        metadata.insert(key, value);
    }
    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..tensor_count {
        let tensor = input.tensor()?;
        if !names.insert(tensor.name.clone()) {
            return Err(GgufProblem::Duplicate(tensor.name));
        }
        tensors.push(tensor);
    }
    let alignment = match metadata.get("general.alignment") {
        Some(GgufValue::Unsigned(n)) if n.is_power_of_two() && *n <= 1 << 20 => *n,
        _ => DEFAULT_ALIGNMENT,
    };
    let data_offset = round_up(input.position, alignment);
    for tensor in &mut tensors {
        if !tensor.offset.is_multiple_of(alignment) {
            return Err(GgufProblem::Unaligned { tensor: tensor.name.clone(), offset: tensor.offset, alignment });
        }
        let end = tensor.offset.checked_add(data_offset).and_then(|start| start.checked_add(tensor.bytes.0));
        if end.is_none_or(|end| end > size) {
            return Err(GgufProblem::DataTruncated(tensor.name.clone()));
        }
        tensor.offset += data_offset;
    }
    Ok(Gguf { version, metadata, tensors, data_offset })
}

/// A reader that knows where it is and never reads past the stated size.
struct Input<'a, R> {
    reader: &'a mut R,
    position: u64,
    size: u64,
}

impl<R: Read> Input<'_, R> {
    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, GgufProblem> {
        if length > self.size.saturating_sub(self.position) {
            return Err(GgufProblem::Truncated);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| GgufProblem::Truncated)?];
        self.reader.read_exact(&mut bytes).map_err(ended)?;
        self.position += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufProblem> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(ended)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufProblem> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, GgufProblem> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self, what: &'static str, limit: u64) -> Result<u64, GgufProblem> {
        let count = self.u64()?;
        if count > limit { Err(GgufProblem::TooMany { what, count, limit }) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<String, GgufProblem> {
        let length = self.count("bytes of one text", LONGEST_TEXT)?;
        String::from_utf8(self.bytes(length)?).map_err(|_| GgufProblem::Utf8)
    }

    fn value(&mut self, kind: u32) -> Result<GgufValue, GgufProblem> {
        let signed = |n: i64| u64::try_from(n).map_or(GgufValue::Signed(n), GgufValue::Unsigned);
        Ok(match kind {
            0 => GgufValue::Unsigned(self.array::<1>()?[0].into()),
            1 => signed(i8::from_le_bytes(self.array()?).into()),
            2 => GgufValue::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => signed(i16::from_le_bytes(self.array()?).into()),
            4 => GgufValue::Unsigned(self.u32()?.into()),
            5 => signed(i32::from_le_bytes(self.array()?).into()),
            6 => GgufValue::Float(f32::from_le_bytes(self.array()?).into()),
            7 => GgufValue::Bool(self.array::<1>()?[0] != 0),
            8 => GgufValue::Text(self.text()?),
            9 => GgufValue::Array(self.skip_array()?),
            10 => GgufValue::Unsigned(self.u64()?),
            11 => signed(i64::from_le_bytes(self.array()?)),
            12 => GgufValue::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(GgufProblem::ValueType(other)),
        })
    }

    /// Passes over an array and returns its length. Arrays of arrays do not occur in files and are refused as a type.
    fn skip_array(&mut self) -> Result<u64, GgufProblem> {
        let kind = self.u32()?;
        let length = self.count("elements of one array", MOST_ELEMENTS)?;
        let width = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..length {
                    let bytes = self.count("bytes of one text", LONGEST_TEXT)?;
                    self.skip(bytes)?;
                }
                return Ok(length);
            }
            other => return Err(GgufProblem::ValueType(other)),
        };
        self.skip(length * width)?;
        Ok(length)
    }

    fn skip(&mut self, length: u64) -> Result<(), GgufProblem> {
        if length > self.size.saturating_sub(self.position) {
            return Err(GgufProblem::Truncated);
        }
        let skipped = io::copy(&mut self.reader.by_ref().take(length), &mut io::sink()).map_err(GgufProblem::Io)?;
        self.position += skipped;
        if skipped == length { Ok(()) } else { Err(GgufProblem::Truncated) }
    }

    fn tensor(&mut self) -> Result<GgufTensor, GgufProblem> {
        let name = self.text()?;
        let dimensions = u64::from(self.u32()?);
        if dimensions > MOST_DIMENSIONS {
            let limit = MOST_DIMENSIONS;
            return Err(GgufProblem::TooMany { what: "dimensions of one tensor", count: dimensions, limit });
        }
        let shape = (0..dimensions).map(|_| self.u64()).collect::<Result<Vec<_>, _>>()?;
        let id = self.u32()?;
        let offset = self.u64()?;
        let Some(kind) = GgmlType::of_id(id) else {
            return Err(GgufProblem::TensorType { tensor: name, id });
        };
        let row = shape.first().copied().unwrap_or(1);
        let rows = shape.iter().skip(1).try_fold(1u64, |product, n| product.checked_mul(*n));
        match rows.and_then(|rows| kind.size(row, rows)) {
            Some(bytes) => Ok(GgufTensor { name, kind, shape, offset, bytes }),
            None => Err(GgufProblem::Shape { tensor: name, shape, type_name: kind.name }),
        }
    }
}

fn ended(error: io::Error) -> GgufProblem {
    if error.kind() == io::ErrorKind::UnexpectedEof { GgufProblem::Truncated } else { GgufProblem::Io(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    /// A file with three metadata entries and two tensors.
    fn file() -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend(2u64.to_le_bytes());
        out.extend(3u64.to_le_bytes());
        text(&mut out, "general.architecture");
        out.extend(8u32.to_le_bytes());
        text(&mut out, "llama");
        text(&mut out, "llama.block_count");
        out.extend(4u32.to_le_bytes());
        out.extend(2u32.to_le_bytes());
        text(&mut out, "tokenizer.ggml.tokens");
        out.extend(9u32.to_le_bytes());
        out.extend(8u32.to_le_bytes());
        out.extend(2u64.to_le_bytes());
        text(&mut out, "a");
        text(&mut out, "b");
        for (name, shape, kind, offset) in [("a.weight", [256u64, 2], 12u32, 0u64), ("b.weight", [32, 1], 8, 288)] {
            text(&mut out, name);
            out.extend(2u32.to_le_bytes());
            shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32) + 288 + 34, 0);
        out
    }

    fn read(bytes: &[u8]) -> Result<Gguf, GgufProblem> {
        read_header(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn headers_are_read() {
        let gguf = read(&file()).unwrap();
        assert_eq!(gguf.metadata.get("general.architecture"), Some(&GgufValue::Text("llama".into())));
        assert_eq!(gguf.metadata_u64("llama.block_count"), Some(2));
        assert_eq!(gguf.metadata.get("tokenizer.ggml.tokens"), Some(&GgufValue::Array(2)));
        assert_eq!(gguf.tensors[0].bytes, Bytes(2 * 144));
        assert_eq!((gguf.tensors[1].bytes, gguf.tensors[1].offset), (Bytes(34), gguf.data_offset + 288));
        assert_eq!(gguf.data_offset % 32, 0);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let whole = file();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn any_damaged_byte_gives_an_answer() {
        let whole = file();
        for i in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[i] = value;
                let _ = read(&damaged);
            }
        }
    }

    #[test]
    fn absurd_counts_are_refused() {
        let mut file = file();
        file[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(read(&file), Err(GgufProblem::TooMany { what: "tensors", .. })));
        assert!(matches!(read(b"GGML"), Err(GgufProblem::Magic)));
        assert!(matches!(read(b"GGUF\x01\0\0\0"), Err(GgufProblem::Version(1))));
    }
}
