//! Memories of a machine: one for each card, then one for each MIG instance, card by card.

use crate::machine::{Card, Machine, Mig, MigInstance, OtherProcess};

/// One memory: a card's, or that of a MIG instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Index of the card.
    pub(crate) card: usize,
    /// Index among the card's MIG devices.
    pub(crate) instance: Option<usize>,
}

/// All memories of a machine; the position is what the ledger counts by.
pub(crate) fn list(machine: &Machine) -> Vec<Unit> {
    let cards = (0..machine.cards.len()).map(|card| Unit { card, instance: None });
    let instances =
        machine.cards.iter().enumerate().flat_map(|(card, described)| {
            (0..instances(described).len()).map(move |at| Unit { card, instance: Some(at) })
        });
    cards.chain(instances).collect()
}

/// How many memories there are.
pub(crate) fn count(machine: &Machine) -> usize {
    list(machine).len()
}

/// The instances of a card; none when it is whole.
pub(crate) fn instances(card: &Card) -> &[MigInstance] {
    match &card.mig {
        Mig::Enabled(instances) => instances,
        Mig::Unsupported | Mig::Disabled => &[],
    }
}

/// What a card or an instance of it offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory<'a> {
    /// NVML total, bytes.
    pub(crate) total: u64,
    /// Held by driver and firmware, bytes.
    pub(crate) reserved: u64,
    /// Cost of a context, bytes.
    pub(crate) context: u64,
    /// Streaming multiprocessors.
    pub(crate) multiprocessors: u32,
    /// Processes of other people.
    pub(crate) processes: &'a [OtherProcess],
    /// Bytes in use that no list shows.
    pub(crate) hidden: u64,
}

impl Memory<'_> {
    /// Bytes that people outside the test hold.
    pub(crate) fn others(&self) -> u64 {
        self.processes.iter().filter_map(|p| p.bytes).sum::<u64>().saturating_add(self.hidden)
    }

    /// What CUDA calls the total.
    pub(crate) fn cuda_total(&self) -> u64 {
        self.total.saturating_sub(self.reserved)
    }
}

impl Unit {
    /// The card it is, or is cut from.
    pub(crate) fn of(self, machine: &Machine) -> &Card {
        &machine.cards[self.card]
    }

    /// The instance it is.
    pub(crate) fn mig(self, machine: &Machine) -> Option<&MigInstance> {
        self.instance.map(|at| &instances(self.of(machine))[at])
    }

    /// What it offers.
    pub(crate) fn memory(self, machine: &Machine) -> Memory<'_> {
        let card = self.of(machine);
        match self.mig(machine) {
            Some(slice) => Memory {
                total: slice.nvml_total,
                reserved: slice.reserved,
                context: slice.context_bytes,
                multiprocessors: slice.multiprocessors,
                processes: &slice.processes,
                hidden: 0,
            },
            None => Memory {
                total: card.nvml_total,
                reserved: card.reserved,
                context: card.context_bytes,
                multiprocessors: card.multiprocessors,
                processes: &card.processes,
                hidden: card.hidden_bytes,
            },
        }
    }

    /// `GPU-…` or `MIG-…`.
    pub(crate) fn uuid(self, machine: &Machine) -> &str {
        self.mig(machine).map_or(&self.of(machine).uuid, |slice| &slice.uuid)
    }

    /// Product name; an instance adds its profile.
    pub(crate) fn name(self, machine: &Machine) -> String {
        let name = &self.of(machine).name;
        self.mig(machine).map_or_else(|| name.clone(), |slice| format!("{name} MIG {}", slice.profile))
    }
}
