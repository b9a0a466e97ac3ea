//! Contexts: what a process must have on a card before it can use it, and what that costs.

use std::ffi::{c_int, c_uint};

use super::errors::Code;
use super::queue::Stream;
use super::{Handle, call, code, current, in_context, put};
use crate::driver::Driver;
use crate::ledger::UnitUse;
use crate::machine::Fault;

/// One context.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) unit: usize,
    /// How often the primary context was retained; `None` for a context of its own.
    retained: Option<u32>,
    /// The stream behind the null handle.
    pub(super) default_stream: Handle,
    /// The stream behind the per-thread handle. One serves all threads.
    pub(super) thread_stream: Handle,
    /// The error that ended it: every later call gives it again.
    pub(super) error: Option<Code>,
}

impl Driver {
    /// Fails when the context is gone or an error ended it.
    pub(super) fn sound(&self, context: Handle) -> Result<(), Code> {
        match self.cuda.contexts.get(&context) {
            None => Err(Code::CONTEXT_IS_DESTROYED),
            Some(Context { error: Some(error), .. }) => Err(*error),
            Some(_) => Ok(()),
        }
    }

    fn primary(&self, unit: usize) -> Option<Handle> {
        let found = self.cuda.contexts.iter().find(|(_, context)| context.unit == unit && context.retained.is_some());
        found.map(|(handle, _)| *handle)
    }

    fn create(&mut self, unit: usize, primary: bool) -> Result<Handle, Code> {
        let card = self.units[unit].card;
        let planned = self.planned(|fault| match fault {
            Fault::ContextFails { card: on, code } if *on == card => Some(Code(*code)),
            _ => None,
        });
        if let Some(code) = planned {
            return Err(code);
        }
        if self.is_lost(unit) {
            return Err(Code::DEVICE_UNAVAILABLE);
        }
        let (cost, total, others) = {
            let memory = self.memory(unit);
            (memory.context, memory.cuda_total(), memory.others())
        };
        let mine = *self.ledger.mine(unit);
        let wanted = UnitUse { contexts: mine.contexts + 1, context_bytes: mine.context_bytes + cost, ..mine };
        if !self.ledger.claim(unit, total, others, wanted) {
            return Err(Code::OUT_OF_MEMORY);
        }
        let handle = self.cuda.new_handle();
        let default_stream = self.cuda.new_handle();
        let thread_stream = self.cuda.new_handle();
        self.cuda.streams.insert(default_stream, Stream::hidden(handle));
        self.cuda.streams.insert(thread_stream, Stream::hidden(handle));
        let retained = primary.then_some(1);
        self.cuda.contexts.insert(handle, Context { unit, retained, default_stream, thread_stream, error: None });
        Ok(handle)
    }

    /// Takes part in a card's primary context, creating it if need be.
    pub(super) fn retain(&mut self, unit: usize) -> Result<Handle, Code> {
        let Some(handle) = self.primary(unit) else { return self.create(unit, true) };
        if let Some(count) = self.cuda.contexts.get_mut(&handle).and_then(|context| context.retained.as_mut()) {
            *count += 1;
        }
        Ok(handle)
    }

    /// Leaves a card's primary context; the last one out destroys it.
    pub(super) fn release(&mut self, unit: usize) -> Result<(), Code> {
        let handle = self.primary(unit).ok_or(Code::INVALID_CONTEXT)?;
        let count = self.cuda.contexts.get_mut(&handle).and_then(|context| context.retained.as_mut());
        let Some(count) = count else { return Err(Code::INVALID_CONTEXT) };
        *count -= 1;
        if *count == 0 {
            self.destroy(handle);
        }
        Ok(())
    }

