//! A CUDA context and the calls that tests make in it.

use std::ffi::c_void;

use cudarc::driver::{result, sys};

/// A card's primary context, current in this thread until it is dropped.
pub struct Session {
    device: sys::CUdevice,
}

impl Session {
    pub fn open(ordinal: i32) -> Self {
        result::init().unwrap();
        let device = result::device::get(ordinal).unwrap();
        // SAFETY: a device the driver gave; released in drop.
        let context = unsafe { result::primary_ctx::retain(device) }.unwrap();
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }.unwrap();
        Self { device }
    }

    pub fn alloc(&self, size: usize) -> u64 {
        // SAFETY: freed by the test or with the context.
        unsafe { result::malloc_sync(size) }.unwrap()
    }

    pub fn free(&self, address: u64) {
        // SAFETY: an address from `alloc`.
        unsafe { result::free_sync(address) }.unwrap();
    }

    pub fn stream(&self) -> sys::CUstream {
        result::stream::create(result::stream::StreamKind::NonBlocking).unwrap()
    }

    pub fn destroy(&self, stream: sys::CUstream) {
        // SAFETY: a stream from `stream`.
        unsafe { result::stream::destroy(stream) }.unwrap();
    }

    /// Pinned memory, freed by the test.
    pub fn pin(&self, size: usize) -> &'static mut [u8] {
        // SAFETY: the driver gives `size` zeroed bytes that live until `unpin`.
        unsafe {
            let block = result::malloc_host(size, sys::CU_MEMHOSTALLOC_PORTABLE).unwrap();
            std::slice::from_raw_parts_mut(block.cast::<u8>(), size)
        }
    }

    pub fn unpin(&self, block: &'static mut [u8]) {
        // SAFETY: a block from `pin`.
        unsafe { result::free_host(block.as_mut_ptr().cast::<c_void>()) }.unwrap();
    }

    pub fn put(&self, to: u64, bytes: &[u8]) -> Result<(), result::DriverError> {
        // SAFETY: the simulated driver checks the address.
        unsafe { result::memcpy_htod_sync(to, bytes) }
    }

    pub fn put_later(&self, to: u64, bytes: &[u8], stream: sys::CUstream) -> Result<(), result::DriverError> {
        // SAFETY: the simulated driver checks the address, and tests keep the bytes.
        unsafe { result::memcpy_htod_async(to, bytes, stream) }
    }

    pub fn get(&self, from: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        // SAFETY: the simulated driver checks the address.
        unsafe { result::memcpy_dtoh_sync(&mut bytes, from) }.unwrap();
        bytes
    }

    pub fn wait(&self, stream: sys::CUstream) -> Result<(), result::DriverError> {
        // SAFETY: a stream from `stream`.
        unsafe { result::stream::synchronize(stream) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: retained in `open`.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}
