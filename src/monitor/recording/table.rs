//! The processes of a card from sample to sample: who came, who went, whose memory changed.
//!
//! Both sides keep a table of slots. A process holds its slot while it is there, and a slot that becomes free is given to the next that
//! comes, so that a change names a slot and never moves the others.

use super::flat::{BYTES, ProcessNumbers};
use super::numbers::{Reader, put, put_signed};

/// The processes of one card, by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    slots: Vec<Option<ProcessNumbers>>,
}

/// What happened to a slot: the two low bits of its number in the file.
mod change {
    /// Its bytes: a scaled difference follows.
    pub const BYTES: u64 = 0;
    /// The process went.
    pub const GONE: u64 = 1;
    /// Another process, or the same with another name or owner: all its numbers follow.
    pub const OTHER: u64 = 2;
}

/// Most slots of a card.
const MOST: usize = 1 << 16;

/// What tells a process from the others of the card: its number and the GPU instance it runs on.
const fn key(process: &ProcessNumbers) -> (i64, i64) {
    (process[0], process[5])
}

impl Table {
    /// Takes in the processes of a sample and appends what changed.
    pub fn follow(&mut self, now: &[ProcessNumbers], out: &mut Vec<u8>) {
        // Processes are few and keep their order by number for most of the time: sorting both finds who is the same.
        let mut wanted: Vec<&ProcessNumbers> = now.iter().collect();
        wanted.sort_unstable_by_key(|process| key(process));
        let mut next: Vec<Option<&ProcessNumbers>> = vec![None; self.slots.len()];
        let mut came = Vec::new();
        let mut held: Vec<((i64, i64), usize)> =
            self.slots.iter().enumerate().filter_map(|(slot, held)| Some((key(held.as_ref()?), slot))).collect();
        held.sort_unstable();
        let mut held = held.into_iter().peekable();
        for process in wanted {
            while held.next_if(|(key_held, _)| *key_held < key(process)).is_some() {}
            match held.next_if(|(key_held, _)| *key_held == key(process)) {
                Some((_, slot)) => next[slot] = Some(process),
                None => came.push(process),
            }
        }
        let mut came = came.into_iter();
        let free = next.iter_mut().filter(|slot| slot.is_none());
        for (slot, process) in free.zip(came.by_ref()) {
            *slot = Some(process);
        }
        next.extend(came.map(Some));
        self.slots.resize(next.len(), None);

        let mut changes = Vec::new();
        let mut count = 0;
        let mut from = 0;
        for (slot, (before, now)) in self.slots.iter_mut().zip(next).enumerate() {
            if before.as_ref() == now {
                continue;
            }
            put_change(&mut changes, (slot - from) as u64, before.as_ref(), now);
            from = slot + 1;
            count += 1;
            *before = now.copied();
        }
        put(out, count);
        out.extend(changes);
        // Slots at the end that nobody holds are forgotten, here and by whoever reads.
        self.trim();
    }

    /// Reads what changed; `None` when it makes no sense.
    pub fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut slot = 0usize;
        for _ in 0..reader.take()? {
            let word = reader.take()?;
            slot = slot.checked_add(usize::try_from(word >> 2).ok()?).filter(|slot| *slot < MOST)?;
            if slot >= self.slots.len() {
                // A slot is new only directly behind the last, so that a wrong number reserves nothing.
                (slot == self.slots.len()).then_some(())?;
                self.slots.push(None);
            }
            let place = &mut self.slots[slot];
            match word & 3 {
                change::BYTES => {
                    let bytes = &mut place.as_mut()?[BYTES];
                    *bytes = bytes.wrapping_add(take_scaled(reader)?);
                }
                change::GONE => *place = None,
                change::OTHER => {
                    let mut process = ProcessNumbers::default();
                    for number in &mut process {
                        *number = reader.take_signed()?;
                    }
                    *place = Some(process);
                }
                _ => return None,
            }
            slot += 1;
        }
        self.trim();
        Some(())
    }

    /// The processes, in the order of their slots.
    pub fn processes(&self) -> impl Iterator<Item = &ProcessNumbers> {
        self.slots.iter().flatten()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    fn trim(&mut self) {
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
    }
}

fn put_change(out: &mut Vec<u8>, gap: u64, before: Option<&ProcessNumbers>, now: Option<&ProcessNumbers>) {
    let word = |change| gap << 2 | change;
    match (before, now) {
        (_, None) => put(out, word(change::GONE)),
        (Some(before), Some(now)) if before[..BYTES] == now[..BYTES] => {
            put(out, word(change::BYTES));
            put_scaled(out, now[BYTES].wrapping_sub(before[BYTES]));
        }
        (_, Some(now)) => {
            put(out, word(change::OTHER));
            now.iter().for_each(|number| put_signed(out, *number));
        }
    }
}

