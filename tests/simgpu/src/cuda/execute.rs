//! Doing a piece of work, with what is planned to go wrong while it is done.

use super::Handle;
use super::errors::Code;
use super::queue::Work;
use super::rectangle::{Copy, Fill, Place, extent};
use super::store::Store;
use crate::driver::Driver;
use crate::machine::Fault;

/// What starting any piece of work takes, nanoseconds.
const START: u64 = 5_000;
/// Device memory's rate, bytes per second; only event times depend on it.
const DEVICE_RATE: u64 = 500_000_000_000;

impl Driver {
    pub(super) fn execute(&mut self, context: Handle, stream: Handle, sequence: u64, work: Work) -> Result<(), Code> {
        match work {
            Work::Wait { .. } => Ok(()),
            Work::Record(event) => {
                let clock = self.cuda.streams.get(&stream).map_or(0, |stream| stream.clock);
                if let Some(event) = self.cuda.events.get_mut(&event) {
                    event.reach(stream, sequence, clock);
                }
                Ok(())
            }
            Work::Fill(fill) => {
                self.advance(stream, |clock| clock + START + took(fill.width as u64 * fill.height as u64, DEVICE_RATE));
                self.execute_fill(fill)
            }
            Work::Copy(copy) => {
                let unit = self.cuda.contexts.get(&context).ok_or(Code::CONTEXT_IS_DESTROYED)?.unit;
                self.strike(unit)?;
                let within = |side: Place| matches!(side, Place::Device(_));
                let link = self.units[unit].of(&self.machine).pcie;
                let rate = match (within(copy.from.place) && within(copy.to.place), link) {
                    (false, Some(link)) => link.bytes_per_second(),
                    (true, _) | (false, None) => DEVICE_RATE,
                };
                self.advance(stream, |clock| clock + START + took(copy.bytes(), rate));
                self.execute_copy(copy)?;
                let count = self.ledger.count_on(unit, |used| {
                    used.copies += 1;
                    used.copied_bytes += copy.bytes();
                });
                self.decay(unit, count.copies);
                Ok(())
            }
        }
    }

    /// Planned errors that a copy meets.
    fn strike(&mut self, unit: usize) -> Result<(), Code> {
        let card = self.units[unit].card;
        let before = self.ledger.mine(unit).copies;
        let falls = self.planned(|fault| match fault {
            Fault::CardLost { card: on, after_copies: Some(after), .. } if *on == card => Some(before >= *after),
            _ => None,
        });
        if falls == Some(true) {
            self.lose(unit);
        }
        if self.is_lost(unit) {
            return Err(Code::LAUNCH_FAILED);
        }
        let breaks = self.planned(|fault| match fault {
            Fault::EccError { card: on, after_copies } if *on == card && before >= *after_copies => Some(()),
            _ => None,
        });
        if breaks.is_some() {
            self.ledger.change_unit(card, |record| record.uncorrected_errors += 1);
            return Err(Code::ECC_UNCORRECTABLE);
        }
        Ok(())
    }

    /// Planned bit flips after a copy.
    fn decay(&mut self, unit: usize, copies: u64) {
        let card = self.units[unit].card;
        let flip = self.planned(|fault| match fault {
            Fault::FlipBit { card: on, after_copies, offset, bit } if *on == card && *after_copies == copies => {
                Some((*offset, *bit))
            }
            _ => None,
        });
        let Some((offset, bit)) = flip else { return };
        let on_card = self.cuda.allocations.values_mut().filter(|allocation| allocation.unit == unit);
        if let Some(largest) = on_card.max_by_key(|allocation| allocation.size)
            && offset < largest.size
        {
            largest.bytes.flip(offset, bit);
        }
    }

