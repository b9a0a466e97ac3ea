//! A box of a row-major tensor as strided runs of bytes.

use super::StridedCopy;
use crate::sharding::BoxCopy;
use crate::units::DType;

/// The runs that move a box, as few as possible; `None` when a run does not start and end at whole bytes.
///
/// Dimensions that are whole on both sides merge into the run inside them; the innermost one that is cut becomes the rows of a strided
/// copy, and those outside it become several copies.
pub(super) fn strided(copy: &BoxCopy, stored: DType, held: DType, target_shape: &[u64]) -> Option<Vec<StridedCopy>> {
    let shape = &copy.source.shape;
    if copy.elements_each() == 0 {
        return Some(Vec::new());
    }
    if shape.len() != copy.from.len() || target_shape.len() != copy.to.len() || shape.len() != target_shape.len() {
        return None;
    }
    // Dimensions from `inner` on are whole on both sides.
    let whole = |d: usize| copy.from[d] == (0..shape[d]) && copy.to[d] == 0 && target_shape[d] == shape[d];
    let mut inner = shape.len();
    while inner > 0 && whole(inner - 1) {
        inner -= 1;
    }
    let product = |sizes: &[u64]| sizes.iter().copied().fold(1u64, u64::saturating_mul);
    let run_elements = product(&shape[inner..]);
    let bytes = |dtype: DType, elements: u64| {
        let bits = elements.checked_mul(dtype.bits())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    };
    // The cut dimension is part of the run; the one before it counts the rows.
    let Some(cut) = inner.checked_sub(1) else {
        let width = bytes(stored, run_elements)?;
        let target = bytes(held, run_elements)?;
        return Some(vec![StridedCopy {
            source_offset: 0,
            source_pitch: width,
            target_offset: 0,
            target_pitch: target,
            width,
            rows: 1,
        }]);
    };
    let length = copy.from[cut].end - copy.from[cut].start;
    let width = bytes(stored, length.saturating_mul(run_elements))?;
    let source_row = shape[cut].saturating_mul(run_elements);
    let target_row = target_shape[cut].saturating_mul(run_elements);
    let (rows, outer) = match cut.checked_sub(1) {
        Some(row) => (copy.from[row].end - copy.from[row].start, row),
        None => (1, 0),
    };
    let mut copies = Vec::new();
    let mut index: Vec<u64> = copy.from[..outer].iter().map(|r| r.start).collect();
    loop {
        let mut source = 0u64;
        let mut target = 0u64;
        for d in 0..shape.len() {
            let (from, to) = if d < outer {
                (index[d], copy.to[d] + (index[d] - copy.from[d].start))
            } else {
                (copy.from[d].start, copy.to[d])
            };
            source = source.saturating_mul(shape[d]).saturating_add(from);
            target = target.saturating_mul(target_shape[d]).saturating_add(to);
        }
        let runs = StridedCopy {
            source_offset: bytes(stored, source)?,
            source_pitch: bytes(stored, source_row)?,
            target_offset: bytes(held, target)?,
            target_pitch: bytes(held, target_row)?,
            width,
            rows,
        };
        // Pitches in bytes of different formats say nothing about whether runs touch.
        copies.push(if stored.bits() == held.bits() { runs.merged() } else { runs });
        // The next index of the outer dimensions, like an odometer.
        let Some(d) = (0..outer).rev().find(|d| index[*d] + 1 < copy.from[*d].end) else { break };
        index[d] += 1;
        for (value, range) in index.iter_mut().zip(&copy.from).skip(d + 1) {
            *value = range.start;
        }
    }
    Some(copies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharding::SourceTensor;
    use std::ops::Range;

    /// Moves bytes as the copies say and compares with indexing element by element.
    fn check(shape: &[u64], from: &[Range<u64>], to: &[u64], target_shape: &[u64]) -> usize {
        let source = SourceTensor { name: "t".into(), dtype: Some(DType::U8), shape: shape.to_vec() };
        let copy = BoxCopy { source, from: from.to_vec(), to: to.to_vec(), experts: None };
        let copies = strided(&copy, DType::U8, DType::U8, target_shape).unwrap();
        let size = |s: &[u64]| s.iter().product::<u64>() as usize;
        let data: Vec<u8> = (0..size(shape)).map(|i| (i % 251) as u8 + 1).collect();
        let mut moved = vec![0u8; size(target_shape)];
        for c in &copies {
            for row in 0..c.rows {
                let s = (c.source_offset + row * c.source_pitch) as usize;
                let t = (c.target_offset + row * c.target_pitch) as usize;
                moved[t..t + c.width as usize].copy_from_slice(&data[s..s + c.width as usize]);
            }
        }
        let mut wanted = vec![0u8; size(target_shape)];
        let flat = |i: &[u64], s: &[u64]| i.iter().zip(s).fold(0, |a, (i, s)| a * s + i) as usize;
        let mut indices = vec![vec![]];
        for r in from {
            indices = indices.into_iter().flat_map(|i| r.clone().map(move |x| [i.clone(), vec![x]].concat())).collect();
        }
        for i in indices {
            let t: Vec<u64> = i.iter().zip(from).zip(to).map(|((i, r), t)| i - r.start + t).collect();
            wanted[flat(&t, target_shape)] = data[flat(&i, shape)];
        }
        assert_eq!(moved, wanted, "{shape:?} {from:?}");
        copies.len()
    }

    #[test]
    fn boxes_move_as_their_elements_do() {
        assert_eq!(check(&[1, 6], &[0..1, 2..5], &[0, 1], &[1, 4]), 1);
        assert_eq!(check(&[4, 6], &[0..4, 0..6], &[0, 0], &[4, 6]), 1);
        assert_eq!(check(&[4, 6], &[1..3, 0..6], &[2, 0], &[8, 6]), 1);
        assert_eq!(check(&[4, 6], &[0..4, 3..6], &[0, 0], &[4, 3]), 1);
        assert_eq!(check(&[4, 6], &[1..3, 3..6], &[1, 2], &[4, 7]), 1);
        assert_eq!(check(&[3, 4, 5], &[0..3, 1..3, 0..5], &[0, 2, 0], &[3, 6, 5]), 1);
        assert_eq!(check(&[3, 4, 5], &[1..3, 1..3, 2..4], &[0, 0, 0], &[2, 2, 2]), 2);
        assert_eq!(check(&[2, 3, 4, 5], &[0..2, 1..3, 2..4, 1..3], &[0, 0, 0, 0], &[2, 2, 2, 2]), 4);
    }

    #[test]
    fn a_conversion_into_twice_the_columns_stays_in_rows() {
        let source = SourceTensor { name: "t".into(), dtype: Some(DType::F32), shape: vec![4, 6] };
        let copy = BoxCopy { source, from: vec![0..4, 0..6], to: vec![0, 0], experts: None };
        let copies = strided(&copy, DType::F32, DType::BF16, &[4, 12]).unwrap();
        let runs: Vec<_> = copies.iter().map(|c| (c.rows, c.width, c.source_pitch, c.target_pitch)).collect();
        assert_eq!(runs, [(4, 24, 24, 24)]);
    }

    #[test]
    fn empty_boxes_move_nothing() {
        assert_eq!(check(&[4, 6], &[4..4, 0..6], &[0, 0], &[2, 6]), 0);
    }
}
