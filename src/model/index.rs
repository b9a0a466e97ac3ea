//! Sets of layer numbers. A model of 90,000 tensors has a few dozen templates, each with such a set.

use std::fmt;
use std::ops::Range;

/// Layer numbers, as ascending ranges that do not touch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct IndexSet {
    ranges: Vec<Range<u32>>,
}

impl IndexSet {
    /// `start..end`.
    #[must_use]
    pub fn range(range: Range<u32>) -> Self {
        Self { ranges: if range.is_empty() { Vec::new() } else { vec![range] } }
    }

    /// The given numbers, in any order.
    #[must_use]
    pub fn from_indices(indices: impl IntoIterator<Item = u32>) -> Self {
        let mut all: Vec<u32> = indices.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for index in all {
            match ranges.last_mut() {
                Some(last) if last.end == index => last.end = index.saturating_add(1),
                _ => ranges.push(index..index.saturating_add(1)),
            }
        }
        Self { ranges }
    }

    /// How many numbers.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.end - r.start)).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `index` is one of them.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.ranges.iter().any(|r| r.contains(&index))
    }

    /// The numbers that also lie in `window`.
    #[must_use]
    pub fn within(&self, window: &Range<u32>) -> Self {
        let clip = |r: &Range<u32>| r.start.max(window.start)..r.end.min(window.end);
        Self { ranges: self.ranges.iter().map(clip).filter(|r| !r.is_empty()).collect() }
    }

    /// How many of the numbers lie in `window`; [`IndexSet::within`] without the set.
    #[must_use]
    pub fn count_within(&self, window: &Range<u32>) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.end.min(window.end).saturating_sub(r.start.max(window.start)))).sum()
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().cloned().flatten()
    }
}

/// `0-27` or `0-2,5`.
impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match r.end - r.start {
                1 => write!(f, "{comma}{}", r.start)?,
                _ => write!(f, "{comma}{}-{}", r.start, r.end - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_merge_and_clip() {
        let set = IndexSet::from_indices([5, 0, 2, 1, 5]);
        assert_eq!((set.to_string().as_str(), set.len()), ("0-2,5", 4));
        assert_eq!(set.within(&(1..5)).to_string(), "1-2");
        assert_eq!(set.count_within(&(1..6)), 3);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert!(IndexSet::range(3..3).is_empty());
        assert!(set.contains(5) && !set.contains(4));
    }
}
