//! Pinned host memory: blocks that the driver gives, and memory of the program's own that it registers.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{c_uint, c_void};

use super::errors::Code;
use super::{code, in_context, put};
use crate::driver::Driver;

const PAGE: usize = 4096;

/// One pinned block.
#[derive(Debug)]
pub(super) struct HostBlock {
    /// Tells this block from a later one at the same address.
    pub(super) id: u64,
    size: usize,
    flags: c_uint,
    /// How to give it back; `None` for memory of the program's own.
    layout: Option<Layout>,
}

impl Driver {
    /// The pinned block in which `length` bytes from `address` lie.
    pub(super) fn pinned(&self, address: usize, length: usize) -> Option<u64> {
        let (base, block) = self.cuda.host.range(..=address).next_back()?;
        ((address - base).checked_add(length)? <= block.size).then_some(block.id)
    }

    fn pin(&mut self, address: usize, size: usize, flags: c_uint, layout: Option<Layout>) {
        self.cuda.next_block += 1;
        self.cuda.host.insert(address, HostBlock { id: self.cuda.next_block, size, flags, layout });
        self.ledger.count(|counters| {
            counters.pinned_blocks += 1;
            counters.pinned_bytes += size as u64;
            counters.pinned_high_water = counters.pinned_high_water.max(counters.pinned_bytes);
        });
    }

    fn unpin(&mut self, address: usize) {
        let Some(block) = self.cuda.host.remove(&address) else { return };
        self.ledger.count(|counters| {
            counters.pinned_blocks -= 1;
            counters.pinned_bytes -= block.size as u64;
        });
        if let Some(layout) = block.layout {
            // SAFETY: allocated with this layout by `allocate_host`, and no longer in the table.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }

    fn has_room_to_pin(&self, size: usize) -> bool {
        let pinned = self.ledger.counters().pinned_bytes;
        self.machine.pinned_limit.is_none_or(|limit| pinned.saturating_add(size as u64) <= limit)
    }

    pub(super) fn allocate_host(&mut self, size: usize, flags: c_uint) -> Result<usize, Code> {
        // Portable, mapped and write-combined are all the flags there are.
        if size == 0 || flags & !7 != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let layout = Layout::from_size_align(size, PAGE).map_err(|_| Code::OUT_OF_MEMORY)?;
        if !self.has_room_to_pin(size) {
            return Err(Code::OUT_OF_MEMORY);
        }
        // SAFETY: the size is not zero.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            return Err(Code::OUT_OF_MEMORY);
        }
        self.pin(block as usize, size, flags, Some(layout));
        Ok(block as usize)
    }

    pub(super) fn free_host(&mut self, address: usize) -> Result<(), Code> {
        match self.cuda.host.get(&address) {
            Some(block) if block.layout.is_some() => {
                self.unpin(address);
                Ok(())
            }
            _ => Err(self.misuse(Code::INVALID_VALUE)),
        }
    }

    fn register(&mut self, address: usize, size: usize, flags: c_uint) -> Result<(), Code> {
        let end = address.checked_add(size).ok_or(Code::INVALID_VALUE)?;
        if address == 0 || size == 0 {
            return Err(Code::INVALID_VALUE);
        }
        let before = self.cuda.host.range(..end).next_back();
        if before.is_some_and(|(base, block)| base + block.size > address) {
            return Err(Code::ALREADY_REGISTERED);
        }
        if !self.has_room_to_pin(size) {
            return Err(Code::OUT_OF_MEMORY);
        }
        self.pin(address, size, flags, None);
        Ok(())
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(block: *mut *mut c_void, size: usize, flags: c_uint) -> c_uint {
    let answer = in_context("cuMemHostAlloc", |driver, _| driver.allocate_host(size, flags));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|address| unsafe { put(block, address as *mut c_void) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(block: *mut *mut c_void, size: usize) -> c_uint {
    let answer = in_context("cuMemAllocHost", |driver, _| driver.allocate_host(size, 0));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|address| unsafe { put(block, address as *mut c_void) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(block: *mut c_void) -> c_uint {
    // Also in a context that an error ended: what is given back is given back.
    code(super::call("cuMemFreeHost", |driver| driver.free_host(block as usize)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostRegister_v2(block: *mut c_void, size: usize, flags: c_uint) -> c_uint {
    code(in_context("cuMemHostRegister", |driver, _| driver.register(block as usize, size, flags)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostUnregister(block: *mut c_void) -> c_uint {
    code(super::call("cuMemHostUnregister", |driver| match driver.cuda.host.get(&(block as usize)) {
        Some(HostBlock { layout: None, .. }) => {
            driver.unpin(block as usize);
            Ok(())
        }
        _ => Err(driver.misuse(Code::NOT_REGISTERED)),
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostGetFlags(flags: *mut c_uint, block: *mut c_void) -> c_uint {
    let answer = in_context("cuMemHostGetFlags", |driver, _| {
        let id = driver.pinned(block as usize, 1).ok_or(Code::INVALID_VALUE)?;
        driver.cuda.host.values().find(|held| held.id == id).map(|held| held.flags).ok_or(Code::INVALID_VALUE)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(flags, answer) }))
}
