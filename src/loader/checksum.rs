//! A checksum whose parts can be taken in any order: memory read as one little-endian number, modulo a prime.
//!
//! Shards leave in pieces, by several workers, each piece strided. Every byte `b` at offset `o` adds `b · 256^o` to the sum, so pieces add up
//! whatever their order, bytes that change places change the sum, zeros cost nothing, and a single flipped bit always shows: it changes the
//! number by a power of two, which no prime but 2 divides.

/// The largest prime below 2^64.
const PRIME: u64 = u64::MAX - 58;
/// 2^64 modulo [`PRIME`].
const FOLD: u128 = 59;

/// A residue modulo [`PRIME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// The number that the bytes are.
    pub(super) fn of(bytes: &[u8]) -> Self {
        // Four numbers side by side hide the latency of each step.
        let quarter = bytes.len() / 32 * 8;
        let (body, tail) = bytes.split_at(4 * quarter);
        let mut lanes = [0_u128; 4];
        let (low, high) = body.split_at(2 * quarter);
        let ((a, b), (c, d)) = (low.split_at(quarter), high.split_at(quarter));
        let words = |part: &[u8]| part.as_chunks::<8>().0.len();
        for at in (0..words(a)).rev() {
            for (lane, part) in lanes.iter_mut().zip([a, b, c, d]) {
                let word = part.as_chunks::<8>().0.get(at).map_or(0, |word| u64::from_le_bytes(*word));
                *lane = fold(*lane * FOLD + u128::from(word));
            }
        }
        let step = Place::at(quarter as u64);
        let mut sum = Self::of_few(tail);
        for lane in lanes.into_iter().rev() {
            sum = sum.times(step).plus(Self((lane % u128::from(PRIME)) as u64));
        }
        sum
    }

    /// Fewer bytes than are worth four lanes.
    fn of_few(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let mut value = u128::from(u64::from_le_bytes(last));
        for word in words.iter().rev() {
            value = fold(value * FOLD + u128::from(u64::from_le_bytes(*word)));
        }
        Self((value % u128::from(PRIME)) as u64)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(((u128::from(self.0) + u128::from(other.0)) % u128::from(PRIME)) as u64)
    }

    /// The same bytes further on.
    pub(super) fn times(self, place: Place) -> Self {
        Self(product(self.0, place.0))
    }
}

/// The weight 256^offset of a byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    /// The weight at an offset, by repeated squaring.
    pub(super) fn at(offset: u64) -> Self {
        let (mut weight, mut square, mut left) = (1, 256, offset);
        while left > 0 {
            if left & 1 == 1 {
                weight = product(weight, square);
            }
            square = product(square, square);
            left >>= 1;
        }
        Self(weight)
    }

    /// The weight further on by another's offset.
    pub(super) fn and(self, further: Self) -> Self {
        Self(product(self.0, further.0))
    }
}

/// Congruent, and small enough for the next step; not yet below the prime.
fn fold(value: u128) -> u128 {
    (value & u128::from(u64::MAX)) + (value >> 64) * FOLD
}

fn product(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Byte by byte, as the definition says.
    fn naive(bytes: &[u8], offset: u64) -> Sum {
        let each = |(at, &byte): (u64, &u8)| Sum(u64::from(byte)).times(Place::at(offset + at));
        (0..).zip(bytes).map(each).fold(Sum::default(), Sum::plus)
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_add_up(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            prop_assert_eq!(Sum::of(&bytes), naive(&bytes, 0));
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let moved = Sum::of(second).times(Place::at(first.len() as u64));
            prop_assert_eq!(moved.plus(Sum::of(first)), Sum::of(&bytes));
        }

        #[test]
        fn a_flipped_bit_and_two_swapped_bytes_show(
            mut bytes in proptest::collection::vec(any::<u8>(), 2..400), a in 0usize..400, b in 0usize..400, bit in 0..8u32,
        ) {
            let before = Sum::of(&bytes);
            let (a, b) = (a % bytes.len(), b % bytes.len());
            bytes[a] ^= 1 << bit;
            prop_assert_ne!(Sum::of(&bytes), before);
            bytes[a] ^= 1 << bit;
            bytes.swap(a, b);
            prop_assert_eq!(Sum::of(&bytes) == before, bytes[a] == bytes[b]);
        }
    }

    #[test]
    fn the_largest_words_do_not_overflow() {
        let bytes = vec![0xff; 4096 + 7];
        assert_eq!(Sum::of(&bytes), naive(&bytes, 0));
        assert_eq!(Sum::of(&[0; 100]), Sum::default());
    }
}
