//! Copies: what a caller may ask for, and when it happens.

use std::ffi::{c_uint, c_void};
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::allocation::FIRST_ADDRESS;
use super::errors::Code;
use super::queue::Work;
use super::rectangle::{Copy, Place, Side, extent};
use super::{Handle, code, in_context};
use crate::driver::Driver;

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Debug, Clone, std::marker::Copy)]
pub struct Memcpy2D {
    src_x_in_bytes: usize,
    src_y: usize,
    src_memory_type: c_uint,
    src_host: *const c_void,
    src_device: u64,
    src_array: *mut c_void,
    src_pitch: usize,
    dst_x_in_bytes: usize,
    dst_y: usize,
    dst_memory_type: c_uint,
    dst_host: *mut c_void,
    dst_device: u64,
    dst_array: *mut c_void,
    dst_pitch: usize,
    width_in_bytes: usize,
    height: usize,
}

/// When a call comes back.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq)]
enum Return {
    /// Once the bytes are there.
    Done,
    /// At once.
    Submitted,
}

impl Driver {
    /// Submits a copy, having checked every address it touches. Pageable host memory makes it wait: the driver cannot leave such a
    /// copy for later.
    fn submit_copy(&mut self, context: Handle, stream: Handle, mut copy: Copy, comes_back: Return) -> Result<(), Code> {
        let stream = self.stream(context, stream)?;
        if copy.width == 0 || copy.height == 0 {
            return Ok(());
        }
        let mut pageable = false;
        let (width, height) = (copy.width, copy.height);
        for side in [&mut copy.from, &mut copy.to] {
            // One row has no use for a pitch.
            if height == 1 {
                side.pitch = width;
            }
            let length = extent(width, height, side.pitch)?;
            let checked = self.check(context, side, length);
            pageable |= checked.map_err(|code| self.misuse(code))?;
        }
        self.submit(stream, Work::Copy(copy));
        if pageable || comes_back == Return::Done {
            self.run_all(stream);
            return self.sound(context);
        }
        Ok(())
    }

    /// Whether one side of a copy may be touched; finds its pinned block, and tells whether it is pageable.
    fn check(&self, context: Handle, side: &mut Side, length: u64) -> Result<bool, Code> {
        match &mut side.place {
            Place::Device(address) => {
                let (base, _) = self.locate(*address, length).ok_or(Code::INVALID_VALUE)?;
                let owner = self.cuda.allocations.get(&base).map(|allocation| allocation.context);
                if owner == Some(context) { Ok(false) } else { Err(Code::INVALID_VALUE) }
            }
            Place::Host { address, block } => {
                let length = usize::try_from(length).map_err(|_| Code::INVALID_VALUE)?;
                *block = self.pinned(*address, length);
                if block.is_none() && !is_readable(*address, length) {
                    return Err(Code::INVALID_VALUE);
                }
                Ok(block.is_none())
            }
        }
    }
}

/// Whether the first and the last byte of a range are memory of this process. Asked of the kernel, so that a wild pointer is an error
/// and not the end of the test.
fn is_readable(address: usize, length: usize) -> bool {
    let Some(last) = address.checked_add(length.saturating_sub(1)) else { return false };
    if address == 0 || last as u64 >= FIRST_ADDRESS {
        return false;
    }
    let Ok(memory) = File::open("/proc/self/mem") else { return false };
    let mut byte = [0];
    [address, last].iter().all(|at| memory.read_at(&mut byte, *at as u64).is_ok_and(|read| read == 1))
}

fn line(name: &str, from: Side, to: Side, length: usize, stream: Handle, comes_back: Return) -> c_uint {
    code(in_context(name, |driver, context| {
        driver.submit_copy(context, stream, Copy::line(from, to, length), comes_back)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, length: usize) -> c_uint {
    line("cuMemcpyHtoD", Side::host(from as usize, length), Side::device(to, length), length, 0, Return::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, length: usize, stream: Handle) -> c_uint {
    let (from, to) = (Side::host(from as usize, length), Side::device(to, length));
    line("cuMemcpyHtoDAsync", from, to, length, stream, Return::Submitted)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, length: usize) -> c_uint {
    line("cuMemcpyDtoH", Side::device(from, length), Side::host(to as usize, length), length, 0, Return::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, length: usize, stream: Handle) -> c_uint {
    let (from, to) = (Side::device(from, length), Side::host(to as usize, length));
    line("cuMemcpyDtoHAsync", from, to, length, stream, Return::Submitted)
}

// Between device addresses nothing waits on the host, not even in the form without a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, length: usize) -> c_uint {
    line("cuMemcpyDtoD", Side::device(from, length), Side::device(to, length), length, 0, Return::Submitted)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, length: usize, stream: Handle) -> c_uint {
    let (from, to) = (Side::device(from, length), Side::device(to, length));
    line("cuMemcpyDtoDAsync", from, to, length, stream, Return::Submitted)
}

/// One side of a two-dimensional copy; 1 and 2 are host and device, 4 an address that tells by itself.
fn side(kind: c_uint, host: usize, device: u64, x: usize, y: usize, pitch: usize) -> Result<Side, Code> {
    let skipped = y.checked_mul(pitch).and_then(|rows| rows.checked_add(x)).ok_or(Code::INVALID_VALUE)?;
    match kind {
        1 if host != 0 => Ok(Side::host(host.checked_add(skipped).ok_or(Code::INVALID_VALUE)?, pitch)),
        2 => Ok(Side::device(device.checked_add(skipped as u64).ok_or(Code::INVALID_VALUE)?, pitch)),
        4 if device >= FIRST_ADDRESS => side(2, 0, device, x, y, pitch),
        4 => side(1, usize::try_from(device).map_err(|_| Code::INVALID_VALUE)?, 0, x, y, pitch),
        _ => Err(Code::INVALID_VALUE),
    }
}

/// # Safety
/// `request` is null or points to a request.
unsafe fn rectangle(name: &str, request: *const Memcpy2D, stream: Handle, comes_back: Return) -> c_uint {
    // SAFETY: the caller vouches for it, null excepted.
    let Some(request) = (unsafe { request.as_ref() }) else { return Code::INVALID_VALUE.0 };
    let r = *request;
    code(in_context(name, |driver, context| {
        // A pitch of zero means rows without gaps.
        let pitch = |given: usize| if given == 0 { r.width_in_bytes } else { given };
        let from =
            side(r.src_memory_type, r.src_host as usize, r.src_device, r.src_x_in_bytes, r.src_y, pitch(r.src_pitch))?;
        let to =
            side(r.dst_memory_type, r.dst_host as usize, r.dst_device, r.dst_x_in_bytes, r.dst_y, pitch(r.dst_pitch))?;
        let copy = Copy { from, to, width: r.width_in_bytes, height: r.height };
        driver.submit_copy(context, stream, copy, comes_back)
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2D_v2(request: *const Memcpy2D) -> c_uint {
    // SAFETY: CUDA asks for the same.
    unsafe { rectangle("cuMemcpy2D", request, 0, Return::Done) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DUnaligned_v2(request: *const Memcpy2D) -> c_uint {
    // SAFETY: CUDA asks for the same.
    unsafe { rectangle("cuMemcpy2DUnaligned", request, 0, Return::Done) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2DAsync_v2(request: *const Memcpy2D, stream: Handle) -> c_uint {
    // SAFETY: CUDA asks for the same.
    unsafe { rectangle("cuMemcpy2DAsync", request, stream, Return::Submitted) }
}
