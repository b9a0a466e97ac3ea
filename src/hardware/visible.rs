//! Which cards a CUDA process would see, and under which ordinals.

use super::{CardState, MigInstance, Snapshot};

/// `CUDA_DEVICE_ORDER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceOrder {
    /// CUDA's default: fastest card first. With one kind of card this is the PCI order.
    #[default]
    FastestFirst,
    /// `PCI_BUS_ID`: the order of NVML and `nvidia-smi`.
    PciBusId,
}

impl DeviceOrder {
    /// The order named by the value of `CUDA_DEVICE_ORDER`; any other text leaves CUDA's default.
    #[must_use]
    pub fn from_variable(value: Option<&str>) -> Self {
        match value.map(str::trim) {
            Some("PCI_BUS_ID") => Self::PciBusId,
            _ => Self::FastestFirst,
        }
    }

    /// As `CUDA_DEVICE_ORDER` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastestFirst => "FASTEST_FIRST",
            Self::PciBusId => "PCI_BUS_ID",
        }
    }
}

/// `CUDA_VISIBLE_DEVICES` as a process would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleDevices {
    /// NVML index per CUDA ordinal; a MIG instance names its card and instance.
    pub ordinals: Vec<(u32, Option<u32>)>,
    /// The first entry that names no card: CUDA ignores it and all that follow.
    pub cut_at: Option<String>,
    /// Devices that were named (or there, without a mask) and that CUDA still leaves out: before driver branch 570 a process sees one MIG
    /// instance and nothing beside it, since then one compute instance of each GPU instance.
    pub hidden_by_mig: Vec<(u32, Option<u32>)>,
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

/// First driver branch whose CUDA shows MIG instances of several GPU instances, and whole cards beside them.
const SEVERAL_MIG_INSTANCES: u32 = 570;

impl VisibleDevices {
    /// Applies `mask` (the value of `CUDA_VISIBLE_DEVICES`; `None` when unset) to the cards of a machine.
    ///
    /// Entries are ordinals in the device order, `GPU-…` or `MIG-…` identities or unique prefixes of them; the list ends at the first
    /// entry that names nothing, and its first entry decides whether it is read as numbers or as identities (CUDA programming guide,
    /// "CUDA environment variables"; number parsing and mixing as in PyTorch 2 `torch/cuda/__init__.py`, `_parse_visible_devices`). Cards
    /// in MIG mode show instances, not themselves (MIG user guide, "CUDA device enumeration"): numbers count whole cards first, then the
    /// instances CUDA picks by itself. A mask by UUID says which.
    ///
    /// # Errors
    /// When an identity prefix is ambiguous or an entry is repeated.
    pub fn select(snapshot: &Snapshot, order: DeviceOrder, mask: Option<&str>) -> Result<Self, SelectError> {
        let rule = MigRule::of(snapshot);
        let Some(mask) = mask else {
            let all = every_device(snapshot, order, Instances::All);
            return Ok(rule.apply(snapshot, all, None));
        };
        let counted = every_device(snapshot, order, Instances::Picked(rule));
        let numbers = !is_identity(mask.trim_start());
        let mut ordinals: Vec<DeviceId> = Vec::new();
        for entry in mask.split(',').map(str::trim) {
            let found = match (numbers, is_identity(entry)) {
                (true, false) => leading_number(entry).and_then(|ordinal| counted.get(ordinal).copied()),
                (false, true) => by_identity(snapshot, entry)?,
                (true, true) | (false, false) => None,
            };
            let Some(id) = found else {
                let cut_at = (!entry.is_empty()).then(|| entry.to_owned());
                return Ok(rule.apply(snapshot, ordinals, cut_at));
            };
            if ordinals.contains(&id) {
                return Err(SelectError::Repeated(entry.to_owned()));
            }
            ordinals.push(id);
        }
        Ok(rule.apply(snapshot, ordinals, None))
    }
}

/// NVML index of a card, and the MIG instance on it.
type DeviceId = (u32, Option<u32>);

/// How many MIG instances one process may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MigRule {
    /// One instance, and no whole card beside it.
    OneAlone,
    /// One compute instance of each GPU instance, whole cards as well.
    OneOfEachGpuInstance,
}

impl MigRule {
    /// By driver branch; an unknown one is taken as old, which promises least.
    fn of(snapshot: &Snapshot) -> Self {
        match snapshot.driver_branch() {
            Some(SEVERAL_MIG_INSTANCES..) => Self::OneOfEachGpuInstance,
            Some(_) | None => Self::OneAlone,
        }
    }

