//! The entries of a header: read with limits, then checked against each other and the file.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{HeaderProblem, HeaderTensor};
use crate::units::{Bytes, DType};

/// Most tensors that one file may list. The largest published checkpoints have about 100,000 over all their files.
pub const MAX_TENSORS: usize = 1 << 20;

/// Longest tensor name, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Most dimensions of a tensor; PyTorch's own limit.
pub const MAX_DIMENSIONS: usize = 64;

/// An entry as written, before anything is checked.
pub(super) struct Entry {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    begin: u64,
    end: u64,
}

/// Reads the JSON object with all limits held while reading; at most `max_tensors` entries.
pub(super) fn parse(text: &str, max_tensors: usize) -> Result<(Vec<Entry>, BTreeMap<String, String>), HeaderProblem> {
    // A visitor can only return serde_json's error type; what it found out beyond that is left here.
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = HeaderVisitor { found: &mut found, max_tensors }.deserialize(&mut json).and_then(|header| {
        json.end()?;
        Ok(header)
    });
    parsed.map_err(|error| found.unwrap_or(HeaderProblem::Malformed(error)))
}

/// Checks entries against each other and against the `available` bytes of data, which start at `data_start` in the file.
pub(super) fn check(
    mut entries: Vec<Entry>,
    data_start: u64,
    available: u64,
) -> Result<Vec<HeaderTensor>, HeaderProblem> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([a, _]) = entries.array_windows().find(|[a, b]| a.name == b.name) {
        return Err(HeaderProblem::Duplicate(a.name.clone()));
    }
    let mut tensors = entries
        .into_iter()
        .map(|entry| entry.check(data_start, available))
        .collect::<Result<Vec<HeaderTensor>, HeaderProblem>>()?;
    tensors.sort_by_key(|t| (t.offset, t.bytes));

    let mut covered = data_start;
    let mut last: Option<&HeaderTensor> = None;
    for tensor in &tensors {
        if tensor.offset > covered {
            return Err(HeaderProblem::Hole { from: covered - data_start, to: tensor.offset - data_start });
        }
        if let Some(first) = last.filter(|_| tensor.offset < covered) {
            return Err(HeaderProblem::Overlap {
                first: first.name.clone(),
                second: tensor.name.clone(),
                at: tensor.offset - data_start,
            });
        }
        covered = tensor.offset.saturating_add(tensor.bytes.0);
        last = Some(tensor);
    }
    let covered = covered - data_start;
    if covered != available {
        return Err(HeaderProblem::Hole { from: covered, to: available });
    }
    Ok(tensors)
}

impl Entry {
    fn check(self, data_start: u64, available: u64) -> Result<HeaderTensor, HeaderProblem> {
        let Self { name: tensor, dtype, shape, begin, end } = self;
        // Exact names only: `DType`'s own parser also takes the spellings of configs and flags, which no file has.
        let Some(dtype) = DType::ALL.into_iter().find(|d| d.name() == dtype) else {
            return Err(HeaderProblem::UnknownDType { tensor, dtype });
        };
        let Some(bits) =
            shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d)).and_then(|n| n.checked_mul(dtype.bits()))
        else {
            return Err(HeaderProblem::Overflow { tensor, shape });
        };
        if !bits.is_multiple_of(8) {
            return Err(HeaderProblem::PartialByte { tensor, dtype, shape });
        }
        let Some(actual) = end.checked_sub(begin) else {
            return Err(HeaderProblem::Reversed { tensor, begin, end });
        };
        let expected = bits / 8;
        if actual != expected {
            return Err(HeaderProblem::SizeMismatch { tensor, dtype, shape, expected, actual });
        }
        if end > available {
            return Err(HeaderProblem::OutOfRange { tensor, end, available });
        }
        Ok(HeaderTensor { name: tensor, dtype, shape, offset: data_start.saturating_add(begin), bytes: Bytes(actual) })
    }
}

/// Reads the whole object.
struct HeaderVisitor<'a> {
    max_tensors: usize,
    found: &'a mut Option<HeaderProblem>,
}

impl<'de> DeserializeSeed<'de> for HeaderVisitor<'_> {
    type Value = (Vec<Entry>, BTreeMap<String, String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = (Vec<Entry>, BTreeMap<String, String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut metadata: Option<BTreeMap<String, String>> = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if metadata.is_some() {
                    return Err(stop(self.found, HeaderProblem::Duplicate(name)));
                }
                metadata = Some(map.next_value::<Option<BTreeMap<String, String>>>()?.unwrap_or_default());
                continue;
            }
            if entries.len() == self.max_tensors {
                return Err(stop(self.found, HeaderProblem::TooManyTensors(self.max_tensors)));
            }
            if name.len() > MAX_NAME_BYTES {
                let start = name.chars().take(40).collect();
                let problem = HeaderProblem::NameTooLong { start, length: name.len(), limit: MAX_NAME_BYTES };
                return Err(stop(self.found, problem));
            }
            entries.push(map.next_value_seed(EntryVisitor { name, found: &mut *self.found })?);
        }
        Ok((entries, metadata.unwrap_or_default()))
    }
}

/// Reads one `{"dtype", "shape", "data_offsets"}`. Fields beyond these are skipped, as the format's own reader does.
struct EntryVisitor<'a> {
    name: String,
    found: &'a mut Option<HeaderProblem>,
}

impl<'de> DeserializeSeed<'de> for EntryVisitor<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntryVisitor<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with dtype, shape and data_offsets for tensor `{}`", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let Self { name, found } = self;
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        let named = |error: A::Error| A::Error::custom(format_args!("tensor `{name}`: {error}"));
        while let Some(field) = map.next_key::<String>().map_err(named)? {
            let again = match field.as_str() {
                "dtype" => dtype.replace(map.next_value::<String>().map_err(named)?).is_some(),
                "shape" => shape.replace(map.next_value_seed(ShapeVisitor).map_err(named)?).is_some(),
                "data_offsets" => offsets.replace(map.next_value::<(u64, u64)>().map_err(named)?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>().map_err(named)?;
                    false
                }
            };
            if again {
                return Err(named(A::Error::custom(format_args!("field `{field}` is given twice"))));
            }
            if shape.as_ref().is_some_and(|s| s.len() > MAX_DIMENSIONS) {
                return Err(stop(found, HeaderProblem::TooManyDimensions { tensor: name, limit: MAX_DIMENSIONS }));
            }
        }
        let missing = |field| named(A::Error::missing_field(field));
        let dtype = dtype.ok_or_else(|| missing("dtype"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let (begin, end) = offsets.ok_or_else(|| missing("data_offsets"))?;
        Ok(Entry { name, dtype, shape, begin, end })
    }
}

/// Reads a shape, keeping at most one dimension over the limit.
struct ShapeVisitor;

impl<'de> DeserializeSeed<'de> for ShapeVisitor {
    type Value = Vec<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Vec<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u64>, A::Error> {
        let mut shape = Vec::new();
        while let Some(dimension) = seq.next_element()? {
            if shape.len() <= MAX_DIMENSIONS {
                shape.push(dimension);
            }
        }
        Ok(shape)
    }
}

/// Leaves the typed problem behind and ends the parse with a placeholder that nobody sees.
fn stop<E: serde::de::Error>(found: &mut Option<HeaderProblem>, problem: HeaderProblem) -> E {
    *found = Some(problem);
    E::custom("limit")
}
