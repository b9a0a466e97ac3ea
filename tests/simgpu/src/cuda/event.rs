//! Events: places in a stream that others can wait for.

use std::ffi::c_uint;

use super::errors::Code;
use super::queue::Work;
use super::{Handle, call, code, in_context, put};

/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: c_uint = 2;

/// One event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) context: Handle,
    timed: bool,
    /// Stream and place of the last recording.
    recorded: Option<(Handle, u64)>,
    /// The stream's clock when that recording was reached.
    reached: Option<u64>,
}

impl Event {
    pub(super) fn recorded(&self) -> Option<(Handle, u64)> {
        self.recorded
    }

    /// The stream came to a recording; only the last one counts.
    pub(super) fn reach(&mut self, stream: Handle, sequence: u64, clock: u64) {
        if self.recorded == Some((stream, sequence)) {
            self.reached = Some(clock);
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: c_uint) -> c_uint {
    let answer = in_context("cuEventCreate", |driver, context| {
        if flags & !7 != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let handle = driver.cuda.new_handle();
        let timed = flags & DISABLE_TIMING == 0;
        driver.cuda.events.insert(handle, Event { context, timed, recorded: None, reached: None });
        driver.ledger.count(|counters| counters.events += 1);
        Ok(handle)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(event, answer) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> c_uint {
    code(call("cuEventDestroy", |driver| {
        if driver.cuda.events.remove(&event).is_none() {
            return Err(driver.misuse(Code::INVALID_HANDLE));
        }
        driver.ledger.count(|counters| counters.events -= 1);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> c_uint {
    code(in_context("cuEventRecord", |driver, context| {
        let stream = driver.stream(context, stream)?;
        // Event and stream must be of one context.
        if driver.cuda.events.get(&event).is_none_or(|event| event.context != context) {
            return Err(driver.misuse(Code::INVALID_HANDLE));
        }
        let sequence = driver.submit(stream, Work::Record(event));
        if let Some(event) = driver.cuda.events.get_mut(&event) {
            event.recorded = Some((stream, sequence));
            event.reached = None;
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> c_uint {
    code(call("cuEventSynchronize", |driver| {
        let Some(found) = driver.cuda.events.get(&event) else { return Err(driver.misuse(Code::INVALID_HANDLE)) };
        let context = found.context;
        if let Some((stream, sequence)) = found.recorded {
            driver.run_until(stream, sequence);
        }
        driver.sound(context)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> c_uint {
    code(call("cuEventQuery", |driver| {
        let Some(found) = driver.cuda.events.get(&event) else { return Err(driver.misuse(Code::INVALID_HANDLE)) };
        let context = found.context;
        let Some((stream, sequence)) = found.recorded else { return driver.sound(context) };
        if driver.is_pending(stream, sequence) {
            // Each question finds one more piece of work done.
            driver.run_one(stream);
        }
        driver.sound(context)?;
        if driver.is_pending(stream, sequence) { Err(Code::NOT_READY) } else { Ok(()) }
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) -> c_uint {
    let answer = call("cuEventElapsedTime", |driver| {
        let reached = |handle: Handle| {
            let event = driver.cuda.events.get(&handle).filter(|event| event.timed && event.recorded.is_some());
            event.ok_or(Code::INVALID_HANDLE)?.reached.ok_or(Code::NOT_READY)
        };
        let (start, end) = (reached(start)?, reached(end)?);
        #[allow(clippy::cast_precision_loss, reason = "CUDA gives half a microsecond's precision")]
        let nanoseconds = end as f32 - start as f32;
        Ok(nanoseconds / 1e6)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(milliseconds, answer) }))
}