    fn execute_fill(&mut self, fill: Fill) -> Result<(), Code> {
        let length = extent(fill.width, fill.height, fill.pitch)?;
        let (base, offset) = self.locate(fill.address, length).ok_or(Code::ILLEGAL_ADDRESS)?;
        let allocation = self.cuda.allocations.get_mut(&base).ok_or(Code::ILLEGAL_ADDRESS)?;
        if fill.pitch == fill.width {
            allocation.bytes.fill(offset, length, fill.byte);
            return Ok(());
        }
        for row in 0..fill.height as u64 {
            allocation.bytes.fill(offset + row * fill.pitch as u64, fill.width as u64, fill.byte);
        }
        Ok(())
    }

    fn execute_copy(&mut self, copy: Copy) -> Result<(), Code> {
        for side in [copy.from, copy.to] {
            if let Place::Host { block: Some(block), .. } = side.place
                && !self.cuda.host.values().any(|held| held.id == block)
            {
                // Freed or unregistered while the copy still needed it.
                return Err(self.misuse(Code::ILLEGAL_ADDRESS));
            }
        }
        let rows = Rows::of(copy);
        match (copy.from.place, copy.to.place) {
            (Place::Host { address, .. }, Place::Device(device)) => {
                let (bytes, start) = self.touch(device, copy, copy.to.pitch)?;
                for (from, to) in rows.offsets() {
                    // SAFETY: readable when submitted, and since then pinned or waited for.
                    let source = unsafe { std::slice::from_raw_parts((address + from) as *const u8, rows.width) };
                    bytes.write(start + to as u64, source);
                }
            }
            (Place::Device(device), Place::Host { address, .. }) => {
                let (bytes, start) = self.touch(device, copy, copy.from.pitch)?;
                for (from, to) in rows.offsets() {
                    // SAFETY: the caller's to write when submitted, and since then pinned or waited for.
                    let target = unsafe { std::slice::from_raw_parts_mut((address + to) as *mut u8, rows.width) };
                    bytes.read(start + from as u64, target);
                }
            }
            (Place::Device(source), Place::Device(target)) => {
                let mut between = vec![0; rows.width];
                for (from, to) in rows.offsets() {
                    let (bytes, start) = self.touch(source, copy, copy.from.pitch)?;
                    bytes.read(start + from as u64, &mut between);
                    let (bytes, start) = self.touch(target, copy, copy.to.pitch)?;
                    bytes.write(start + to as u64, &between);
                }
            }
            (Place::Host { address: source, .. }, Place::Host { address: target, .. }) => {
                for (from, to) in rows.offsets() {
                    let (from, to) = ((source + from) as *const u8, (target + to) as *mut u8);
                    // SAFETY: as above, for both; this copy allows overlap.
                    unsafe { std::ptr::copy(from, to, rows.width) };
                }
            }
        }
        Ok(())
    }

    /// The memory behind one device side of a copy, and where in it that side starts.
    fn touch(&mut self, address: u64, copy: Copy, pitch: usize) -> Result<(&mut Store, u64), Code> {
        let length = extent(copy.width, copy.height, pitch)?;
        let (base, offset) = self.locate(address, length).ok_or(Code::ILLEGAL_ADDRESS)?;
        let allocation = self.cuda.allocations.get_mut(&base).ok_or(Code::ILLEGAL_ADDRESS)?;
        Ok((&mut allocation.bytes, offset))
    }
}

/// The rows of a copy; rows without gaps on both sides are one long row.
struct Rows {
    width: usize,
    height: usize,
    from_pitch: usize,
    to_pitch: usize,
}

impl Rows {
    fn of(copy: Copy) -> Self {
        let (from_pitch, to_pitch) = (copy.from.pitch, copy.to.pitch);
        if from_pitch == copy.width && to_pitch == copy.width {
            return Self { width: copy.width * copy.height, height: 1, from_pitch, to_pitch };
        }
        Self { width: copy.width, height: copy.height, from_pitch, to_pitch }
    }

    /// Where each row starts on either side.
    fn offsets(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.height).map(|row| (row * self.from_pitch, row * self.to_pitch))
    }
}

/// Nanoseconds for `bytes` at `rate` bytes per second.
fn took(bytes: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX / 2)
}
