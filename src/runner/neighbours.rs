//! Who else held memory on the cards while the command ran, and how that changed.

use std::time::Duration;

use super::Family;
use crate::hardware::{ProcessState, Reading, Snapshot};
use crate::monitor::{CardId, usages};
use crate::units::Bytes;

/// One process that is not the command's, or all that the driver does not list, on one card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Where.
    pub card: CardId,
    /// Process id; `None` stands for memory in use that no listed process accounts for, as that of other containers.
    pub pid: Option<u32>,
    /// Short name, where visible.
    pub name: Option<String>,
    /// Its user, where visible.
    pub user: Option<String>,
    /// Whether it is an engine's worker whose engine is gone.
    pub is_orphan: bool,
    /// Whether it was there at the first sample.
    pub was_there: bool,
    /// When it held how much: at first sight, and then at each change of note. Zero once it is gone.
    pub held: Vec<(Duration, Bytes)>,
    /// What the last sample said; taken for true when the next one confirms it.
    latest: Bytes,
}

impl Neighbour {
    /// Changes below this are the bookkeeping of allocators.
    const NOTE: Bytes = Bytes::mib(64);
    /// Changes kept of one neighbour.
    const KEPT: usize = 256;

    /// What it held at first sight.
    #[must_use]
    pub fn first(&self) -> Bytes {
        self.held.first().map_or(Bytes::ZERO, |(_, bytes)| *bytes)
    }

    /// What it held last.
    #[must_use]
    pub fn last(&self) -> Bytes {
        self.held.last().map_or(Bytes::ZERO, |(_, bytes)| *bytes)
    }

    /// Takes in a reading. What the driver does not list is the difference of two calls, which a process that grows between them distorts
    /// for one sample: there the smaller of two in a row counts.
    fn holds(&mut self, at: Duration, bytes: Bytes) {
        let steady = if self.pid.is_none() { bytes.min(self.latest) } else { bytes };
        self.latest = bytes;
        let is_of_note =
            self.last().0.abs_diff(steady.0) >= Self::NOTE.0 || (steady == Bytes::ZERO && self.last() > steady);
        if is_of_note && self.held.len() < Self::KEPT {
            self.held.push((at, steady));
        }
    }
}

/// The neighbours of a command.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    all: Vec<Neighbour>,
    has_begun: bool,
}

impl Neighbours {
    /// Neighbours followed; a machine where more come and go has none to blame.
    const MOST: usize = 1024;

    /// All that were seen.
    #[must_use]
    pub fn into_list(self) -> Vec<Neighbour> {
        self.all
    }

    /// Takes a snapshot in.
    pub fn absorb(&mut self, at: Duration, snapshot: &Snapshot, family: &mut Family) {
        let (mut seen, mut answering) = (Vec::new(), Vec::new());
        for usage in usages(snapshot).into_iter().filter(|usage| !usage.lost) {
            let Reading::Known(processes) = &usage.processes else { continue };
            answering.push(usage.id);
            for process in processes.iter().filter(|process| !family.contains(process.pid)) {
                if let Reading::Known(bytes) = process.used {
                    seen.push((usage.id, Some(process.pid)));
                    self.note(at, usage.id, Some(process), bytes);
                }
            }
            if let Reading::Known(memory) = usage.memory
                && let Reading::Known(bytes) = memory.unlisted
            {
                seen.push((usage.id, None));
                self.note(at, usage.id, None, bytes);
            }
        }
        // Of a card that does not answer nothing is said, and of one that does, who is not listed is gone.
        for neighbour in &mut self.all {
            if !seen.contains(&(neighbour.card, neighbour.pid)) && answering.contains(&neighbour.card) {
                neighbour.holds(at, Bytes::ZERO);
            }
        }
        self.has_begun = true;
    }

    fn note(&mut self, at: Duration, card: CardId, process: Option<&ProcessState>, bytes: Bytes) {
        let pid = process.map(|process| process.pid);
        let is_room = self.all.len() < Self::MOST;
        match self.all.iter_mut().find(|neighbour| (neighbour.card, neighbour.pid) == (card, pid)) {
            Some(known) => {
                known.is_orphan |= process.is_some_and(|process| process.orphan);
                known.holds(at, bytes);
            }
            None if is_room => self.all.push(Neighbour {
                card,
                pid,
                name: process.and_then(|process| process.name.clone()),
                user: process.and_then(|process| process.user.clone()),
                is_orphan: process.is_some_and(|process| process.orphan),
                was_there: !self.has_begun,
                held: vec![(at, bytes)],
                latest: bytes,
            }),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{CardState, MemoryState};

    impl Neighbour {
        /// One with a history, for the tests of those who read it.
        pub fn seen(card: CardId, pid: u32, name: &str, was_there: bool, held: Vec<(Duration, Bytes)>) -> Self {
            let latest = held.last().map_or(Bytes::ZERO, |(_, bytes)| *bytes);
            let name = Some(name.to_owned());
            Self { card, pid: Some(pid), name, user: None, is_orphan: false, was_there, held, latest }
        }
    }

    fn snapshot(used: u64, processes: &[(u32, u64)]) -> Snapshot {
        let mut card = CardState::unreadable(0, Reading::Unsupported);
        card.memory = Reading::Known(MemoryState {
            total: Bytes::gib(24),
            reserved: Reading::Known(Bytes::ZERO),
            used: Bytes::gib(used),
            free: Bytes::gib(24 - used),
        });
        let process = |(pid, gib): &(u32, u64)| ProcessState {
            pid: *pid,
            used: Reading::Known(Bytes::gib(*gib)),
            name: None,
            command: None,
            user: None,
            orphan: false,
            gpu_instance: None,
        };
        card.processes = Reading::Known(processes.iter().map(process).collect());
        let (driver_version, cuda_version) = (Reading::Denied, Reading::Denied);
        Snapshot { driver_version, cuda_version, cards: vec![card], peers: Vec::new() }
    }

    /// Samples a second apart; process 1 of no machine leads the command.
    fn follow(samples: &[Snapshot]) -> Vec<(Option<u32>, bool, Vec<u64>)> {
        let mut neighbours = Neighbours::default();
        let mut family = Family::new(u32::MAX);
        for (second, snapshot) in (0..).zip(samples) {
            neighbours.absorb(Duration::from_secs(second), snapshot, &mut family);
        }
        let gib = |held: Vec<(Duration, Bytes)>| held.into_iter().map(|(_, bytes)| bytes.0 >> 30).collect();
        neighbours.into_list().into_iter().map(|one| (one.pid, one.was_there, gib(one.held))).collect()
    }

    #[test]
    fn changes_are_kept_and_ends_too() {
        let samples =
            [snapshot(4, &[(7, 4)]), snapshot(4, &[(7, 4)]), snapshot(9, &[(7, 6), (8, 3)]), snapshot(3, &[(8, 3)])];
        let listed: Vec<_> = follow(&samples).into_iter().filter(|(pid, ..)| pid.is_some()).collect();
        assert_eq!(listed, [(Some(7), true, vec![4, 6, 0]), (Some(8), false, vec![3])]);
    }

    #[test]
    fn what_is_not_listed_must_stay_to_count() {
        let growing = [snapshot(4, &[(7, 4)]), snapshot(9, &[(7, 4)]), snapshot(9, &[(7, 9)])];
        assert_eq!(follow(&growing)[1], (None, true, vec![0]));
        let hidden = [snapshot(4, &[(7, 4)]), snapshot(9, &[(7, 4)]), snapshot(9, &[(7, 4)])];
        assert_eq!(follow(&hidden)[1], (None, true, vec![0, 5]));
    }
}
