//! Conversion between floating-point formats, done by the CPU in staging where an engine converts as it loads.

use crate::units::DType;

/// A conversion that the loader can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cast {
    from: Float,
    to: Float,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Float {
    F16,
    BF16,
    F32,
    F64,
}

impl Float {
    const fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            DType::F32 => Some(Self::F32),
            DType::F64 => Some(Self::F64),
            DType::BOOL
            | DType::F4
            | DType::F6_E2M3
            | DType::F6_E3M2
            | DType::U8
            | DType::I8
            | DType::F8_E5M2
            | DType::F8_E4M3
            | DType::F8_E8M0
            | DType::F8_E4M3FNUZ
            | DType::F8_E5M2FNUZ
            | DType::I16
            | DType::U16
            | DType::I32
            | DType::U32
            | DType::C64
            | DType::I64
            | DType::U64 => None,
        }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl Cast {
    /// The conversion from one format to another; `None` when the loader cannot do it.
    #[must_use]
    pub const fn new(from: DType, to: DType) -> Option<Self> {
        match (Float::of(from), Float::of(to)) {
            (Some(from), Some(to)) => Some(Self { from, to }),
            _ => None,
        }
    }

    /// Bytes of one source element.
    #[must_use]
    pub const fn source_element(self) -> u64 {
        self.from.bytes()
    }

    /// Bytes of one target element.
    #[must_use]
    pub const fn target_element(self) -> u64 {
        self.to.bytes()
    }

    /// The most by which a conversion multiplies bytes (half to double).
    pub(super) const WIDEST: u64 = 4;

    /// Target bytes of `source` bytes of whole elements; saturates.
    #[must_use]
    pub const fn target_bytes(self, source: u64) -> u64 {
        (source / self.from.bytes()).saturating_mul(self.to.bytes())
    }

    /// Source bytes of the whole elements that fit `target` bytes; saturates.
    #[must_use]
    pub const fn source_bytes(self, target: u64) -> u64 {
        (target / self.to.bytes()).saturating_mul(self.from.bytes())
    }

    /// Converts little-endian elements, rounding to nearest, ties to even, as torch does (which goes from double to half through single).
    /// Stops at the end of the shorter slice.
    pub fn convert(self, source: &[u8], target: &mut [u8]) {
        use Float::{BF16, F16, F32, F64};
        match (self.from, self.to) {
            (F16, F16) | (BF16, BF16) | (F32, F32) | (F64, F64) => {
                let len = source.len().min(target.len());
                target[..len].copy_from_slice(&source[..len]);
            }
            (F16, BF16) => each(source, target, |x| to_bf16(from_f16(u16::from_le_bytes(x))).to_le_bytes()),
            (F16, F32) => each(source, target, |x| from_f16(u16::from_le_bytes(x)).to_le_bytes()),
            (F16, F64) => each(source, target, |x| f64::from(from_f16(u16::from_le_bytes(x))).to_le_bytes()),
            (BF16, F16) => each(source, target, |x| to_f16(from_bf16(u16::from_le_bytes(x))).to_le_bytes()),
            (BF16, F32) => each(source, target, |x| from_bf16(u16::from_le_bytes(x)).to_le_bytes()),
            (BF16, F64) => each(source, target, |x| f64::from(from_bf16(u16::from_le_bytes(x))).to_le_bytes()),
            (F32, F16) => each(source, target, |x| to_f16(f32::from_le_bytes(x)).to_le_bytes()),
            (F32, BF16) => each(source, target, |x| to_bf16(f32::from_le_bytes(x)).to_le_bytes()),
            (F32, F64) => each(source, target, |x| f64::from(f32::from_le_bytes(x)).to_le_bytes()),
            (F64, F16) => each(source, target, |x| to_f16(f64::from_le_bytes(x) as f32).to_le_bytes()),
            (F64, BF16) => each(source, target, |x| to_bf16(f64::from_le_bytes(x) as f32).to_le_bytes()),
            (F64, F32) => each(source, target, |x| (f64::from_le_bytes(x) as f32).to_le_bytes()),
        }
    }
}

fn each<const FROM: usize, const TO: usize>(
    source: &[u8],
    target: &mut [u8],
    convert: impl Fn([u8; FROM]) -> [u8; TO],
) {
    let (source, _) = source.as_chunks::<FROM>();
    let (target, _) = target.as_chunks_mut::<TO>();
    for (from, to) in source.iter().zip(target) {
        *to = convert(*from);
    }
}

