//! Device memory: who may have how much of it.

use std::ffi::c_uint;

use super::errors::Code;
use super::store::Store;
use super::{Handle, code, in_context, put};
use crate::driver::Driver;
use crate::ledger::UnitUse;
use crate::machine::Fault;

/// Device addresses start above what the processor can address, so that neither is ever taken for the other.
pub(super) const FIRST_ADDRESS: u64 = 1 << 49;
/// The driver takes card memory in pages of this size.
const PAGE: u64 = 2 << 20;
/// Allocations up to this size share pages.
const SMALL: u64 = 1 << 20;
/// What shared pages are cut into.
const GRAIN: u64 = 512;

/// One block of device memory.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) size: u64,
    pub(super) unit: usize,
    pub(super) context: Handle,
    pub(super) bytes: Store,
}

impl Driver {
    /// What this process would use of a card with the allocations at hand and `mine` for the rest.
    pub(super) fn holding(&self, unit: usize, mine: UnitUse) -> UnitUse {
        self.holding_with(unit, mine, None)
    }

    fn holding_with(&self, unit: usize, mine: UnitUse, more: Option<u64>) -> UnitUse {
        let sizes = self.cuda.allocations.values().filter(|a| a.unit == unit).map(|a| a.size).chain(more);
        let (mut pages, mut shared, mut count) = (0u64, 0u64, 0u64);
        for size in sizes {
            count += 1;
            if size > SMALL {
                pages = pages.saturating_add(size.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX));
            } else {
                shared += size.next_multiple_of(GRAIN);
            }
        }
        let held_bytes = pages.saturating_add(shared.next_multiple_of(PAGE));
        UnitUse { allocations: count, held_bytes, ..mine }
    }

    /// Moves the book to what this process now holds with `more` on top; `false` when the card is too full for that.
    fn claim_with(&mut self, unit: usize, more: Option<u64>) -> bool {
        let memory = self.memory(unit);
        let (total, others) = (memory.cuda_total(), memory.others());
        let wanted = self.holding_with(unit, *self.ledger.mine(unit), more);
        // Saturated sums must not come out as a demand that fits.
        wanted.held_bytes <= total && self.ledger.claim(unit, total, others, wanted)
    }

    pub(super) fn allocate(&mut self, context: Handle, size: u64) -> Result<u64, Code> {
        if size == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let unit = self.cuda.contexts.get(&context).ok_or(Code::INVALID_CONTEXT)?.unit;
        let card = self.units[unit].card;
        let calls = self.ledger.count_on(unit, |used| used.allocation_calls += 1).allocation_calls;
        let refused = self.planned(|fault| match fault {
            Fault::AllocationFails { card: on, nth } if *on == card && *nth == calls => Some(()),
            _ => None,
        });
        if refused.is_some() || !self.claim_with(unit, Some(size)) {
            return Err(Code::OUT_OF_MEMORY);
        }
        let address = self.cuda.next_address;
        // Addresses are never given twice, so that what was freed stays recognisable; a page lies between neighbours.
        self.cuda.next_address += size.next_multiple_of(PAGE) + PAGE;
        self.cuda.allocations.insert(address, Allocation { size, unit, context, bytes: Store::new() });
        Ok(address)
    }

    /// Frees a block once the work of its context is done, as the driver does.
    pub(super) fn free(&mut self, address: u64) -> Result<(), Code> {
        if address == 0 {
            return Ok(());
        }
        let Some(context) = self.cuda.allocations.get(&address).map(|allocation| allocation.context) else {
            return Err(self.misuse(Code::INVALID_VALUE));
        };
        self.finish(context);
        if let Some(allocation) = self.cuda.allocations.remove(&address) {
            self.claim_with(allocation.unit, None);
        }
        self.sound(context)
    }

    /// The block in which `length` bytes from `address` lie, with the offset of the first.
    pub(super) fn locate(&self, address: u64, length: u64) -> Option<(u64, u64)> {
        let (base, allocation) = self.cuda.allocations.range(..=address).next_back()?;
        let offset = address - base;
        (offset.checked_add(length)? <= allocation.size).then_some((*base, offset))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, size: usize) -> c_uint {
    let answer = in_context("cuMemAlloc", |driver, context| driver.allocate(context, size as u64));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(address, answer) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> c_uint {
    // Also in a context that an error ended: what is given back is given back.
    code(super::call("cuMemFree", |driver| driver.free(address)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_uint {
    let answer = in_context("cuMemGetInfo", |driver, context| {
        let unit = driver.cuda.contexts.get(&context).ok_or(Code::INVALID_CONTEXT)?.unit;
        let all = driver.memory(unit).cuda_total();
        let left = all.saturating_sub(driver.used(unit));
        let narrow = |bytes: u64| usize::try_from(bytes).map_err(|_| Code::INVALID_VALUE);
        Ok((narrow(left)?, narrow(all)?))
    });
    // SAFETY: CUDA asks for pointers that may be written.
    code(answer.and_then(|(left, all)| unsafe { put(free, left).and_then(|()| put(total, all)) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAddressRange_v2(base: *mut u64, size: *mut usize, address: u64) -> c_uint {
    let answer = in_context("cuMemGetAddressRange", |driver, _| {
        let (start, _) = driver.locate(address, 1).ok_or(Code::INVALID_VALUE)?;
        let length = driver.cuda.allocations.get(&start).map_or(0, |allocation| allocation.size);
        Ok((start, usize::try_from(length).map_err(|_| Code::INVALID_VALUE)?))
    });
    let answer = answer.and_then(|(start, length)| {
        // SAFETY: CUDA takes null for "do not tell", and otherwise asks for pointers that may be written.
        unsafe {
            if !base.is_null() {
                put(base, start)?;
            }
            if size.is_null() { Ok(()) } else { put(size, length) }
        }
    });
    code(answer)
}
