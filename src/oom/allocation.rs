//! The numbers of an allocator's message, and what follows from them.

use super::Event;
use crate::units::Bytes;

/// A block that could not be had. What the message does not state is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocation {
    /// The block asked for, as the allocator rounds it.
    pub requested: Option<Bytes>,
    /// The device's total.
    pub total: Option<Bytes>,
    /// Free by the driver, over all processes.
    pub free: Option<Bytes>,
    /// Live tensors of the process.
    pub allocated: Option<Bytes>,
    /// Cached by its allocator and in no tensor.
    pub unallocated: Option<Bytes>,
    /// All that the process holds, context and libraries included.
    pub process: Option<Bytes>,
    /// What each other process holds.
    pub others: Vec<Bytes>,
    /// A cap that the process set for itself.
    pub allowed: Option<Bytes>,
    /// Memory of captured graphs.
    pub private_pools: Option<Bytes>,
}

/// What a process holds beside its allocator: context, communicators, libraries. Seldom more.
const BESIDE_ALLOCATOR: Bytes = Bytes::gib(3);

impl Allocation {
    /// Reads the numbers of a message.
    #[must_use]
    pub fn read(event: &Event) -> Self {
        let bytes = |name: &str| event.bytes(name);
        let allocated = bytes("allocated_gib");
        let unallocated = bytes("reserved_unallocated_mib")
            .or_else(|| Some(bytes("reserved_gib")?.saturating_sub(allocated?)))
            .or_else(|| bytes("cached_mib"));
        let mut process = bytes("this_process_gib").filter(|b| *b > Bytes::ZERO);
        let mut others = listed(event);
        // In a container the own process is listed under a number that it does not know as its own.
        if let (None, Some(allocated)) = (process, allocated) {
            let held = allocated + unallocated.unwrap_or_default();
            let holds_it = |b: &Bytes| *b + Bytes::mib(64) >= held;
            let is_near = |b: &Bytes| holds_it(b) && b.saturating_sub(held) <= BESIDE_ALLOCATOR;
            // Engines with memory of their own (TensorRT, graphs, communicators) hold more beside the allocator; but then the card could
            // not hold all that is listed and this process as well.
            let is_listed = bytes("total_gib").is_some_and(|total| others.iter().sum::<Bytes>() + held > total);
            let least = || {
                let candidates = others.iter().enumerate().filter(|(_, b)| is_listed && holds_it(b));
                candidates.min_by_key(|(_, b)| **b).map(|(place, _)| place)
            };
            if let Some(place) = others.iter().position(is_near).or_else(least) {
                process = Some(others.remove(place));
            }
        }
        // Where the one that is listed and what is free make up the card, no room is left for another one that asks.
        if let (None, [one], Some(total), Some(free)) =
            (process, others.as_slice(), bytes("total_gib"), bytes("free_mib"))
            && *one + free + allocated.unwrap_or(BESIDE_ALLOCATOR) > total + Bytes::gib(1)
            && allocated.is_none_or(|allocated| allocated <= *one)
        {
            process = others.pop();
        }
        Self {
            requested: bytes("requested_mib").or_else(|| bytes("requested_bytes")),
            total: bytes("total_gib"),
            free: bytes("free_mib"),
            allocated,
            unallocated,
            process,
            others,
            allowed: bytes("allowed_gib"),
            private_pools: bytes("private_pools_mib"),
        }
    }

    /// What this process's allocator holds: tensors and cache.
    #[must_use]
    pub fn reserved(&self) -> Option<Bytes> {
        Some(self.allocated? + self.unallocated.unwrap_or_default())
    }

    /// What the other processes hold: as listed, else what no figure of this process accounts for.
    #[must_use]
    pub fn held_by_others(&self) -> Option<Bytes> {
        if !self.others.is_empty() {
            return Some(self.others.iter().sum());
        }
        // Without the cache's size it could be what fills the card.
        let own = self.process.or_else(|| Some(self.allocated? + self.unallocated?))?;
        Some(self.total?.saturating_sub(self.free?).saturating_sub(own))
    }

    /// What the process holds beside its allocator.
    #[must_use]
    pub fn beside_allocator(&self) -> Option<Bytes> {
        Some(self.process?.saturating_sub(self.reserved()?))
    }

    /// Whether less was free than asked for, so that the card is what ran out.
    #[must_use]
    pub fn is_short(&self) -> Option<bool> {
        Some(self.free? < self.requested?)
    }

    /// Whether free memory and cache together would have held the block, and neither alone.
    #[must_use]
    pub fn fits_in_pieces(&self) -> Option<bool> {
        let (free, unallocated, requested) = (self.free?, self.unallocated?, self.requested?);
        Some(free < requested && free + unallocated >= requested)
    }

    /// The request as a share of the card.
    #[must_use]
    pub fn share_requested(&self) -> Option<f64> {
        Some(self.requested?.0 as f64 / self.total.filter(|t| t.0 > 0)?.0 as f64)
    }
}

fn listed(event: &Event) -> Vec<Bytes> {
    match event.fields.get("processes_gib") {
        Some(super::Value::Numbers(numbers)) => {
            numbers.iter().filter_map(|n| super::field::bytes("processes_gib", *n)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oom::{Patterns, Scanner};

    fn read(message: &str) -> Allocation {
        let patterns = Patterns::built_in().unwrap();
        let mut scanner = Scanner::new(&patterns);
        scanner.push(message.as_bytes());
        Allocation::read(&scanner.finish().list[0])
    }

    /// In a container the own process is listed under a number that is not its own.
    #[test]
    fn the_own_process_is_found_among_those_listed() {
        for (total, listed, allocated, own, others) in [
            // Context and libraries alone lie between.
            (79.15, &[78.63][..], 78.11, Some(78.63), &[][..]),
            // 16 and 22 GiB do not both fit a card of 22 GiB.
            (21.99, &[21.94], 15.75, Some(21.94), &[]),
            (79.32, &[9.89, 60.0], 12.0, Some(60.0), &[9.89]),
            // They do here, so nothing says that one is the other.
            (79.15, &[60.0], 12.0, None, &[60.0]),
        ] {
            let processes: String = listed.iter().map(|p| format!("Process 17 has {p} GiB memory in use. ")).collect();
            let allocation = read(&format!(
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of {total} GiB of \
                 which 39.00 MiB is free. {processes}Of the allocated memory {allocated} GiB is allocated by PyTorch, and 10.00 MiB is \
                 reserved by PyTorch but unallocated."
            ));
            assert_eq!(allocation.process, own.map(Bytes::from_gib), "{total} {listed:?}");
            assert_eq!(allocation.others, others.iter().map(|b| Bytes::from_gib(*b)).collect::<Vec<_>>());
        }
    }
}
