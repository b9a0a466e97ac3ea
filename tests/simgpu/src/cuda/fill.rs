//! Setting device memory to a value. Never waits on the host, not even in the forms without a stream.

use std::ffi::{c_uchar, c_uint};

use super::errors::Code;
use super::queue::Work;
use super::rectangle::{Fill, extent};
use super::{Handle, code, in_context};
use crate::driver::Driver;

impl Driver {
    fn submit_fill(&mut self, context: Handle, stream: Handle, fill: Fill) -> Result<(), Code> {
        let stream = self.stream(context, stream)?;
        if fill.width == 0 || fill.height == 0 {
            return Ok(());
        }
        let length = extent(fill.width, fill.height, fill.pitch)?;
        let found = self.locate(fill.address, length).and_then(|(base, _)| self.cuda.allocations.get(&base));
        if found.is_none_or(|allocation| allocation.context != context) {
            return Err(self.misuse(Code::INVALID_VALUE));
        }
        self.submit(stream, Work::Fill(fill));
        Ok(())
    }
}

fn set(name: &str, stream: Handle, fill: Fill) -> c_uint {
    code(in_context(name, |driver, context| driver.submit_fill(context, stream, fill)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(address: u64, byte: c_uchar, count: usize) -> c_uint {
    set("cuMemsetD8", 0, Fill { address, pitch: count, width: count, height: 1, byte })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(address: u64, byte: c_uchar, count: usize, stream: Handle) -> c_uint {
    set("cuMemsetD8Async", stream, Fill { address, pitch: count, width: count, height: 1, byte })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD2D8_v2(address: u64, pitch: usize, byte: c_uchar, width: usize, height: usize) -> c_uint {
    set("cuMemsetD2D8", 0, Fill { address, pitch, width, height, byte })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD2D8Async(
    address: u64,
    pitch: usize,
    byte: c_uchar,
    width: usize,
    height: usize,
    stream: Handle,
) -> c_uint {
    set("cuMemsetD2D8Async", stream, Fill { address, pitch, width, height, byte })
}
