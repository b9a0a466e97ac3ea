//! Whole modules on named devices, as Transformers and accelerate place them.

use std::fmt;

use serde_json::Value;

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

/// Module prefix → device. The longest prefix that matches decides; what matches none goes to host memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMap {
    entries: Vec<(String, Device)>,
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
        Self { entries: vec![(String::new(), device)] }
    }

    /// Reads a device (`cuda:0`, `0`, `cpu`) or a JSON object (`{"model.embed_tokens": 0, "model.layers": 1}`).
    ///
    /// # Errors
    /// When it is neither, or names a device that does not exist.
    pub fn parse(text: &str) -> Result<Self, DeviceMapError> {
        if let Ok(device) = parse_device(text) {
            return Ok(Self::single(device));
        }
        let not_a_map = || DeviceMapError::NotAMap(text.to_owned());
        let value: Value = serde_json::from_str(text).map_err(|_| not_a_map())?;
        let entries = value.as_object().ok_or_else(not_a_map)?;
        let entries = entries
            .iter()
            .map(|(module, device)| {
                let device = match device {
                    Value::String(name) => parse_device(name)?,
                    other => parse_device(&other.to_string())?,
                };
                Ok((module.clone(), device))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Where a module is.
    #[must_use]
    pub fn device_of(&self, path: &str) -> Device {
        let matches = |prefix: &str| {
            prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.entries
            .iter()
            .filter(|(prefix, _)| matches(prefix))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(Device::Cpu, |(_, device)| *device)
    }

    /// The highest card number named.
    #[must_use]
    pub fn highest_card(&self) -> Option<u32> {
        self.entries
            .iter()
            .filter_map(|(_, device)| match device {
                Device::Card(ordinal) => Some(*ordinal),
                Device::Cpu | Device::Disk => None,
            })
            .max()
    }
}

fn parse_device(text: &str) -> Result<Device, DeviceMapError> {
    match text {
        "cpu" => Ok(Device::Cpu),
        "disk" => Ok(Device::Disk),
        "cuda" => Ok(Device::Card(0)),
        _ => text
            .strip_prefix("cuda:")
            .unwrap_or(text)
            .parse()
            .map(Device::Card)
            .map_err(|_| DeviceMapError::NotADevice(text.to_owned())),
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
        assert_eq!(map.device_of("model.layers.1.mlp.up_proj"), Device::Card(2));
        assert_eq!(map.device_of("model.layers.10.mlp.up_proj"), Device::Card(0));
        assert_eq!(map.device_of("model.layers.11"), Device::Card(1));
        assert_eq!(map.device_of("lm_head"), Device::Cpu);
        assert_eq!(map.device_of("visual"), Device::Cpu);
        assert_eq!(map.highest_card(), Some(2));
    }

    #[test]
    fn one_device_takes_all() {
        for text in ["cuda:3", "3", r#"{"": 3}"#] {
            assert_eq!(DeviceMap::parse(text).unwrap().device_of("model.norm"), Device::Card(3));
        }
        for text in ["", "gpu0", "[0]", r#"{"a": "tpu"}"#, r#"{"a": -1}"#, "auto"] {
            assert!(DeviceMap::parse(text).is_err(), "{text}");
        }
    }
}
