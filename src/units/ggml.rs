//! Storage types of ggml (GGUF files): blocks of so many elements in so many bytes.

use std::fmt;

use super::Bytes;

/// A ggml type: its number in files, its name, and the size of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GgmlType {
    /// Number in GGUF files.
    pub id: u32,
    /// Name as llama.cpp prints it.
    pub name: &'static str,
    /// Elements of one block.
    pub block_elements: u64,
    /// Bytes of one block.
    pub block_bytes: u64,
}

/// All types that files use, with their block sizes (`ggml-common.h`). Numbers that are missing were withdrawn.
const TYPES: &[GgmlType] = &[
    ggml(0, "F32", 1, 4),
    ggml(1, "F16", 1, 2),
    ggml(2, "Q4_0", 32, 18),
    ggml(3, "Q4_1", 32, 20),
    ggml(6, "Q5_0", 32, 22),
    ggml(7, "Q5_1", 32, 24),
    ggml(8, "Q8_0", 32, 34),
    ggml(9, "Q8_1", 32, 36),
    ggml(10, "Q2_K", 256, 84),
    ggml(11, "Q3_K", 256, 110),
    ggml(12, "Q4_K", 256, 144),
    ggml(13, "Q5_K", 256, 176),
    ggml(14, "Q6_K", 256, 210),
    ggml(15, "Q8_K", 256, 292),
    ggml(16, "IQ2_XXS", 256, 66),
    ggml(17, "IQ2_XS", 256, 74),
    ggml(18, "IQ3_XXS", 256, 98),
    ggml(19, "IQ1_S", 256, 50),
    ggml(20, "IQ4_NL", 32, 18),
    ggml(21, "IQ3_S", 256, 110),
    ggml(22, "IQ2_S", 256, 82),
    ggml(23, "IQ4_XS", 256, 136),
    ggml(24, "I8", 1, 1),
    ggml(25, "I16", 1, 2),
    ggml(26, "I32", 1, 4),
    ggml(27, "I64", 1, 8),
    ggml(28, "F64", 1, 8),
    ggml(29, "IQ1_M", 256, 56),
    ggml(30, "BF16", 1, 2),
    ggml(34, "TQ1_0", 256, 54),
    ggml(35, "TQ2_0", 256, 66),
    ggml(39, "MXFP4", 32, 17),
    ggml(40, "NVFP4", 64, 36),
    ggml(41, "Q1_0", 128, 18),
    ggml(42, "Q2_0", 64, 18),
];

const fn ggml(id: u32, name: &'static str, block_elements: u64, block_bytes: u64) -> GgmlType {
    GgmlType { id, name, block_elements, block_bytes }
}

impl GgmlType {
    /// All types.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        TYPES
    }

    /// The type of a number in a file.
    #[must_use]
    pub fn of_id(id: u32) -> Option<Self> {
        TYPES.iter().find(|t| t.id == id).copied()
    }

    /// Bytes of a tensor whose rows have `row` elements; `None` when a row is no whole number of blocks, or past 2^64.
    #[must_use]
    pub fn size(self, row: u64, rows: u64) -> Option<Bytes> {
        if !row.is_multiple_of(self.block_elements) {
            return None;
        }
        Bytes(row / self.block_elements).checked_mul(self.block_bytes)?.checked_mul(rows)
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        let mut ids: Vec<_> = TYPES.iter().map(|t| t.id).collect();
        let mut names: Vec<_> = TYPES.iter().map(|t| t.name).collect();
        ids.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((ids.len(), names.len()), (TYPES.len(), TYPES.len()));
    }

    #[test]
    fn rows_are_whole_blocks() {
        let q4_k = GgmlType::of_id(12).unwrap();
        assert_eq!(q4_k.size(4096, 4096), Some(Bytes(4096 / 256 * 144 * 4096)));
        assert_eq!(q4_k.size(100, 1), None);
        assert_eq!(q4_k.size(u64::MAX - 255, u64::MAX), None);
        assert_eq!(GgmlType::of_id(4), None);
    }
}
