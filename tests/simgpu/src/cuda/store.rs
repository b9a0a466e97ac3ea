//! The bytes of one block of device memory. Only what was written takes space, so that a card's worth costs nothing until it is used.

use std::collections::BTreeMap;

const CHUNK: usize = 64 << 10;
/// What memory holds that nobody wrote: not zero, so that padding someone forgot to clear shows.
pub(super) const UNWRITTEN: u8 = 0xA5;

#[derive(Debug)]
enum Chunk {
    /// Every byte is this one.
    Same(u8),
    Bytes(Box<[u8]>),
}

/// A sparse array of bytes. Callers stay within its size.
#[derive(Debug)]
pub(super) struct Store {
    /// Written chunks by number.
    chunks: BTreeMap<u64, Chunk>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { chunks: BTreeMap::new() }
    }

    /// Parts of `length` bytes from `offset`, chunk by chunk: number, start within it, length.
    fn parts(offset: u64, length: u64) -> impl Iterator<Item = (u64, usize, usize)> {
        let chunk = CHUNK as u64;
        let mut at = offset;
        let end = offset + length;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let start = at % chunk;
                let take = (chunk - start).min(end - at);
                let part = (at / chunk, start as usize, take as usize);
                at += take;
                part
            })
        })
    }

    pub(super) fn read(&self, offset: u64, mut into: &mut [u8]) {
        for (number, start, take) in Self::parts(offset, into.len() as u64) {
            let (now, later) = into.split_at_mut(take);
            match self.chunks.get(&number) {
                None => now.fill(UNWRITTEN),
                Some(Chunk::Same(byte)) => now.fill(*byte),
                Some(Chunk::Bytes(bytes)) => now.copy_from_slice(&bytes[start..start + take]),
            }
            into = later;
        }
    }

    pub(super) fn write(&mut self, offset: u64, mut from: &[u8]) {
        for (number, start, take) in Self::parts(offset, from.len() as u64) {
            let (now, later) = from.split_at(take);
            if take == CHUNK && now[1..] == now[..CHUNK - 1] {
                // Each byte equals the one before: they are all the same.
                self.chunks.insert(number, Chunk::Same(now[0]));
            } else {
                self.bytes(number)[start..start + take].copy_from_slice(now);
            }
            from = later;
        }
    }

    pub(super) fn fill(&mut self, offset: u64, length: u64, byte: u8) {
        for (number, start, take) in Self::parts(offset, length) {
            if take == CHUNK {
                self.chunks.insert(number, Chunk::Same(byte));
            } else {
                self.bytes(number)[start..start + take].fill(byte);
            }
        }
    }

    /// Flips one bit.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        let chunk = CHUNK as u64;
        self.bytes(offset / chunk)[(offset % chunk) as usize] ^= 1 << (bit % 8);
    }

    /// A chunk with bytes of its own.
    fn bytes(&mut self, number: u64) -> &mut [u8] {
        let chunk = self.chunks.entry(number).or_insert(Chunk::Same(UNWRITTEN));
        if let Chunk::Same(byte) = *chunk {
            *chunk = Chunk::Bytes(vec![byte; CHUNK].into_boxed_slice());
        }
        match chunk {
            Chunk::Bytes(bytes) => bytes,
            Chunk::Same(_) => unreachable!("replaced above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_across_chunks() {
        let mut store = Store::new();
        let data: Vec<u8> = (0..3 * CHUNK).map(|at| (at % 251) as u8).collect();
        let offset = (1 << 39) - 1000;
        store.write(offset, &data);
        let mut back = vec![0; data.len() + 2];
        store.read(offset - 1, &mut back);
        assert_eq!(back[0], UNWRITTEN);
        assert_eq!(back[1..=data.len()], data[..]);
        assert_eq!(back[data.len() + 1], UNWRITTEN);
    }

    #[test]
    fn filling_a_terabyte_keeps_no_bytes() {
        let mut store = Store::new();
        store.fill(0, 64 << 20, 0);
        store.write(CHUNK as u64, &vec![7; CHUNK]);
        assert!(store.chunks.values().all(|chunk| matches!(chunk, Chunk::Same(_))));
        let mut back = [1, 1];
        store.read(2 * CHUNK as u64 - 1, &mut back);
        assert_eq!(back, [7, 0]);
    }

    #[test]
    fn one_bit_flips() {
        let mut store = Store::new();
        store.fill(0, 10, 0);
        store.flip(3, 5);
        let mut back = [9; 10];
        store.read(0, &mut back);
        assert_eq!(back, [0, 0, 0, 32, 0, 0, 0, 0, 0, 0]);
    }
}
