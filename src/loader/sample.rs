//! Which bytes a sampled verification looks at: the same ones each time.

use std::collections::BTreeSet;

use super::cast::Cast;
use super::pieces::{columns_of, rows_of};
use crate::placement::StridedCopy;

/// Source bytes of one sample, or one row where rows are narrower and lie far apart. A multiple of every element's size.
const SAMPLE: u64 = 4096;
/// Samples between the first and the last.
const BETWEEN: u64 = 3;

/// Start, end and some pieces between of a copy, none overlapping another, each read from at most `largest` contiguous source bytes (at
/// least a sample's).
pub(super) fn samples(copy: &StridedCopy, cast: Option<Cast>, largest: u64, seed: u64) -> Vec<StridedCopy> {
    if copy.bytes() == 0 {
        return Vec::new();
    }
    // The copy in blocks of equal size: some rows together, or a part of one row.
    let rows_each = if copy.width < SAMPLE { rows_at_once(copy, largest) } else { 1 };
    let columns_each = copy.width.min(SAMPLE);
    let per_row = copy.width.div_ceil(columns_each);
    let blocks = copy.rows.div_ceil(rows_each) * per_row;
    let mut chosen = BTreeSet::from([0, blocks - 1]);
    chosen.extend((0..BETWEEN).map(|nth| mix(seed.wrapping_add(nth)) % blocks));
    let block = |block: u64| {
        if per_row == 1 {
            let first = block * rows_each;
            return rows_of(copy, first, rows_each.min(copy.rows - first));
        }
        let column = block % per_row * columns_each;
        columns_of(copy, cast, block / per_row, column..(column + columns_each).min(copy.width))
    };
    chosen.into_iter().map(block).collect()
}

/// Rows narrower than a sample that one sample takes: a sample's worth, less where they lie far apart in the file.
fn rows_at_once(copy: &StridedCopy, largest: u64) -> u64 {
    let by_bytes = SAMPLE / copy.width;
    let by_span = largest.saturating_sub(copy.width).checked_div(copy.source_pitch).map_or(u64::MAX, |rows| rows + 1);
    by_bytes.min(by_span).max(1)
}

/// SplitMix64's finisher: spreads neighbouring seeds over the whole range.
fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_lie_inside_their_copy_cover_both_ends_and_do_not_overlap(
            pitch_gap in 0u64..100_000, width in 1u64..20_000, rows in 1u64..300, seed in any::<u64>(),
        ) {
            let copy = StridedCopy {
                source_offset: 10, source_pitch: width + pitch_gap, target_offset: 20, target_pitch: width, width, rows,
            };
            let largest = 65_536;
            let found = samples(&copy, None, largest, seed);
            let mut end = copy.target_offset;
            for sample in &found {
                let span = (sample.rows - 1) * sample.source_pitch + sample.width;
                prop_assert!(span <= largest && sample.bytes() <= SAMPLE);
                prop_assert!(sample.target_offset >= end);
                end = sample.target_offset + sample.bytes();
                // The same offset in the copy on both sides.
                let (row, column) = ((sample.target_offset - 20) / width, (sample.target_offset - 20) % width);
                prop_assert_eq!(sample.source_offset, 10 + row * copy.source_pitch + column);
            }
            prop_assert_eq!(found[0].target_offset, copy.target_offset);
            prop_assert_eq!(end, copy.target_offset + copy.bytes());
            prop_assert!(found.len() as u64 <= BETWEEN + 2);
        }
    }

    #[test]
    fn samples_are_the_same_each_time_and_differ_by_place() {
        let copy = StridedCopy {
            source_offset: 0,
            source_pitch: 1 << 20,
            target_offset: 0,
            target_pitch: 1 << 20,
            width: 1 << 20,
            rows: 900,
        };
        assert_eq!(samples(&copy, None, 1 << 16, 5), samples(&copy, None, 1 << 16, 5));
        assert_ne!(samples(&copy, None, 1 << 16, 5), samples(&copy, None, 1 << 16, 999));
    }
}
