//! Streams as callers see them.

use std::ffi::{c_int, c_uint};

use super::errors::Code;
use super::queue::{Stream, Work};
use super::{Handle, call, code, current, in_context, put};
use crate::driver::Driver;

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;

impl Driver {
    /// The stream behind a handle, wherever it belongs; null is the default stream of the thread's context.
    fn any_stream(&mut self, context: Option<Handle>, handle: Handle) -> Result<(Handle, Handle), Code> {
        if handle <= 2 {
            let context = context.ok_or(Code::INVALID_CONTEXT)?;
            return Ok((context, self.stream(context, handle)?));
        }
        match self.cuda.streams.get(&handle) {
            Some(stream) => Ok((stream.context, handle)),
            None => Err(self.misuse(Code::INVALID_HANDLE)),
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, flags: c_uint) -> c_uint {
    let answer = in_context("cuStreamCreate", |driver, context| {
        if flags & !NON_BLOCKING != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let handle = driver.cuda.new_handle();
        driver.cuda.streams.insert(handle, Stream::new(context, flags & NON_BLOCKING == 0));
        driver.ledger.count(|counters| counters.streams += 1);
        Ok(handle)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(stream, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(stream: *mut Handle, flags: c_uint, _priority: c_int) -> c_uint {
    // SAFETY: the same contract.
    unsafe { cuStreamCreate(stream, flags) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> c_uint {
    code(call("cuStreamDestroy", |driver| {
        if stream <= 2 || !driver.cuda.streams.contains_key(&stream) {
            return Err(driver.misuse(Code::INVALID_HANDLE));
        }
        // What was submitted is still done, as the driver does behind the caller's back.
        driver.run_all(stream);
        driver.cuda.streams.remove(&stream);
        driver.ledger.count(|counters| counters.streams -= 1);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> c_uint {
    let context = current::get();
    code(call("cuStreamSynchronize", |driver| {
        let (context, stream) = driver.any_stream(context, stream)?;
        driver.run_all(stream);
        driver.sound(context)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: Handle) -> c_uint {
    let context = current::get();
    code(call("cuStreamQuery", |driver| {
        let (context, stream) = driver.any_stream(context, stream)?;
        // Each question finds one more piece of work done.
        driver.run_one(stream);
        driver.sound(context)?;
        let idle = driver.cuda.streams.get(&stream).is_none_or(Stream::is_idle);
        if idle { Ok(()) } else { Err(Code::NOT_READY) }
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) -> c_uint {
    let context = current::get();
    code(call("cuStreamWaitEvent", |driver| {
        let (context, stream) = driver.any_stream(context, stream)?;
        driver.sound(context)?;
        let Some(found) = driver.cuda.events.get(&event) else { return Err(driver.misuse(Code::INVALID_HANDLE)) };
        if let Some((other, sequence)) = found.recorded()
            && driver.is_pending(other, sequence)
        {
            driver.submit(stream, Work::Wait { stream: other, sequence });
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(_stream: Handle, status: *mut c_uint) -> c_uint {
    // SAFETY: CUDA asks for a pointer that may be written.
    code(call("cuStreamIsCapturing", |_| Ok(0)).and_then(|answer| unsafe { put(status, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetCtx(stream: Handle, context: *mut Handle) -> c_uint {
    let thread = current::get();
    let answer = call("cuStreamGetCtx", |driver| Ok(driver.any_stream(thread, stream)?.0));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(context, answer) }))
}
