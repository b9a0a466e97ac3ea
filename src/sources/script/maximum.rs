//! Sizes as accelerate reads them.

use crate::units::Bytes;

/// `"20GiB"` in powers of 1024, `"20GB"` in powers of 1000, and `"20Gb"` in bits; accelerate 1.15 `convert_file_size_to_int`.
pub(super) fn size(text: &str) -> Option<Bytes> {
    const UNITS: [(&str, f64); 6] =
        [("GIB", 1073741824.0), ("MIB", 1048576.0), ("KIB", 1024.0), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)];
    let upper = text.to_ascii_uppercase();
    let (unit, factor) = UNITS.iter().find(|(unit, _)| upper.ends_with(unit))?;
    let number: f64 = text.get(..text.len().checked_sub(unit.len())?)?.trim().parse().ok()?;
    let bytes = number * factor;
    if !(0.0..1e18).contains(&bytes) {
        return None;
    }
    // A small last letter means bits, of the decimal units alone.
    let bits = unit.len() == 2 && text.ends_with('b');
    Some(Bytes(if bits { bytes as u64 / 8 } else { bytes as u64 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes() {
        let cases = [
            ("20GiB", Some(20 << 30)),
            ("20gib", Some(20 << 30)),
            ("1.5GiB", Some(3 << 29)),
            ("20GB", Some(20_000_000_000)),
            ("20Gb", Some(2_500_000_000)),
            ("20gb", Some(2_500_000_000)),
            ("500MB", Some(500_000_000)),
            ("10 KiB", Some(10240)),
            ("20", None),
            ("GiB", None),
            ("-1GiB", None),
            ("20TiB", None),
            ("1e99GB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected.map(Bytes), "{text}");
        }
    }
}
