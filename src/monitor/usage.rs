//! Who holds the memory of a card: one computation for the screen, the table and the JSON.

use std::fmt;

use crate::hardware::{CardState, MemoryState, MigInstance, MigMode, ProcessState, Reading, Snapshot, Vitals};
use crate::units::Bytes;

/// Name of the processes whose memory counts as this tool's own shards.
pub const OWN_NAME: &str = "shardfit";

/// A card, or an instance of a partitioned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId {
    /// NVML index of the card.
    pub index: u32,
    /// Index of the MIG device on it.
    pub instance: Option<u32>,
}

/// `3`, or `3/1` for a MIG instance.
impl fmt::Display for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => f.pad(&format!("{}/{instance}", self.index)),
            None => f.pad(&self.index.to_string()),
        }
    }
}

/// One card or MIG instance at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardUsage {
    /// Which.
    pub id: CardId,
    /// What stays the same when indices move: the UUID, or else the PCI address. `None` when neither can be read.
    pub key: Option<String>,
    /// Whether the card has dropped off the bus.
    pub lost: bool,
    /// UUID, for reports.
    pub uuid: Reading<String>,
    /// Product name; that of an instance includes its profile.
    pub name: Reading<String>,
    /// Memory and who holds it.
    pub memory: Reading<MemoryUse>,
    /// Share of time in which kernels ran, in percent.
    pub utilization_percent: Reading<u32>,
    /// Degrees Celsius.
    pub temperature_celsius: Reading<u32>,
    /// Power draw in milliwatts.
    pub power_milliwatts: Reading<u32>,
    /// Clocks, limits, errors, traffic.
    pub vitals: Vitals,
    /// Processes on it; those of a partitioned card stand at its instances.
    pub processes: Reading<Vec<ProcessState>>,
}

/// Memory of a card, divided by holder. `used` + `free` + `reserved` is `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// NVML total, the driver's own part included.
    pub total: Bytes,
    /// What processes can share: total − reserved, where reserved is known.
    pub capacity: Bytes,
    /// Held by driver and firmware; where unknown, `used` includes it.
    pub reserved: Reading<Bytes>,
    /// Allocated.
    pub used: Bytes,
    /// Neither allocated nor reserved.
    pub free: Bytes,
    /// Held by processes named [`OWN_NAME`].
    pub own: Reading<Bytes>,
    /// Used by all others: `used` − `own`.
    pub others: Reading<Bytes>,
    /// The part of it that no listed process accounts for: other containers' processes, the card's own use, and where `reserved` is
    /// unknown perhaps the driver's part.
    pub unlisted: Reading<Bytes>,
}

impl MemoryUse {
    /// Memory that processes hold which cannot be seen from here; `None` when there is no more than a card uses for itself, or when that
    /// cannot be told.
    #[must_use]
    pub fn unseen(&self) -> Option<Bytes> {
        self.reserved.known()?;
        self.unlisted.known().filter(|bytes| *bytes > CardState::OWN_USE)
    }

    /// Divides what the driver counted among those who hold it.
    #[must_use]
    pub fn new(memory: &MemoryState, processes: Reading<&[ProcessState]>) -> Self {
        let own = sum(processes, |process| process.name.as_deref() == Some(OWN_NAME));
        // The list and the total are two calls: a process that just grew must not make the others negative.
        let own = own.map(|bytes| bytes.min(memory.used));
        let unlisted = sum(processes, |_| true).map(|listed| memory.used.saturating_sub(listed));
        Self {
            total: memory.total,
            capacity: memory.cuda_total().unwrap_or(memory.total),
            reserved: memory.reserved,
            used: memory.used,
            free: memory.free,
            own,
            others: own.map(|bytes| memory.used.saturating_sub(bytes)),
            unlisted,
        }
    }
}

/// Bytes of the processes that `belongs` picks; the reason why not, as soon as one of them is unknown.
fn sum(processes: Reading<&[ProcessState]>, belongs: impl Fn(&ProcessState) -> bool) -> Reading<Bytes> {
    processes.and_then(|processes| {
        let picked = processes.iter().filter(|process| belongs(process)).map(|process| process.used);
        picked.fold(Reading::Known(Bytes::ZERO), |sum, used| sum.and_then(|sum| used.map(|used| sum + used)))
    })
}

/// The cards of a snapshot in order, each followed by its MIG instances.
#[must_use]
pub fn usages(snapshot: &Snapshot) -> Vec<CardUsage> {
    usages_of(snapshot.clone())
}

/// The same of a snapshot that is not needed any more: its lists of processes are moved.
pub(super) fn usages_of(snapshot: Snapshot) -> Vec<CardUsage> {
    let mut all = Vec::with_capacity(snapshot.cards.len());
    for card in snapshot.cards {
        let instances: Vec<CardUsage> = instances(&card).collect();
        all.push(whole(card));
        all.extend(instances);
    }
    all
}

