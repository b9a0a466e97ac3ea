//! Which bytes a sampled verification looks at: the same ones each time.

use super::cast::Cast;
use super::pieces::{columns_of, rows_of};
use crate::placement::StridedCopy;

/// Source bytes of one sample, at least one element or row.
const SAMPLE: u64 = 4096;
/// Samples between the first and the last.
const BETWEEN: u64 = 3;

/// Start, end and some pieces between of a copy, each read from at most `largest` contiguous source bytes. Small copies are taken whole.
pub(super) fn samples(copy: &StridedCopy, cast: Option<Cast>, largest: u64, seed: u64) -> Vec<StridedCopy> {
    let bytes = copy.bytes();
    if bytes == 0 {
        return Vec::new();
    }
    let mut starts = vec![0, bytes.saturating_sub(SAMPLE)];
    starts.extend((0..BETWEEN).map(|nth| mix(seed.wrapping_add(nth)) % bytes));
    // Whole rows or whole elements: a sample may then begin a little before the byte that was chosen.
    let element = cast.map_or(1, Cast::source_element);
    let mut samples: Vec<StridedCopy> = Vec::new();
    for start in starts {
        let row = start / copy.width;
        let sample = if copy.width >= SAMPLE {
            let column = start % copy.width / element * element;
            columns_of(copy, cast, row, column..(column + SAMPLE).min(copy.width))
        } else {
            rows_of(copy, row, rows_at_once(copy, largest).min(copy.rows - row))
        };
        if !samples.contains(&sample) {
            samples.push(sample);
        }
    }
    // The end of the last row and of the last sample's row may both fall short of the copy's end.
    let last = copy.rows - 1;
    let tail = if copy.width >= SAMPLE {
        columns_of(copy, cast, last, (copy.width - SAMPLE).div_ceil(element) * element..copy.width)
    } else {
        rows_of(copy, last, 1)
    };
    if !samples.contains(&tail) {
        samples.push(tail);
    }
    samples
}

/// Rows narrower than a sample that one sample takes: a sample's worth, less where they lie far apart in the file.
fn rows_at_once(copy: &StridedCopy, largest: u64) -> u64 {
    let by_bytes = SAMPLE / copy.width;
    let by_span = (largest - copy.width).checked_div(copy.source_pitch).map_or(u64::MAX, |rows| rows + 1);
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
        fn samples_lie_inside_their_copy_and_cover_both_ends(
            pitch_gap in 0u64..100_000, width in 1u64..20_000, rows in 1u64..300, seed in any::<u64>(),
        ) {
            let copy = StridedCopy {
                source_offset: 10, source_pitch: width + pitch_gap, target_offset: 20, target_pitch: width, width, rows,
            };
            let largest = 65_536;
            let found = samples(&copy, None, largest, seed);
            let end = copy.target_offset + copy.bytes();
            for sample in &found {
                let span = (sample.rows - 1) * sample.source_pitch + sample.width;
                prop_assert!(span <= largest || sample.rows == 1 && sample.width <= SAMPLE);
                prop_assert!(sample.target_offset >= copy.target_offset);
                prop_assert!(sample.target_offset + sample.bytes() <= end);
                // The same offset in the copy on both sides.
                let (row, column) = ((sample.target_offset - 20) / width, (sample.target_offset - 20) % width);
                prop_assert_eq!(sample.source_offset, 10 + row * copy.source_pitch + column);
            }
            prop_assert!(found.iter().any(|sample| sample.target_offset == 20));
            prop_assert!(found.iter().any(|sample| sample.target_offset + sample.bytes() == end));
            prop_assert!(found.len() as u64 <= BETWEEN + 3);
        }
    }
}
