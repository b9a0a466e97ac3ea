//! Which features of a matrix go to which rank.

use std::ops::Range;

use super::ShardError;
use crate::model::{Segment, SegmentKind};
use crate::units::round_up;

/// One rank of a tensor-parallel group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub rank: u64,
    pub size: u64,
}

impl Member {
    /// This rank's equal part of `features`.
    pub fn even(self, features: u64, module: &str) -> Result<Range<u64>, ShardError> {
        if self.size == 0 || !features.is_multiple_of(self.size) {
            return Err(ShardError::Features { module: module.to_owned(), features, tp: self.size });
        }
        let each = features / self.size;
        Ok(self.rank * each..(self.rank + 1) * each)
    }

    /// This rank's part of one segment: whole heads where it has heads, repeated ones where ranks outnumber key/value heads.
    pub fn segment(self, segment: &Segment, repeat_kv: bool, module: &str) -> Result<Range<u64>, ShardError> {
        match segment.kind {
            SegmentKind::Features => self.even(segment.rows, module),
            SegmentKind::QueryHeads(heads) => self
                .even(segment.rows, module)
                .ok()
                .filter(|_| heads.is_multiple_of(self.size))
                .ok_or(ShardError::QueryHeads { heads, tp: self.size }),
            SegmentKind::KeyValueHeads(heads) => {
                let error = ShardError::KeyValueHeads { heads, tp: self.size };
                if heads == 0 || !segment.rows.is_multiple_of(heads) {
                    return Err(error);
                }
                let width = segment.rows / heads;
                if heads.is_multiple_of(self.size) {
                    return self.even(segment.rows, module);
                }
                if !repeat_kv || !self.size.is_multiple_of(heads) {
                    return Err(error);
                }
                // Consecutive ranks share a head.
                let head = self.rank / (self.size / heads);
                Ok(head * width..(head + 1) * width)
            }
            SegmentKind::StateGroups(groups) => {
                if groups == 1 {
                    return Ok(0..segment.rows);
                }
                self.even(segment.rows, module)
                    .ok()
                    .filter(|_| groups.is_multiple_of(self.size))
                    .ok_or(ShardError::StateGroups { groups, tp: self.size })
            }
        }
    }

    /// This rank's part of segments that follow each other.
    pub fn segments(self, segments: &[Segment], repeat_kv: bool, module: &str) -> Result<Vec<Range<u64>>, ShardError> {
        let mut slices = Vec::with_capacity(segments.len());
        let mut start = 0u64;
        for segment in segments {
            let own = self.segment(segment, repeat_kv, module)?;
            slices.push(start.saturating_add(own.start)..start.saturating_add(own.end));
            start = start.saturating_add(segment.rows);
        }
        Ok(slices)
    }

    /// This rank's whole ones of `count` experts: as many as go round, one more on the first ranks while the remainder lasts.
    pub fn experts(self, count: u32) -> Range<u32> {
        let count = u64::from(count);
        let (each, rest) = (count.checked_div(self.size).unwrap_or(0), count.checked_rem(self.size).unwrap_or(0));
        let first = self.rank.saturating_mul(each).saturating_add(self.rank.min(rest)).min(count);
        let end = first.saturating_add(each).saturating_add(u64::from(self.rank < rest)).min(count);
        // Both are at most `count`, which is a u32.
        u32::try_from(first).unwrap_or(0)..u32::try_from(end).unwrap_or(0)
    }

    /// This rank's rows of a padded vocabulary, and how many rows it holds with padding.
    pub fn vocabulary(self, rows: u64, multiple: u64) -> Result<(Range<u64>, u64), ShardError> {
        let padded = round_up(rows, multiple);
        if self.size == 0 || !padded.is_multiple_of(self.size) {
            return Err(ShardError::Vocabulary { rows: padded, tp: self.size });
        }
        let each = padded / self.size;
        let start = (self.rank * each).min(rows);
        Ok((start..((self.rank + 1) * each).min(rows), each))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_divide_or_repeat() {
        let kv = Segment { rows: 4 * 128, kind: SegmentKind::KeyValueHeads(4) };
        let part = |rank, size| Member { rank, size }.segment(&kv, true, "k_proj");
        assert_eq!(part(1, 2), Ok(256..512));
        assert_eq!(part(3, 8), Ok(128..256));
        assert_eq!(part(0, 3), Err(ShardError::KeyValueHeads { heads: 4, tp: 3 }));
        assert_eq!(part(0, 6), Err(ShardError::KeyValueHeads { heads: 4, tp: 6 }));
        let q = Segment { rows: 64 * 128, kind: SegmentKind::QueryHeads(64) };
        assert_eq!(
            Member { rank: 0, size: 5 }.segment(&q, true, "q"),
            Err(ShardError::QueryHeads { heads: 64, tp: 5 })
        );
    }

    #[test]
    fn the_first_ranks_take_the_experts_that_are_over() {
        let part = |rank, size| Member { rank, size }.experts(10);
        assert_eq!([part(0, 4), part(1, 4), part(2, 4), part(3, 4)], [0..3, 3..6, 6..8, 8..10]);
        assert_eq!(part(11, 12), 10..10);
        assert_eq!(part(0, 1), 0..10);
    }

    #[test]
    fn a_single_state_group_is_on_every_rank() {
        let part = |groups, tp| {
            let segment = Segment { rows: 256, kind: SegmentKind::StateGroups(groups) };
            Member { rank: tp - 1, size: tp }.segment(&segment, true, "in_proj")
        };
        assert_eq!(part(1, 8), Ok(0..256));
        assert_eq!(part(8, 4), Ok(192..256));
        assert_eq!(part(8, 16), Err(ShardError::StateGroups { groups: 8, tp: 16 }));
    }

    #[test]
    fn the_last_rank_of_a_vocabulary_holds_the_padding() {
        let part = |rank, size| Member { rank, size }.vocabulary(2040, 64);
        assert_eq!(part(0, 2), Ok((0..1024, 1024)));
        assert_eq!(part(1, 2), Ok((1024..2040, 1024)));
        assert_eq!(part(0, 3), Err(ShardError::Vocabulary { rows: 2048, tp: 3 }));
        // So little vocabulary that a rank holds padding alone.
        assert_eq!(Member { rank: 7, size: 8 }.vocabulary(8, 64), Ok((8..8, 8)));
    }
}
