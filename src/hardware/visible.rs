//! Which cards a CUDA process would see, and under which ordinals.

use super::Snapshot;

/// `CUDA_DEVICE_ORDER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceOrder {
    /// CUDA's default: fastest card first. With one kind of card this is the PCI order.
    #[default]
    FastestFirst,
    /// `PCI_BUS_ID`: the order of NVML and `nvidia-smi`.
    PciBusId,
}

/// `CUDA_VISIBLE_DEVICES` as a process would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleDevices {
    /// NVML index per CUDA ordinal; a MIG instance names its card and instance.
    pub ordinals: Vec<(u32, Option<u32>)>,
    /// The first entry that names no card: CUDA ignores it and all that follow.
    pub cut_at: Option<String>,
}

/// A mask that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A prefix of several identities.
    #[error("`{0}` in CUDA_VISIBLE_DEVICES fits more than one card: write more of the UUID")]
    Ambiguous(String),
    /// CUDA refuses a list with repeats.
    #[error("`{0}` stands twice in CUDA_VISIBLE_DEVICES: CUDA then shows no card at all")]
    Repeated(String),
}

impl VisibleDevices {
    /// Applies `mask` (the value of `CUDA_VISIBLE_DEVICES`; `None` when unset) to the cards of a machine.
    ///
    /// Rules as in the CUDA programming guide: entries are ordinals in the device order, `GPU-…` or `MIG-…` identities or unique prefixes
    /// of them; the list ends at the first entry that names nothing. Cards in MIG mode show their instances, not themselves.
    ///
    /// # Errors
    /// When an identity prefix is ambiguous or an entry is repeated.
    pub fn select(snapshot: &Snapshot, order: DeviceOrder, mask: Option<&str>) -> Result<Self, SelectError> {
        let all = enumerate(snapshot, order);
        let Some(mask) = mask else {
            return Ok(Self { ordinals: all.into_iter().map(|d| d.id).collect(), cut_at: None });
        };
        let mut ordinals: Vec<(u32, Option<u32>)> = Vec::new();
        for entry in mask.split(',').map(str::trim) {
            let found = match entry.parse::<usize>() {
                Ok(ordinal) => all.get(ordinal).map(|d| d.id),
                Err(_) => by_uuid(&all, entry)?,
            };
            let Some(id) = found else {
                let cut_at = (!entry.is_empty()).then(|| entry.to_owned());
                return Ok(Self { ordinals, cut_at });
            };
            if ordinals.contains(&id) {
                return Err(SelectError::Repeated(entry.to_owned()));
            }
            ordinals.push(id);
        }
        Ok(Self { ordinals, cut_at: None })
    }
}

struct Device {
    id: (u32, Option<u32>),
    uuid: Option<String>,
}

fn enumerate(snapshot: &Snapshot, order: DeviceOrder) -> Vec<Device> {
    let mut cards: Vec<_> = snapshot.cards.iter().collect();
    if order == DeviceOrder::FastestFirst {
        // CUDA ranks by its own estimate of speed; compute capability, then memory, reproduces it for the mixes people build.
        cards.sort_by_key(|c| {
            let memory = c.memory.as_ref().known().map(|m| m.total);
            (std::cmp::Reverse((c.compute_capability.known(), memory)), c.index)
        });
    }
    let mut devices = Vec::new();
    for card in cards {
        match card.mig.as_ref().known() {
            Some(super::MigMode::Enabled(instances)) => {
                devices.extend(
                    instances.iter().map(|i| Device { id: (card.index, Some(i.index)), uuid: i.uuid.clone().known() }),
                );
            }
            Some(super::MigMode::Disabled) | None => {
                devices.push(Device { id: (card.index, None), uuid: card.uuid.clone().known() });
            }
        }
    }
    devices
}

fn by_uuid(all: &[Device], entry: &str) -> Result<Option<(u32, Option<u32>)>, SelectError> {
    if !(entry.starts_with("GPU-") || entry.starts_with("MIG-")) {
        return Ok(None);
    }
    let mut matches = all.iter().filter(|d| d.uuid.as_deref().is_some_and(|u| u.starts_with(entry)));
    match (matches.next(), matches.next()) {
        (Some(one), None) => Ok(Some(one.id)),
        (Some(_), Some(_)) => Err(SelectError::Ambiguous(entry.to_owned())),
        (None, _) => Ok(None),
    }
}
