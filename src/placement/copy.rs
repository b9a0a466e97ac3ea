//! The one shape every shard has: equal runs of bytes at equal distances.

/// `rows` runs of `width` bytes: run *i* is read at `source_offset + i·source_pitch` and written at
/// `target_offset + i·target_pitch`.
///
/// A slice along any one dimension of a row-major tensor has this shape: the dimensions before it count the rows, those after it are part
/// of the run. A slice of the first dimension (or a whole tensor) is a single row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StridedCopy {
    /// First byte, from the start of the source tensor's data.
    pub source_offset: u64,
    /// Distance between the starts of two runs in the source.
    pub source_pitch: u64,
    /// First byte, from the start of the target tensor.
    pub target_offset: u64,
    /// Distance between the starts of two runs in the target.
    pub target_pitch: u64,
    /// Bytes of one run.
    pub width: u64,
    /// Number of runs.
    pub rows: u64,
}

impl StridedCopy {
    /// Bytes moved.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.width.saturating_mul(self.rows)
    }

    /// The same copy with as few runs as possible: runs that touch on both sides become one.
    #[must_use]
    pub const fn merged(self) -> Self {
        if self.rows > 1 && self.width == self.source_pitch && self.width == self.target_pitch {
            Self { width: self.bytes(), rows: 1, source_pitch: self.bytes(), target_pitch: self.bytes(), ..self }
        } else {
            self
        }
    }
}