/// Binary places that drivers and allocators count memory in: bytes, KiB, 64 KiB, MiB.
const SCALES: [u32; 4] = [0, 10, 16, 20];

/// What stands before a difference that is too large for a unit.
const ESCAPE: u64 = 3;

/// Appends a difference of bytes in the largest unit that divides it.
pub(super) fn put_scaled(out: &mut Vec<u8>, difference: i64) {
    if difference == 0 {
        return put(out, 0);
    }
    let scale = (0..SCALES.len()).rev().find(|scale| difference.trailing_zeros() >= SCALES[*scale]).unwrap_or(0);
    let units = difference >> SCALES[scale];
    // In zigzag order, with the unit in the two low bits.
    let zigzag = ((units << 1) ^ (units >> 63)) as u64;
    match zigzag.checked_mul(4) {
        Some(word) => put(out, word | scale as u64),
        // Nothing that is counted gets here; the number still survives, behind what would be no MiB.
        None => {
            put(out, ESCAPE);
            put_signed(out, difference);
        }
    }
}

/// Reads what [`put_scaled`] wrote.
pub(super) fn take_scaled(reader: &mut Reader<'_>) -> Option<i64> {
    let word = reader.take()?;
    if word == ESCAPE {
        return reader.take_signed();
    }
    let zigzag = word >> 2;
    let units = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    Some(units.wrapping_shl(SCALES[(word & 3) as usize]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(pid: i64, bytes: i64) -> ProcessNumbers {
        [pid, 1, 2, 3, 0, -1, bytes]
    }

    proptest! {
        /// Whatever comes and goes, both sides hold the same.
        #[test]
        fn what_is_followed_is_read(samples in prop::collection::vec(prop::collection::btree_map(0i64..40, any::<i64>(), 0..20), 1..12)) {
            let (mut writer, mut reader) = (Table::default(), Table::default());
            for sample in samples {
                let now: Vec<_> = sample.into_iter().map(|(pid, bytes)| process(pid, bytes)).collect();
                let mut out = Vec::new();
                writer.follow(&now, &mut out);
                let mut bytes = Reader(&out);
                prop_assert_eq!(reader.read(&mut bytes), Some(()));
                prop_assert!(bytes.is_empty());
                prop_assert_eq!(&writer, &reader);
                let mut held: Vec<_> = reader.processes().copied().collect();
                held.sort_unstable();
                prop_assert_eq!(held, now);
            }
        }

        #[test]
        fn differences_survive(difference in any::<i64>(), shift in 0u32..40) {
            for difference in [difference, difference >> shift << shift, difference >> 24, 0] {
                let mut out = Vec::new();
                put_scaled(&mut out, difference);
                prop_assert_eq!(take_scaled(&mut Reader(&out)), Some(difference));
            }
        }

        #[test]
        fn any_bytes_can_be_read(bytes in any::<Vec<u8>>()) {
            let _ = Table::default().read(&mut Reader(&bytes));
        }
    }

    #[test]
    fn a_change_is_short() {
        let mut table = Table::default();
        let mut all: Vec<_> = (0..25).map(|pid| process(4000 + pid, 3 << 30)).collect();
        table.follow(&all, &mut Vec::new());
        let mut out = Vec::new();
        table.follow(&all, &mut out);
        assert_eq!(out, [0], "nothing changed");
        all[7][BYTES] += 20 << 20;
        out.clear();
        table.follow(&all, &mut out);
        assert_eq!(out.len(), 4, "a count, a place, and megabytes: {out:?}");
        // One ends and another begins: it takes the place.
        all[3] = process(9000, 1 << 30);
        out.clear();
        table.follow(&all, &mut out);
        assert!(out.len() < 20, "{out:?}");
        assert_eq!(table.slots.len(), 25);
    }

    #[test]
    fn one_process_on_two_instances_is_two() {
        let mut table = Table::default();
        let on = |instance, bytes| [7, 1, 2, 3, 0, instance, bytes];
        let mut out = Vec::new();
        table.follow(&[on(1, 10), on(2, 20)], &mut out);
        table.follow(&[on(2, 25), on(1, 10)], &mut out);
        let mut held: Vec<_> = table.processes().map(|process| (process[5], process[BYTES])).collect();
        held.sort_unstable();
        assert_eq!(held, [(1, 10), (2, 25)]);
    }
}
