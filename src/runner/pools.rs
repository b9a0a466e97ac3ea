//! Cards whose memory is the host's: the driver does not tell how much of it is in use, only what its processes hold.

use std::time::Duration;

use crate::hardware::{Reading, Snapshot};
use crate::units::Bytes;

/// What was seen of a card without memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTrace {
    /// NVML index.
    pub card: u32,
    /// Product name, by which its size is known.
    pub name: String,
    /// Most that all listed processes held at once, and when.
    pub most_held: (Bytes, Duration),
    /// Least that the host had available, and when; `None` where it does not tell.
    pub least_available: Option<(Bytes, Duration)>,
    /// The host's memory.
    pub host_total: Option<Bytes>,
}

/// Takes a snapshot in, and what the host had in all and available then.
pub fn absorb(pools: &mut Vec<PoolTrace>, at: Duration, snapshot: &Snapshot, host: Option<(Bytes, Bytes)>) {
    for card in &snapshot.cards {
        let (Reading::Unsupported, Reading::Known(name), Reading::Known(processes)) =
            (&card.memory, &card.name, &card.processes)
        else {
            continue;
        };
        let held: Bytes = processes.iter().filter_map(|process| process.used.known()).sum();
        let available = host.map(|(_, available)| (available, at));
        match pools.iter_mut().find(|pool| pool.card == card.index) {
            None => pools.push(PoolTrace {
                card: card.index,
                name: name.clone(),
                most_held: (held, at),
                least_available: available,
                host_total: host.map(|(total, _)| total),
            }),
            Some(pool) => {
                if held > pool.most_held.0 {
                    pool.most_held = (held, at);
                }
                pool.least_available = match (pool.least_available, available) {
                    (Some(least), Some(now)) => Some(if now.0 < least.0 { now } else { least }),
                    (least, now) => least.or(now),
                };
            }
        }
    }
}
