//! A format's file with its units filled in: the bits, groups and blocks of one checkpoint.

use super::shape::{Axis, Dim, Format, StoredTensor};
use crate::model::config::ConfigError;
use crate::profiles::{Condition, TensorProfile, quant_profile};
use crate::units::DType;

/// The numbers of a checkpoint that shapes depend on.
#[derive(Debug, Clone, Default)]
pub(super) struct Units {
    /// Bits of a weight.
    pub bits: u64,
    /// Inputs that share a scale; `None` is one group for all of them.
    pub group: Option<u64>,
    /// Whether ranks keep all groups although their inputs are divided.
    pub uncut_groups: bool,
    /// Outputs and inputs of a block that share a scale.
    pub block: Option<[u64; 2]>,
    /// What holds of the checkpoint.
    pub conditions: Vec<Condition>,
}

impl Units {
    /// The format of a file with these units.
    pub fn format(&self, id: &str) -> Result<Format, ConfigError> {
        let profile = quant_profile(id).ok_or_else(|| ConfigError::UnknownQuantization(id.to_owned()))?;
        let exists = |t: &&TensorProfile| t.when.is_none_or(|condition| self.conditions.contains(&condition));
        let tensors = profile.tensors.iter().filter(exists).map(|t| self.tensor(t)).collect::<Result<_, _>>()?;
        Ok(Format { tensors })
    }

    fn tensor(&self, profile: &TensorProfile) -> Result<StoredTensor, ConfigError> {
        let unreadable = || ConfigError::UnknownQuantization(format!("{} {}", profile.name, profile.dims.join(" × ")));
        let dtype = match profile.dtype.as_str() {
            "model" => None,
            // Scales of scales are bytes, else the scales are numbers.
            "nested" if self.conditions.contains(&Condition::NestedScales) => Some(DType::U8),
            "nested" => Some(DType::F32),
            name => Some(name.parse().map_err(|_| unreadable())?),
        };
        let dims = profile.dims.iter().map(|text| self.dim(text).ok_or_else(unreadable)).collect::<Result<_, _>>()?;
        Ok(StoredTensor { name: profile.name.clone(), dtype, dims, held: profile.held, experts: profile.experts })
    }

    fn dim(&self, text: &str) -> Option<Dim> {
        let (axis, unit) = text.split_once('/').unwrap_or((text, "1"));
        let axis = match axis {
            "input" => Axis::Input,
            "output" => Axis::Output,
            "elements" => Axis::Elements,
            "member" => Axis::Member,
            size => return Some(Dim::fixed(size.parse().ok()?)),
        };
        let each = Dim::each(axis);
        Some(match unit {
            "pack" => Dim { times: self.bits, per: 32, ..each },
            "bytes" => Dim { times: self.bits, per: 8, ..each },
            "group" => {
                Dim { per: self.group.unwrap_or(u64::MAX), uncut: self.uncut_groups || self.group.is_none(), ..each }
            }
            "block_n" => Dim { per: self.block?[0], ..each },
            "block_k" => Dim { per: self.block?[1], ..each },
            number => Dim { per: number.parse().ok().filter(|n| *n > 0)?, ..each },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::quant_profiles;

    #[test]
    fn every_format_resolves_with_all_units() {
        let conditions =
            vec![Condition::StaticInput, Condition::ZeroPoints, Condition::ActOrder, Condition::NestedScales];
        let units = Units { bits: 4, group: Some(128), uncut_groups: false, block: Some([128, 128]), conditions };
        for profile in quant_profiles() {
            let format = units.format(&profile.id).unwrap_or_else(|error| panic!("{}: {error}", profile.id));
            assert_eq!(format.tensors.len(), profile.tensors.len());
            // A matrix never takes more bytes than it has in half precision.
            let bits: u64 = format
                .tensors
                .iter()
                .map(|t| t.dtype.map_or(16, DType::bits) * t.shape(1024, 4096).iter().product::<u64>())
                .sum();
            assert!(bits <= 16 * 1024 * 4096, "{}: {bits}", profile.id);
        }
    }

    #[test]
    fn sizes_follow_the_units() {
        let units = Units { bits: 4, group: Some(128), block: Some([128, 64]), ..Units::default() };
        let size = |text: &str| units.dim(text).map(|d| d.size(4096, 300));
        assert_eq!(size("input/pack"), Some(512));
        assert_eq!(size("input/group"), Some(32));
        assert_eq!(size("output/block_n"), Some(3));
        assert_eq!(size("input/block_k"), Some(64));
        assert_eq!(size("elements/64"), Some(19200));
        assert_eq!(size("elements/bytes"), Some(4096 * 150));
        assert_eq!(size("member"), Some(1));
        assert_eq!(size("2"), Some(2));
        for wrong in ["", "width", "input/0", "input/x", "output/block_n/2"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
