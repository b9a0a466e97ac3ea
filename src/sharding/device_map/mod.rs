//! Whole modules on named devices, as Transformers and accelerate place them.

mod balance;
mod place;
mod share;
mod tree;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use balance::{BalanceError, Caps, ParseStrategyError, Planner, Strategy, balance};
pub use place::{Placed, place};
pub use share::device_shares;
pub use tree::{Block, ModuleTree, Node};

/// A device of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// A card, by CUDA ordinal.
    Card(u32),
    /// Host memory.
    Cpu,
    /// A folder on disk.
    Disk,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card(ordinal) => write!(f, "{ordinal}"),
            Self::Cpu => f.write_str("cpu"),
            Self::Disk => f.write_str("disk"),
        }
    }
}

impl std::str::FromStr for Device {
    type Err = DeviceMapError;

    /// `0`, `cuda:0`, `cuda` (the first), `cpu`, `disk`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "disk" => Ok(Self::Disk),
            "cuda" => Ok(Self::Card(0)),
            _ => text
                .strip_prefix("cuda:")
                .unwrap_or(text)
                .parse()
                .map(Self::Card)
                .map_err(|_| DeviceMapError::NotADevice(text.to_owned())),
        }
    }
}

/// Module prefix → device. The longest prefix that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceMap {
    entries: BTreeMap<String, Device>,
}

/// A text that is no device map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceMapError {
    /// Neither a device nor an object.
    #[error("`{0}` is neither a device such as `cuda:0` nor a JSON object of module to device")]
    NotAMap(String),
    /// A device that does not exist.
    #[error("`{0}` is no device: write a card's number, `cuda:N`, `cpu` or `disk`")]
    NotADevice(String),
}

impl DeviceMap {
    /// Everything on one device.
    #[must_use]
    pub fn single(device: Device) -> Self {
        Self { entries: BTreeMap::from([(String::new(), device)]) }
    }

    /// Modules by path.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (String, Device)>) -> Self {
        Self { entries: entries.into_iter().collect() }
    }

    /// Reads a device (`cuda:0`, `0`, `cpu`) or a JSON object (`{"model.embed_tokens": 0, "model.layers": 1}`).
    ///
    /// # Errors
    /// When it is neither, or names a device that does not exist.
    pub fn parse(text: &str) -> Result<Self, DeviceMapError> {
        if let Ok(device) = text.parse() {
            return Ok(Self::single(device));
        }
        let not_a_map = || DeviceMapError::NotAMap(text.to_owned());
        let value: Value = serde_json::from_str(text).map_err(|_| not_a_map())?;
        let entries = value.as_object().ok_or_else(not_a_map)?;
        let entries = entries
            .iter()
            .map(|(module, device)| {
                let device = match device {
                    Value::String(name) => name.parse()?,
                    other => other.to_string().parse()?,
                };
                Ok((module.clone(), device))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Where a module (or tensor) is; `None` when no entry covers it.
    #[must_use]
    pub fn device_of(&self, path: &str) -> Option<Device> {
        let mut prefix = path;
        loop {
            if let Some(device) = self.entries.get(prefix) {
                return Some(*device);
            }
            if prefix.is_empty() {
                return None;
            }
            prefix = prefix.rfind('.').map_or("", |dot| &prefix[..dot]);
        }
    }

    /// The entries, by path.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Device)> {
        self.entries.iter().map(|(path, device)| (path.as_str(), *device))
    }

    /// The highest card number named.
    #[must_use]
    pub fn highest_card(&self) -> Option<u32> {
        self.entries
            .values()
            .filter_map(|device| match device {
                Device::Card(ordinal) => Some(*ordinal),
                Device::Cpu | Device::Disk => None,
            })
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let map =
            DeviceMap::parse(r#"{"model": 1, "model.layers.1": "cuda:2", "model.layers.10": 0, "lm_head": "cpu"}"#)
                .unwrap();
        assert_eq!(map.device_of("model.layers.1.mlp.up_proj"), Some(Device::Card(2)));
        assert_eq!(map.device_of("model.layers.10.mlp.up_proj"), Some(Device::Card(0)));
        assert_eq!(map.device_of("model.layers.11"), Some(Device::Card(1)));
        assert_eq!(map.device_of("lm_head"), Some(Device::Cpu));
        assert_eq!(map.device_of("visual"), None);
        assert_eq!(map.highest_card(), Some(2));
    }

    #[test]
    fn one_device_takes_all() {
        for text in ["cuda:3", "3", r#"{"": 3}"#] {
            assert_eq!(DeviceMap::parse(text).unwrap().device_of("model.norm"), Some(Device::Card(3)));
        }
        for text in ["", "gpu0", "[0]", r#"{"a": "tpu"}"#, r#"{"a": -1}"#, "auto"] {
            assert!(DeviceMap::parse(text).is_err(), "{text}");
        }
    }
}