    /// Takes away what CUDA would not show of the devices chosen.
    fn apply(self, snapshot: &Snapshot, chosen: Vec<DeviceId>, cut_at: Option<String>) -> VisibleDevices {
        let mut ordinals = Vec::new();
        let mut hidden_by_mig = Vec::new();
        let first_instance = chosen.iter().copied().find(|(_, instance)| instance.is_some());
        let mut seen = Vec::new();
        for id in chosen {
            let shown = match (self, first_instance) {
                (Self::OneAlone, Some(first)) => id == first,
                (Self::OneAlone, None) => true,
                (Self::OneOfEachGpuInstance, _) => {
                    let slice = gpu_instance(snapshot, id).map(|slice| (id.0, slice));
                    let repeated = slice.is_some() && seen.contains(&slice);
                    seen.push(slice);
                    !repeated
                }
            };
            if shown { ordinals.push(id) } else { hidden_by_mig.push(id) }
        }
        VisibleDevices { ordinals, cut_at, hidden_by_mig }
    }
}

/// The GPU instance that a MIG device is part of.
fn gpu_instance(snapshot: &Snapshot, (card, instance): DeviceId) -> Option<u32> {
    let instances = snapshot.card(card)?.mig_instances()?;
    instances.iter().find(|i| Some(i.index) == instance)?.gpu_instance.known()
}

/// Which MIG instances an enumeration holds.
#[derive(Debug, Clone, Copy)]
enum Instances {
    /// Those a process without a mask would find if nothing hid them.
    All,
    /// Those that numbers in a mask can name.
    Picked(MigRule),
}

fn every_device(snapshot: &Snapshot, order: DeviceOrder, instances: Instances) -> Vec<DeviceId> {
    let mut cards: Vec<&CardState> = snapshot.cards.iter().collect();
    if order == DeviceOrder::FastestFirst {
        // CUDA ranks by its own estimate of speed; compute capability, then memory, reproduces it for the mixes people build.
        cards.sort_by_key(|c| {
            let memory = c.memory.as_ref().known().map(|m| m.total);
            (std::cmp::Reverse((c.compute_capability.known(), memory)), c.index)
        });
    }
    let whole = cards.iter().filter(|c| c.mig_instances().is_none()).map(|c| (c.index, None));
    let parts = cards.iter().flat_map(|card| {
        let of_card = one_of_each_gpu_instance(card.mig_instances().unwrap_or_default());
        let most = match instances {
            Instances::All | Instances::Picked(MigRule::OneOfEachGpuInstance) => usize::MAX,
            Instances::Picked(MigRule::OneAlone) => 1,
        };
        of_card.into_iter().take(most).map(|instance| (card.index, Some(instance.index)))
    });
    whole.chain(parts).collect()
}

/// The first compute instance of each GPU instance, which is the one CUDA takes.
fn one_of_each_gpu_instance(instances: &[MigInstance]) -> Vec<&MigInstance> {
    let mut seen = Vec::new();
    instances
        .iter()
        .filter(|instance| match instance.gpu_instance.known() {
            Some(id) if seen.contains(&id) => false,
            Some(id) => {
                seen.push(id);
                true
            }
            None => true,
        })
        .collect()
}

fn is_identity(entry: &str) -> bool {
    entry.starts_with("GPU-") || entry.starts_with("MIG-")
}

/// CUDA reads numbers as C's `strtoul` does: `2nd` is 2. A minus sign, or no digit, names nothing.
fn leading_number(entry: &str) -> Option<usize> {
    let unsigned = entry.strip_prefix('+').unwrap_or(entry);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    unsigned[..digits].parse().ok()
}

/// The one device whose identity starts with `entry`; a card in MIG mode stands for its first instance.
fn by_identity(snapshot: &Snapshot, entry: &str) -> Result<Option<DeviceId>, SelectError> {
    let starts = |uuid: Option<&String>| uuid.is_some_and(|uuid| uuid.starts_with(entry));
    let cards = snapshot.cards.iter().filter(|card| starts(card.uuid.as_ref().known())).map(|card| {
        match card.mig_instances() {
            None => Some((card.index, None)),
            Some(instances) => instances.first().map(|instance| (card.index, Some(instance.index))),
        }
    });
    let instances = snapshot.cards.iter().flat_map(|card| {
        let of_card = card.mig_instances().unwrap_or_default().iter();
        of_card.filter(|i| starts(i.uuid.as_ref().known())).map(|i| Some((card.index, Some(i.index))))
    });
    let mut matches = cards.chain(instances);
    match (matches.next(), matches.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(SelectError::Ambiguous(entry.to_owned())),
        (None, _) => Ok(None),
    }
}

#[cfg(test)]
#[path = "visible_tests.rs"]
mod tests;