    /// Ends a context: its work is finished, then its memory, streams and events are gone.
    pub(super) fn destroy(&mut self, handle: Handle) {
        self.finish(handle);
        let Some(context) = self.cuda.contexts.remove(&handle) else { return };
        self.cuda.allocations.retain(|_, allocation| allocation.context != handle);
        let visible = |stream: &&Stream| stream.context == handle && !stream.hidden;
        let streams = self.cuda.streams.values().filter(visible).count() as u64;
        let events = self.cuda.events.values().filter(|event| event.context == handle).count() as u64;
        self.cuda.streams.retain(|_, stream| stream.context != handle);
        self.cuda.events.retain(|_, event| event.context != handle);
        self.ledger.count(|counters| {
            counters.streams -= streams;
            counters.events -= events;
        });
        let memory = self.memory(context.unit);
        let (cost, total, others) = (memory.context, memory.cuda_total(), memory.others());
        let mine = *self.ledger.mine(context.unit);
        let left = UnitUse {
            contexts: mine.contexts - 1,
            context_bytes: mine.context_bytes - cost,
            ..self.holding(context.unit, mine)
        };
        self.ledger.claim(context.unit, total, others, left);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int) -> c_uint {
    let answer = call("cuDevicePrimaryCtxRetain", |driver| {
        let unit = driver.device(device)?;
        driver.retain(unit)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(context, answer) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_uint {
    code(call("cuDevicePrimaryCtxRelease", |driver| {
        let unit = driver.device(device)?;
        driver.release(unit)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxReset_v2(device: c_int) -> c_uint {
    code(call("cuDevicePrimaryCtxReset", |driver| {
        let unit = driver.device(device)?;
        if let Some(handle) = driver.primary(unit) {
            driver.destroy(handle);
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxGetState(device: c_int, flags: *mut c_uint, active: *mut c_int) -> c_uint {
    let answer = call("cuDevicePrimaryCtxGetState", |driver| {
        let unit = driver.device(device)?;
        Ok(c_int::from(driver.primary(unit).is_some()))
    });
    // SAFETY: CUDA asks for pointers that may be written.
    code(answer.and_then(|answer| unsafe { put(flags, 0).and_then(|()| put(active, answer)) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v2(context: *mut Handle, _flags: c_uint, device: c_int) -> c_uint {
    let answer = call("cuCtxCreate", |driver| {
        let unit = driver.device(device)?;
        driver.create(unit, false)
    });
    if let Ok(handle) = answer {
        current::push(handle);
    }
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(context, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v3(
    context: *mut Handle,
    _affinity: *mut u8,
    affinities: c_int,
    flags: c_uint,
    device: c_int,
) -> c_uint {
    if affinities != 0 {
        return Code::NOT_SUPPORTED.0;
    }
    // SAFETY: the same contract.
    unsafe { cuCtxCreate_v2(context, flags, device) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDestroy_v2(context: Handle) -> c_uint {
    let destroyed = call("cuCtxDestroy", |driver| match driver.cuda.contexts.get(&context) {
        None => Err(driver.misuse(Code::CONTEXT_IS_DESTROYED)),
        Some(Context { retained: Some(_), .. }) => Err(driver.misuse(Code::INVALID_CONTEXT)),
        Some(_) => {
            driver.destroy(context);
            Ok(())
        }
    });
    if destroyed.is_ok() && current::get() == Some(context) {
        current::pop();
    }
    code(destroyed)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> c_uint {
    let known = call("cuCtxSetCurrent", |driver| {
        if context == 0 || driver.cuda.contexts.contains_key(&context) { Ok(()) } else { Err(Code::INVALID_CONTEXT) }
    });
    if known.is_ok() {
        current::set((context != 0).then_some(context));
    }
    code(known)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> c_uint {
    let answer = call("cuCtxGetCurrent", |_| Ok(current::get().unwrap_or(0)));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(context, answer) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> c_uint {
    let known = call("cuCtxPushCurrent", |driver| {
        if driver.cuda.contexts.contains_key(&context) { Ok(()) } else { Err(Code::INVALID_CONTEXT) }
    });
    if known.is_ok() {
        current::push(context);
    }
    code(known)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut Handle) -> c_uint {
    let popped = call("cuCtxPopCurrent", |_| current::pop().ok_or(Code::INVALID_CONTEXT));
    // SAFETY: CUDA takes null for "do not tell", and otherwise asks for a pointer that may be written.
    code(popped.and_then(|popped| if context.is_null() { Ok(()) } else { unsafe { put(context, popped) } }))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> c_uint {
    code(in_context("cuCtxSynchronize", |driver, context| {
        driver.finish(context);
        driver.sound(context)
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: *mut c_int) -> c_uint {
    let answer = in_context("cuCtxGetDevice", |driver, context| {
        let unit = driver.cuda.contexts.get(&context).map(|context| context.unit);
        let ordinal = driver.cuda.visible.iter().position(|visible| Some(*visible) == unit);
        ordinal.and_then(|ordinal| c_int::try_from(ordinal).ok()).ok_or(Code::INVALID_CONTEXT)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetApiVersion(_context: Handle, version: *mut c_uint) -> c_uint {
    // SAFETY: CUDA asks for a pointer that may be written.
    code(call("cuCtxGetApiVersion", |_| Ok(3020)).and_then(|answer| unsafe { put(version, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) -> c_uint {
    let answer = in_context("cuCtxGetStreamPriorityRange", |_, _| Ok(()));
    // SAFETY: CUDA asks for pointers that may be written.
    code(answer.and_then(|()| unsafe { put(least, 0).and_then(|()| put(greatest, -5)) }))
}
