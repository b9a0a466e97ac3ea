//! What a simulated machine is: cards, who else uses them, and what goes wrong on it. Written as JSON, read by the driver.

mod card;
mod fault;
mod mig;
mod models;
mod topology;
mod wander;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use card::{Card, Clocks, EccCounts, OtherProcess, Pcie, Utilization};
pub use fault::{Fault, NvmlFailure};
pub use mig::{Mig, MigInstance};
pub use topology::{Ancestor, NvLink};

/// One mebibyte.
pub const MIB: u64 = 1 << 20;

/// A machine with its driver and cards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Driver version as NVML tells it.
    pub driver_version: String,
    /// Newest CUDA version the driver supports: 12080 is 12.8.
    pub cuda_version: i32,
    /// Cards in PCI order.
    pub cards: Vec<Card>,
    /// What lies between two different cards.
    #[serde(default)]
    pub ancestor: Ancestor,
    /// Most bytes that one process may pin; `None` leaves it to the machine that runs the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_limit: Option<u64>,
    /// Whether readings, and the memory of other people's processes, wander from second to second as on busy cards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wander: bool,
    /// What goes wrong, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            driver_version: "570.124.06".to_owned(),
            cuda_version: 12080,
            cards: Vec::new(),
            ancestor: Ancestor::default(),
            pinned_limit: None,
            wander: false,
            faults: Vec::new(),
        }
    }
}

impl Machine {
    /// A machine with a driver and no cards yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `count` cards of one kind, each with an identity and a PCI address of its own.
    #[must_use]
    pub fn cards(mut self, count: usize, card: Card) -> Self {
        for _ in 0..count {
            self = self.card(card.clone());
        }
        self
    }

    /// One more card. An empty UUID and a zero PCI bus are filled in.
    #[must_use]
    pub fn card(mut self, mut card: Card) -> Self {
        let index = self.cards.len();
        if card.uuid.is_empty() {
            card.uuid = format!("GPU-{index:08x}-51a0-4000-8000-{:012x}", 0x51_a0_00 + index);
        }
        if card.pci_bus == 0 {
            card.pci_bus = u32::try_from(0x10 + index).unwrap_or(u32::MAX);
        }
        if let Mig::Enabled(instances) = &mut card.mig {
            for (at, instance) in instances.iter_mut().enumerate() {
                if instance.uuid.is_empty() {
                    instance.uuid = format!("MIG-{index:08x}-{at:04x}-5000-8000-{:012x}", 0x516_0000 + index);
                }
            }
        }
        self.cards.push(card);
        self
    }

    /// Changes one card that is already there, such as who else uses it. A card that is not there changes nothing.
    #[must_use]
    pub fn with_card(mut self, index: usize, change: impl FnOnce(Card) -> Card) -> Self {
        if index < self.cards.len() {
            let card = self.cards.remove(index);
            self.cards.insert(index, change(card));
        }
        self
    }

    /// Something that goes wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Several things that go wrong.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// Most bytes that one process may pin.
    #[must_use]
    pub fn pinned_limit(mut self, bytes: u64) -> Self {
        self.pinned_limit = Some(bytes);
        self
    }

    /// Reads a machine from its JSON file.
    ///
    /// # Errors
    /// When the file is missing or is not a machine; the text names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("`{}` is not a machine: {e}", path.display()))
    }

    /// Writes the machine as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_differ_in_identity_and_address() {
        let machine = Machine::new().cards(2, Card::a10()).card(Card::h100_80gb());
        let mut uuids: Vec<_> = machine.cards.iter().map(|c| (c.uuid.clone(), c.pci_bus)).collect();
        uuids.dedup();
        assert_eq!(uuids.len(), 3);
        assert!(machine.cards.iter().all(|c| c.uuid.len() == "GPU-00000000-51a0-4000-8000-000000000000".len()));
    }

    #[test]
    fn a_machine_survives_its_file() {
        let machine = Machine::new()
            .cards(1, Card::a100_80gb().partitioned(7, MigInstance::a100_1g_10gb()))
            .with_card(0, |c| c.process(4242, 3 * MIB))
            .pinned_limit(MIB)
            .fault(Fault::CardLost { card: 0, after_copies: Some(3), after_nvml_calls: None });
        let text = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = r#"{"driver_version":"1","cuda_version":1,"cards":[],"colour":"green"}"#;
        assert!(serde_json::from_str::<Machine>(text).is_err());
    }
}
