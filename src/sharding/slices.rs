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
            SegmentKind::ValueHeads(heads) => self
                .even(segment.rows, module)
                .ok()
                .filter(|_| heads.is_multiple_of(self.size))
                .ok_or(ShardError::StateHeads { heads, tp: self.size }),
            SegmentKind::StateGroups(groups) => {
                if groups == 1 {
                    return Ok(0..segment.rows);
                }
                self.even(segment.rows, module)
                    .ok()
                    .filter(|_| groups.is_multiple_of(self.size))
                    .ok_or(ShardError::StateGroups { groups, tp: self.size })
            }
            // Several slices: see `head_groups`.
            SegmentKind::HeadGroups { .. } => {
                Err(ShardError::Features { module: module.to_owned(), features: segment.rows, tp: self.size })
            }
        }
    }

    /// This rank's part of segments that follow each other.
    pub fn segments(self, segments: &[Segment], repeat_kv: bool, module: &str) -> Result<Vec<Range<u64>>, ShardError> {
        let mut slices = Vec::with_capacity(segments.len());
        let mut start = 0u64;
        for segment in segments {
            let own = match segment.kind {
                SegmentKind::HeadGroups { query_heads, groups } => {
                    self.head_groups(segment.rows, query_heads, groups, repeat_kv, module)?
                }
                _ => vec![self.segment(segment, repeat_kv, module)?],
            };
            slices.extend(own.into_iter().map(|s| start.saturating_add(s.start)..start.saturating_add(s.end)));
            start = start.saturating_add(segment.rows);
        }
        Ok(slices)
    }

    /// This rank's part of heads that are stored group by group, as an engine orders it: queries, then keys, then values.
    pub fn head_groups(
        self,
        rows: u64,
        query_heads: u64,
        groups: u64,
        repeat_kv: bool,
        module: &str,
    ) -> Result<Vec<Range<u64>>, ShardError> {
        let heads = query_heads.saturating_add(groups.saturating_mul(2));
        if groups == 0 || !query_heads.is_multiple_of(groups) || !rows.is_multiple_of(heads) {
            return Err(ShardError::Features { module: module.to_owned(), features: rows, tp: self.size });
        }
        let (width, in_group) = (rows / heads, query_heads / groups);
        // Heads of either kind are numbered as if each kind were stored apart; then each head is found in its group.
        let own = |count: u64, kind: SegmentKind| self.segment(&Segment { rows: count, kind }, repeat_kv, module);
        let queries = own(query_heads, SegmentKind::QueryHeads(query_heads))?;
        let kv = own(groups, SegmentKind::KeyValueHeads(groups))?;
        let start = |group: u64, head: u64| (group * (in_group + 2) + head) * width;
        let mut slices = Vec::new();
        let mut head = queries.start;
        while head < queries.end {
            let (group, first) = (head / in_group, head % in_group);
            let count = (in_group - first).min(queries.end - head);
            slices.push(start(group, first)..start(group, first + count));
            head += count;
        }
        for place in [in_group, in_group + 1] {
            slices.extend(kv.clone().map(|group| start(group, place)..start(group, place + 1)));
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
    fn interleaved_heads_are_found_in_their_groups() {
        // Two groups of three queries, a key and a value; heads two wide: q0 q1 q2 k0 v0 q3 q4 q5 k1 v1.
        let part = |rank, size| Member { rank, size }.head_groups(20, 6, 2, true, "qkv");
        assert_eq!(part(0, 1), Ok(vec![0..6, 10..16, 6..8, 16..18, 8..10, 18..20]));
        assert_eq!(part(1, 2), Ok(vec![10..16, 16..18, 18..20]));
        // Three ranks: two queries each, and no even number of keys.
        assert_eq!(part(0, 3), Err(ShardError::KeyValueHeads { heads: 2, tp: 3 }));
        // Six ranks repeat the keys: rank 2 has the last query of the first group.
        assert_eq!(part(2, 6), Ok(vec![4..6, 6..8, 8..10]));
        assert_eq!(part(3, 6), Ok(vec![10..12, 16..18, 18..20]));
        assert_eq!(part(0, 4), Err(ShardError::QueryHeads { heads: 6, tp: 4 }));
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