fn whole(card: CardState) -> CardUsage {
    let known = |reading: &Reading<String>| reading.as_ref().known().cloned();
    let lost = card.is_lost();
    let memory = card.memory.as_ref().map(|m| MemoryUse::new(m, card.processes.as_ref().map(Vec::as_slice)));
    let mut processes = card.processes;
    if let (Reading::Known(all), Reading::Known(MigMode::Enabled(instances))) = (&mut processes, &card.mig) {
        all.retain(|process| !instances.iter().any(|instance| runs_on(process, instance)));
    }
    CardUsage {
        id: CardId { index: card.index, instance: None },
        key: known(&card.uuid).or_else(|| known(&card.pci_bus_id)),
        lost,
        uuid: card.uuid,
        name: card.name,
        memory,
        utilization_percent: card.utilization_percent,
        temperature_celsius: card.temperature_celsius,
        power_milliwatts: card.power_milliwatts,
        vitals: card.vitals,
        processes,
    }
}

fn instances(card: &CardState) -> impl Iterator<Item = CardUsage> + '_ {
    card.mig_instances().unwrap_or_default().iter().map(|instance| {
        let processes =
            card.processes.as_ref().map(|all| all.iter().filter(|p| runs_on(p, instance)).cloned().collect::<Vec<_>>());
        let id = CardId { index: card.index, instance: Some(instance.index) };
        CardUsage {
            id,
            key: instance.uuid.as_ref().known().cloned(),
            lost: card.is_lost(),
            uuid: instance.uuid.clone(),
            name: instance.name.clone(),
            memory: instance.memory.as_ref().map(|m| MemoryUse::new(m, processes.as_ref().map(Vec::as_slice))),
            // NVML gives these for the whole card alone.
            utilization_percent: Reading::Unsupported,
            temperature_celsius: Reading::Unsupported,
            power_milliwatts: Reading::Unsupported,
            vitals: CardState::unreadable(0, Reading::Unsupported).vitals,
            processes,
        }
    })
}

fn runs_on(process: &ProcessState, instance: &MigInstance) -> bool {
    process.gpu_instance.is_some() && process.gpu_instance == instance.gpu_instance.known()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: Option<&str>, used: Reading<Bytes>) -> ProcessState {
        ProcessState {
            pid: 1,
            used,
            name: name.map(str::to_owned),
            command: None,
            user: None,
            orphan: false,
            gpu_instance: None,
        }
    }

    fn memory(reserved: Reading<Bytes>) -> MemoryState {
        MemoryState { total: Bytes::gib(24), reserved, used: Bytes::gib(14), free: Bytes::gib(9) }
    }

    #[test]
    fn used_memory_is_divided_among_its_holders() {
        let listed = [
            process(Some("shardfit"), Reading::Known(Bytes::gib(8))),
            process(Some("python"), Reading::Known(Bytes::gib(4))),
            process(None, Reading::Known(Bytes::gib(1))),
        ];
        let split = MemoryUse::new(&memory(Reading::Known(Bytes::gib(1))), Reading::Known(&listed));
        assert_eq!(split.capacity, Bytes::gib(23));
        assert_eq!(split.own, Reading::Known(Bytes::gib(8)));
        assert_eq!(split.others, Reading::Known(Bytes::gib(6)));
        assert_eq!(split.unseen(), Some(Bytes::gib(1)));
    }

    #[test]
    fn what_is_not_told_stays_unknown() {
        let denied = MemoryUse::new(&memory(Reading::Known(Bytes::gib(1))), Reading::Denied);
        assert_eq!((denied.own, denied.others, denied.unlisted), (Reading::Denied, Reading::Denied, Reading::Denied));

        // WSL lists processes without sizes: whether one of them is ours does not help then.
        let listed = [process(Some("python"), Reading::Unsupported)];
        let sizeless = MemoryUse::new(&memory(Reading::Known(Bytes::gib(1))), Reading::Known(&listed));
        assert_eq!((sizeless.own, sizeless.unlisted), (Reading::Known(Bytes::ZERO), Reading::Unsupported));

        // The v1 call counts the driver's part as used, so nothing can be called unseen.
        let old = MemoryUse::new(&memory(Reading::Unsupported), Reading::Known(&[]));
        assert_eq!((old.capacity, old.unseen()), (Bytes::gib(24), None));
    }

    #[test]
    fn a_list_newer_than_the_total_never_makes_others_negative() {
        let listed = [process(Some("shardfit"), Reading::Known(Bytes::gib(15)))];
        let split = MemoryUse::new(&memory(Reading::Known(Bytes::gib(1))), Reading::Known(&listed));
        assert_eq!(split.own, Reading::Known(Bytes::gib(14)));
        assert_eq!(split.others, Reading::Known(Bytes::ZERO));
    }
}
