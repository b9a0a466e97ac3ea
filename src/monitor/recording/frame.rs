//! Frames: length, checksum, payload.

use super::numbers::{Reader, put};

/// The first bytes of a recording.
pub const MAGIC: &[u8] = b"shardfit watch 1\n";

/// Longest payload; a machine of a thousand cards with ten thousand processes stays below.
const LONGEST: u64 = 16 << 20;

/// Why a file is no recording. One that merely ends early is read up to there and is no error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecording {
    /// Other first bytes.
    #[error("it does not begin as recordings of `top --record` do")]
    NotARecording,
    /// Nothing in it can be shown.
    #[error("it holds no whole sample")]
    Empty,
    /// Larger than what is read.
    #[error("it has {bytes} bytes, and recordings up to {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

/// Appends a payload as a frame.
pub(super) fn put_frame(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, payload.len() as u64);
    out.extend_from_slice(&checksum(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The payload of the frame at `offset` and where the next begins; `None` where the file ends, was cut, or is damaged.
pub(super) fn frame_at(file: &[u8], offset: usize) -> Option<(&[u8], usize)> {
    let mut reader = Reader(file.get(offset..)?);
    let length = reader.take().filter(|length| *length <= LONGEST)?;
    let (sum, rest) = reader.0.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(length).ok()?)?;
    let next = file.len() - rest.len() + payload.len();
    (checksum(payload) == u32::from_le_bytes(*sum)).then_some((payload, next))
}

/// CRC-32 as in IEEE 802.3, a byte at a time.
fn checksum(bytes: &[u8]) -> u32 {
    let table = const {
        let mut table = [0u32; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut sum = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
                bit += 1;
            }
            table[byte] = sum;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0u32, |sum, byte| (sum >> 8) ^ table[((sum ^ u32::from(*byte)) & 0xFF) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_cut_or_changed_frame_is_none() {
        let mut file = Vec::new();
        put_frame(&mut file, b"first");
        put_frame(&mut file, b"second");
        let (first, next) = frame_at(&file, 0).unwrap();
        assert_eq!(first, b"first");
        assert_eq!(frame_at(&file, next), Some((&b"second"[..], file.len())));
        for length in next..file.len() {
            assert_eq!(frame_at(&file[..length], next), None, "{length}");
        }
        for place in 0..file.len() {
            let mut damaged = file.clone();
            damaged[place] ^= 0x10;
            let read = [frame_at(&damaged, 0), frame_at(&damaged, next)];
            assert!(read.iter().any(|frame| frame.is_none_or(|(p, _)| p != b"first" && p != b"second")), "{place}");
        }
        assert_eq!(frame_at(&file, usize::MAX), None);
    }
}
