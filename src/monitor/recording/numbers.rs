//! Numbers of variable length: seven bits a byte, lowest first; signed ones in zigzag order, so that small differences are short.

/// Appends an unsigned number.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is still to be read. Each `take` answers `None` where the bytes end or make no sense.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next unsigned number; `None` also for one that needs more than 64 bits.
    pub fn take(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for place in 0..10u32 {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(first & 0x7F);
            if place == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * place);
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next signed number.
    pub fn take_signed(&mut self) -> Option<i64> {
        self.take().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next length and its bytes.
    pub fn take_bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.take()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Whether all was read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(unsigned in any::<u64>(), signed in any::<i64>(), bytes in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            put(&mut out, unsigned);
            put_signed(&mut out, signed);
            put_bytes(&mut out, &bytes);
            let mut reader = Reader(&out);
            prop_assert_eq!(reader.take(), Some(unsigned));
            prop_assert_eq!(reader.take_signed(), Some(signed));
            prop_assert_eq!(reader.take_bytes(), Some(&bytes[..]));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_can_be_read(bytes in any::<Vec<u8>>()) {
            let mut reader = Reader(&bytes);
            while reader.take_signed().is_some() {}
            Reader(&bytes).take_bytes();
        }
    }

    #[test]
    fn small_numbers_are_short_and_long_ones_are_refused() {
        for (value, bytes) in [(0, 1), (-1, 1), (63, 1), (64, 2), (i64::MIN, 10)] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            assert_eq!(out.len(), bytes, "{value}");
        }
        assert_eq!(Reader(&[0xFF; 12]).take(), None);
        assert_eq!(Reader(&[0x80]).take(), None);
    }
}
