//! A bar of segments, and how many columns each gets.

use ratatui::text::{Line, Span};

use crate::tui::{Meaning, Theme};
use crate::units::Bytes;

/// A part of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What it stands for: decides sign and colour.
    pub meaning: Meaning,
    /// How much.
    pub bytes: Bytes,
}

/// The segments side by side over `columns` columns, in proportion; together they are the whole.
pub fn bar(segments: &[Segment], columns: u16, theme: &Theme) -> Line<'static> {
    let amounts: Vec<u64> = segments.iter().map(|segment| segment.bytes.0).collect();
    let spans = segments.iter().zip(share(&amounts, columns)).map(|(segment, columns)| {
        Span::styled(sign(segment.meaning, theme).repeat(usize::from(columns)), theme.style(segment.meaning))
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// What a segment is painted with.
pub fn sign(meaning: Meaning, theme: &Theme) -> &'static str {
    match meaning {
        Meaning::Own => theme.symbols.own,
        Meaning::Reserved => theme.symbols.reserved,
        Meaning::Free => theme.symbols.free,
        Meaning::Ghost => theme.symbols.ghost,
        Meaning::Over => theme.symbols.over,
        _ => theme.symbols.others,
    }
}

/// Divides `columns` in proportion to `amounts`: largest remainders first, and at least one column for what is not zero, because a small
/// process on a large card must not look like none.
pub fn share(amounts: &[u64], columns: u16) -> Vec<u16> {
    let total: u128 = amounts.iter().map(|amount| u128::from(*amount)).sum();
    if total == 0 {
        return vec![0; amounts.len()];
    }
    let exact = |amount: u64| u128::from(amount) * u128::from(columns);
    let mut shares: Vec<u16> =
        amounts.iter().map(|amount| u16::try_from(exact(*amount) / total).unwrap_or(columns)).collect();
    let mut left = columns.saturating_sub(shares.iter().sum());
    let mut by_remainder: Vec<usize> = (0..amounts.len()).collect();
    by_remainder.sort_by_key(|place| std::cmp::Reverse(exact(amounts[*place]) % total));
    for place in by_remainder {
        if left > 0 {
            shares[place] += 1;
            left -= 1;
        }
    }
    for place in 0..shares.len() {
        if amounts[place] > 0 && shares[place] == 0 {
            let widest = (0..shares.len()).max_by_key(|other| shares[*other]).unwrap_or(place);
            if shares[widest] > 1 {
                shares[widest] -= 1;
                shares[place] = 1;
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_follow_the_amounts() {
        for (amounts, columns, expected) in [
            (&[8, 6, 1, 9][..], 24, &[8, 6, 1, 9][..]),
            (&[1, 1, 1], 10, &[4, 3, 3]),
            (&[0, 0, 0], 10, &[0, 0, 0]),
            (&[1, 0, 1_000_000], 10, &[1, 0, 9]),
            (&[5, 5], 0, &[0, 0]),
            (&[u64::MAX, u64::MAX], 10, &[5, 5]),
        ] {
            assert_eq!(share(amounts, columns), expected, "{amounts:?}");
        }
    }

    proptest! {
        #[test]
        fn all_columns_are_given_out(amounts in prop::collection::vec(any::<u64>(), 1..6), columns in 0u16..300) {
            let shares = share(&amounts, columns);
            let whole: u16 = if amounts.iter().any(|a| *a > 0) { columns } else { 0 };
            prop_assert_eq!(shares.iter().sum::<u16>(), whole);
            let parts = amounts.iter().filter(|a| **a > 0).count();
            if usize::from(columns) >= parts {
                prop_assert!(amounts.iter().zip(&shares).all(|(a, s)| (*a > 0) == (*s > 0)));
            }
        }
    }
}
