//! Readings that change, so that a monitor has something to do.

use super::{Card, MIB, Machine, Utilization};

impl Machine {
    /// The readings as they are in a second: some noise around what is described, the same for every process that asks.
    pub(crate) fn wander_to(&mut self, described: &Self, second: u64) {
        for (at, (card, as_described)) in self.cards.iter_mut().zip(&described.cards).enumerate() {
            wander(card, as_described, noise(second, at as u64));
        }
    }
}

fn wander(card: &mut Card, described: &Card, noise: u64) {
    let upto = |most: u64| noise % most;
    let small = |most: u64| u32::try_from(upto(most)).unwrap_or(0);
    card.temperature = described.temperature.map(|celsius| celsius + small(9));
    card.power_usage = described.power_usage.map(|milliwatts| milliwatts + small(90_001));
    card.utilization = described.utilization.map(|_| Utilization { gpu: small(101), memory: small(61) });
    if let (Some(clocks), Some(as_described)) = (&mut card.clocks, described.clocks) {
        clocks.sm = as_described.sm.saturating_sub(15 * small(5));
    }
    // Allocators take and give memory in blocks of 2 MiB; one process in eight does so in a second.
    for (at, (process, as_described)) in card.processes.iter_mut().zip(&described.processes).enumerate() {
        if at as u64 % 8 == upto(8) {
            process.bytes = as_described.bytes.map(|bytes| bytes + upto(64) * 2 * MIB);
        }
    }
}

/// Numbers that look random and are the same each time (the finaliser of SplitMix64).
fn noise(second: u64, card: u64) -> u64 {
    let mut word = second.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(card.wrapping_mul(0xBF58_476D_1CE4_E5B9));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (word ^ (word >> 31)) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_wander_and_memory_with_them() {
        let described = Machine::new().cards(2, Card::h100_80gb().process(1, 900 * MIB).process(2, 900 * MIB));
        let mut machine = described.clone();
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..60 {
            machine.wander_to(&described, second);
            seen.insert((machine.cards[0].power_usage, machine.cards[0].processes[1].bytes));
            assert_ne!(machine.cards[0].power_usage, machine.cards[1].power_usage);
            assert!(machine.cards[0].processes.iter().all(|process| process.bytes >= Some(900 * MIB)));
        }
        assert!(seen.len() > 50);
    }
}
