//! Made-up values: the same on every machine and in every run, different for each tensor.

/// What kind of number a tensor holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `bfloat16` of magnitude 2^-7 to 2^-5.
    Bf16,
    /// `bfloat16` from 1 to 1.25.
    Bf16NearOne,
    /// `float16` of magnitude 2^-7 to 2^-5.
    F16,
    /// `float16` from 1 to 1.25.
    F16NearOne,
    /// `float16` of 2^-10 to 2^-9, as the scales of 4-bit weights are.
    Scale,
    /// Any 32 bits.
    Packed,
}

impl Kind {
    /// Which bits are random and which are set, in each 16-bit lane. Sign and exponent lead: 1 + 8 bits in `bfloat16`, 1 + 5 in `float16`.
    fn masks(self) -> (u16, u16) {
        match self {
            Self::Bf16 => (0x80ff, 120 << 7),
            Self::Bf16NearOne => (0x001f, 127 << 7),
            Self::F16 => (0x87ff, 8 << 10),
            Self::F16NearOne => (0x00ff, 15 << 10),
            Self::Scale => (0x03ff, 5 << 10),
            Self::Packed => (0xffff, 0),
        }
    }
}

/// `bytes` bytes of values, little-endian.
pub fn fill(name: &str, kind: Kind, bytes: usize) -> Vec<u8> {
    let (random, set) = kind.masks();
    let spread = |lane: u16| u64::from(lane) * 0x0001_0001_0001_0001;
    let (random, set) = (spread(random), spread(set));
    let mut state = seed(name);
    let mut data = Vec::with_capacity(bytes.next_multiple_of(8));
    while data.len() < bytes {
        data.extend_from_slice(&(next(&mut state) & random | set).to_le_bytes());
    }
    data.truncate(bytes);
    data
}

/// FNV-1a of the name.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