/// bfloat16 is the upper half of a single.
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Rounding could carry a payload into infinity; the quiet bit keeps it a NaN.
        return (bits >> 16) as u16 | 0x0040;
    }
    // Half of the dropped part, one less when the kept part is even: ties go to even. Cannot overflow: NaNs are gone.
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

fn from_f16(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half) & 0x3ff;
    match exponent {
        // Zero and subnormals: fraction × 2^-24, exact in a single.
        0 => f32::from_bits((fraction as f32 * 2.0_f32.powi(-24)).to_bits() | sign),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

fn to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let half = match magnitude {
        // NaN: quiet, with what fits of its payload.
        0x7f80_0001.. => 0x7e00 | (magnitude >> 13 & 0x3ff) as u16,
        // 2^16 and more; what rounds up to it comes out of the normal case by its carry.
        0x4780_0000.. => 0x7c00,
        // Normal halves: re-bias the exponent, drop 13 bits.
        0x3880_0000.. => round_shift(magnitude - (112 << 23), 13) as u16,
        // Subnormal halves: units of 2^-24.
        0x3300_0000.. => {
            let fraction = magnitude & 0x007f_ffff | 0x0080_0000;
            round_shift(fraction, 126 - (magnitude >> 23)) as u16
        }
        _ => 0,
    };
    sign | half
}

/// `value / 2^shift`, to nearest, ties to even.
fn round_shift(value: u32, shift: u32) -> u32 {
    let kept = value >> shift;
    let dropped = value & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    if dropped > half || (dropped == half && kept & 1 == 1) { kept + 1 } else { kept }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_half_survives_the_way_through_single() {
        for half in 0..=u16::MAX {
            let single = from_f16(half);
            let back = to_f16(single);
            if single.is_nan() {
                assert!(from_f16(back).is_nan());
            } else {
                assert_eq!(back, half, "{single}");
            }
            let brain = from_bf16(half);
            if brain.is_nan() {
                assert!(from_bf16(to_bf16(brain)).is_nan());
            } else {
                assert_eq!(to_bf16(brain), half, "{brain}");
            }
        }
    }

    #[test]
    fn known_values() {
        let halves: &[(f32, u16)] = &[
            (0.0, 0),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.996, 0x7bff),
            (65520.0, 0x7c00),
            (1e9, 0x7c00),
            (f32::NEG_INFINITY, 0xfc00),
            (5.960_464_5e-8, 1),
            // Half of the smallest subnormal is a tie and goes to even, zero; anything above it does not.
            (2.980_232_2e-8, 0),
            (2.980_232_6e-8, 1),
            (6.097_555e-5, 0x03ff),
            (6.103_515_6e-5, 0x0400),
            (1.000_488_3, 0x3c00),
            (1.001_464_8, 0x3c02),
        ];
        for &(value, half) in halves {
            assert_eq!(to_f16(value), half, "{value}");
        }
        let brains: &[(f32, u16)] =
            &[(1.0, 0x3f80), (f32::MAX, 0x7f80), (1.003_906_2, 0x3f80), (1.011_718_8, 0x3f82), (-0.0, 0x8000)];
        for &(value, brain) in brains {
            assert_eq!(to_bf16(value), brain, "{value}");
        }
    }

    proptest! {
        /// The nearest of the representable neighbours, found by trying them.
        #[test]
        fn halves_are_the_nearest(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite() && value.abs() < 65504.0);
            let half = to_f16(value);
            let error = |half: u16| (f64::from(from_f16(half)) - f64::from(value)).abs();
            for other in [half.wrapping_sub(1), half.wrapping_add(1)] {
                if from_f16(other).is_finite() {
                    prop_assert!(error(half) <= error(other));
                    prop_assert!(error(half) < error(other) || half & 1 == 0);
                }
            }
        }
    }

    #[test]
    fn slices_convert_element_by_element() {
        let singles = [1.0_f32, -2.5, 0.1];
        let source: Vec<u8> = singles.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut target = [0; 6];
        Cast::new(DType::F32, DType::BF16).unwrap().convert(&source, &mut target);
        assert_eq!(target, [0x80, 0x3f, 0x20, 0xc0, 0xcd, 0x3d]);
        let mut doubles = [0; 24];
        Cast::new(DType::F32, DType::F64).unwrap().convert(&source, &mut doubles);
        assert_eq!(&doubles[8..16], &(-2.5_f64).to_le_bytes());
        assert_eq!(Cast::new(DType::I8, DType::F16), None);
    }
}
