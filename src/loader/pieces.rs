//! Arithmetic of strided copies: the part that lies in a window of the file, and portions that fit a buffer.

use std::ops::Range;

use super::cast::Cast;
use crate::placement::StridedCopy;

/// The parts of `copy` whose source bytes lie in `window` (both counted from the start of the source tensor): at most a broken first row,
/// whole rows, and a broken last row. `cast` gives the ratio of source to target bytes.
///
/// The copy's own extent must fit 64 bits, which checking the placement has shown; window bounds must fall on whole elements.
pub(super) fn clip(copy: &StridedCopy, cast: Option<Cast>, window: &Range<u64>, out: &mut Vec<StridedCopy>) {
    if copy.bytes() == 0 {
        return;
    }
    if copy.rows > 1 && copy.source_pitch < copy.width {
        // Overlapping source rows (one run spread over several targets): each row is looked at by itself.
        for row in 0..copy.rows {
            clip_apart(&rows_of(copy, row, 1), cast, window, out);
        }
    } else {
        clip_apart(copy, cast, window, out);
    }
}

/// [`clip`] for rows that do not overlap in the source.
fn clip_apart(copy: &StridedCopy, cast: Option<Cast>, window: &Range<u64>, out: &mut Vec<StridedCopy>) {
    let Some(end) = window.end.checked_sub(copy.source_offset).filter(|&end| end > 0) else { return };
    let start = window.start.saturating_sub(copy.source_offset);
    let pitch = if copy.rows == 1 { u64::MAX } else { copy.source_pitch };
    let mut row = start / pitch;
    let rows = end.div_ceil(pitch).min(copy.rows);
    while row < rows {
        let row_start = row * if copy.rows == 1 { 0 } else { pitch };
        let first = start.saturating_sub(row_start).min(copy.width);
        let last = (end - row_start).min(copy.width);
        let whole = first == 0 && last == copy.width;
        if whole {
            // All rows from here on are whole, but perhaps the last.
            let row_ends = |row: u64| row * if copy.rows == 1 { 0 } else { pitch } + copy.width;
            let until = if row_ends(rows - 1) <= end { rows } else { rows - 1 };
            out.push(rows_of(copy, row, until - row));
            row = until;
        } else {
            if first < last {
                out.push(columns_of(copy, cast, row, first..last));
            }
            row += 1;
        }
    }
}

/// Rows `first .. first + count` of a copy.
pub(super) fn rows_of(copy: &StridedCopy, first: u64, count: u64) -> StridedCopy {
    StridedCopy {
        source_offset: copy.source_offset + first * copy.source_pitch,
        target_offset: copy.target_offset + first * copy.target_pitch,
        rows: count,
        ..*copy
    }
}

/// Source bytes `columns` of one row.
pub(super) fn columns_of(copy: &StridedCopy, cast: Option<Cast>, row: u64, columns: Range<u64>) -> StridedCopy {
    let row = rows_of(copy, row, 1);
    StridedCopy {
        source_offset: row.source_offset + columns.start,
        target_offset: row.target_offset + target_bytes(cast, columns.start),
        width: columns.end - columns.start,
        ..row
    }
}

/// Target bytes that come from `source` bytes.
pub(super) fn target_bytes(cast: Option<Cast>, source: u64) -> u64 {
    cast.map_or(source, |cast| cast.target_bytes(source))
}

/// Bytes that a copy writes; saturates.
pub(super) fn placed_bytes(copy: &StridedCopy, cast: Option<Cast>) -> u64 {
    target_bytes(cast, copy.width).saturating_mul(copy.rows)
}

/// Splits a copy into portions of which each writes at most `room` bytes (at least 8, so that an element fits).
pub(super) fn portions(copy: StridedCopy, cast: Option<Cast>, room: u64) -> impl Iterator<Item = StridedCopy> {
    let width = target_bytes(cast, copy.width);
    // Rows at once, or a part of one row: source bytes of whole elements.
    let rows_at_once = room.checked_div(width).unwrap_or(0);
    let columns_at_once = cast.map_or(room, |cast| cast.source_bytes(room)).max(1);
    let (mut row, mut column) = (0, 0);
    std::iter::from_fn(move || {
        if row >= copy.rows || copy.width == 0 {
            return None;
        }
        if rows_at_once > 0 {
            let count = rows_at_once.min(copy.rows - row);
            row += count;
            return Some(rows_of(&copy, row - count, count));
        }
        let end = (column + columns_at_once).min(copy.width);
        let portion = columns_of(&copy, cast, row, column..end);
        (row, column) = if end == copy.width { (row + 1, 0) } else { (row, end) };
        Some(portion)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// (source byte, target byte) pairs of a copy, one byte at a time.
    fn pairs(copy: &StridedCopy) -> Vec<(u64, u64)> {
        let row = |row| {
            (0..copy.width).map(move |byte| {
                (
                    copy.source_offset + row * copy.source_pitch + byte,
                    copy.target_offset + row * copy.target_pitch + byte,
                )
            })
        };
        (0..copy.rows).flat_map(row).collect()
    }

    fn sorted(mut pairs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
        pairs.sort_unstable();
        pairs
    }

    proptest! {
        #[test]
        fn windows_that_tile_the_source_give_every_byte_once(
            source_offset in 0u64..40, source_pitch in 0u64..30, target_offset in 0u64..9, gap in 0u64..5,
            width in 0u64..25, rows in 0u64..9, window in 1u64..50,
        ) {
            let copy = StridedCopy { source_offset, source_pitch, target_offset, target_pitch: width + gap, width, rows };
            let mut found = Vec::new();
            for start in (0..400).step_by(window as usize) {
                let mut clipped = Vec::new();
                clip(&copy, None, &(start..start + window), &mut clipped);
                for piece in clipped {
                    prop_assert!(piece.bytes() > 0);
                    for (from, to) in pairs(&piece) {
                        prop_assert!(from >= start && from < start + window);
                        found.push((from, to));
                    }
                }
            }
            prop_assert_eq!(sorted(found), sorted(pairs(&copy)));
        }

        #[test]
        fn portions_cover_a_copy_and_fit(
            source_pitch in 0u64..90, gap in 0u64..5, width in 0u64..80, rows in 0u64..9, room in 1u64..100,
        ) {
            let copy = StridedCopy {
                source_offset: 3, source_pitch, target_offset: 5, target_pitch: width + gap, width, rows,
            };
            let mut found = Vec::new();
            for portion in portions(copy, None, room) {
                prop_assert!(portion.bytes() <= room && portion.bytes() > 0);
                found.extend(pairs(&portion));
            }
            prop_assert_eq!(found, pairs(&copy));
        }
    }

    #[test]
    fn a_window_over_a_column_slice_gives_three_pieces() {
        let copy =
            StridedCopy { source_offset: 4, source_pitch: 16, target_offset: 0, target_pitch: 8, width: 8, rows: 10 };
        let mut pieces = Vec::new();
        clip(&copy, None, &(24..72), &mut pieces);
        let shape: Vec<_> = pieces.iter().map(|p| (p.source_offset, p.target_offset, p.width, p.rows)).collect();
        assert_eq!(shape, [(24, 12, 4, 1), (36, 16, 8, 2), (68, 32, 4, 1)]);
    }
}
