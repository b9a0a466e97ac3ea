//! Element formats, sized in bits so that 4- and 6-bit formats are as exact as 16-bit ones.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Bytes;

/// How one element of a tensor is stored. Names are those of the safetensors header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(non_camel_case_types, missing_docs)]
pub enum DType {
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

impl DType {
    /// All formats, for tables and tests.
    pub const ALL: [Self; 22] = [
        Self::BOOL,
        Self::F4,
        Self::F6_E2M3,
        Self::F6_E3M2,
        Self::U8,
        Self::I8,
        Self::F8_E5M2,
        Self::F8_E4M3,
        Self::F8_E8M0,
        Self::F8_E4M3FNUZ,
        Self::F8_E5M2FNUZ,
        Self::I16,
        Self::U16,
        Self::F16,
        Self::BF16,
        Self::I32,
        Self::U32,
        Self::F32,
        Self::C64,
        Self::F64,
        Self::I64,
        Self::U64,
    ];

    /// Size of one element in bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::F4 => 4,
            Self::F6_E2M3 | Self::F6_E3M2 => 6,
            Self::BOOL
            | Self::U8
            | Self::I8
            | Self::F8_E5M2
            | Self::F8_E4M3
            | Self::F8_E8M0
            | Self::F8_E4M3FNUZ
            | Self::F8_E5M2FNUZ => 8,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::C64 | Self::F64 | Self::I64 | Self::U64 => 64,
        }
    }

    /// Bytes of `elements` elements, a last partial byte rounded up; `None` past 2^64 bits.
    #[must_use]
    pub const fn checked_size(self, elements: u64) -> Option<Bytes> {
        match elements.checked_mul(self.bits()) {
            Some(bits) => Some(Bytes(bits.div_ceil(8))),
            None => None,
        }
    }

    /// Bytes of `elements` elements; saturates where [`DType::checked_size`] is `None`.
    #[must_use]
    pub const fn size(self, elements: u64) -> Bytes {
        match self.checked_size(elements) {
            Some(bytes) => bytes,
            None => Bytes(u64::MAX),
        }
    }

    /// Name as in a safetensors header (`BF16`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BOOL => "BOOL",
            Self::F4 => "F4",
            Self::F6_E2M3 => "F6_E2M3",
            Self::F6_E3M2 => "F6_E3M2",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::F8_E5M2 => "F8_E5M2",
            Self::F8_E4M3 => "F8_E4M3",
            Self::F8_E8M0 => "F8_E8M0",
            Self::F8_E4M3FNUZ => "F8_E4M3FNUZ",
            Self::F8_E5M2FNUZ => "F8_E5M2FNUZ",
            Self::I16 => "I16",
            Self::U16 => "U16",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::F32 => "F32",
            Self::C64 => "C64",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::U64 => "U64",
        }
    }

    /// Name as in a `config.json` (`bfloat16`).
    #[must_use]
    pub const fn torch_name(self) -> &'static str {
        match self {
            Self::BOOL => "bool",
            Self::F4 => "float4_e2m1",
            Self::F6_E2M3 => "float6_e2m3",
            Self::F6_E3M2 => "float6_e3m2",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::F8_E5M2 => "float8_e5m2",
            Self::F8_E4M3 => "float8_e4m3fn",
            Self::F8_E8M0 => "float8_e8m0fnu",
            Self::F8_E4M3FNUZ => "float8_e4m3fnuz",
            Self::F8_E5M2FNUZ => "float8_e5m2fnuz",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::F32 => "float32",
            Self::C64 => "complex64",
            Self::F64 => "float64",
            Self::I64 => "int64",
            Self::U64 => "uint64",
        }
    }

    /// Whether values are real numbers, as weights are, rather than packed or index integers.
    #[must_use]
    pub const fn is_float(self) -> bool {
        match self {
            Self::F4
            | Self::F6_E2M3
            | Self::F6_E3M2
            | Self::F8_E5M2
            | Self::F8_E4M3
            | Self::F8_E8M0
            | Self::F8_E4M3FNUZ
            | Self::F8_E5M2FNUZ
            | Self::F16
            | Self::BF16
            | Self::F32
            | Self::F64 => true,
            Self::BOOL
            | Self::U8
            | Self::I8
            | Self::I16
            | Self::U16
            | Self::I32
            | Self::U32
            | Self::C64
            | Self::I64
            | Self::U64 => false,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.torch_name())
    }
}

/// A name that is no element format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known element type")]
pub struct UnknownDType(pub String);

/// Reads safetensors names (`BF16`), torch names (`bfloat16`, `torch.bfloat16`) and the short forms of engine flags (`half`, `float`).
impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix("torch.").unwrap_or(text);
        if let Some(found) = Self::ALL
            .into_iter()
            .find(|d| bare.eq_ignore_ascii_case(d.name()) || bare.eq_ignore_ascii_case(d.torch_name()))
        {
            return Ok(found);
        }
        match bare.to_ascii_lowercase().as_str() {
            "half" | "fp16" => Ok(Self::F16),
            "float" | "fp32" => Ok(Self::F32),
            "float8_e4m3" | "fp8_e4m3" | "fp8" => Ok(Self::F8_E4M3),
            "fp8_e5m2" => Ok(Self::F8_E5M2),
            _ => Err(UnknownDType(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
            assert_eq!(dtype.torch_name().parse(), Ok(dtype));
            assert_eq!(format!("torch.{}", dtype.torch_name()).parse(), Ok(dtype));
        }
        assert_eq!("half".parse(), Ok(DType::F16));
        assert!("float17".parse::<DType>().is_err());
    }

    #[test]
    fn sub_byte_formats_are_exact() {
        assert_eq!(DType::F4.size(7), Bytes(4));
        assert_eq!(DType::F6_E2M3.size(4), Bytes(3));
        assert_eq!(DType::BF16.size(3), Bytes(6));
        assert_eq!(DType::F64.checked_size(u64::MAX), None);
    }
}
