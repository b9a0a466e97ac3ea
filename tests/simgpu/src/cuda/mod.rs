//! The CUDA half: every exported `cu…` symbol, by what it works on.
#![allow(non_snake_case, reason = "the vendor's names")]
#![allow(unsafe_code, reason = "C callers pass pointers")]
#![allow(clippy::missing_safety_doc, reason = "the vendor's documentation says what each pointer must be")]

mod allocation;
mod attributes;
mod context;
mod copy;
mod current;
mod device;
mod errors;
mod event;
mod execute;
mod fill;
mod host;
mod queue;
mod rectangle;
mod store;
mod stream;
mod visible;

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_uint;

use allocation::Allocation;
use context::Context;
use errors::Code;
use event::Event;
use host::HostBlock;
use queue::Stream;

use crate::driver::{self, Driver};
use crate::machine::Fault;

/// What CUDA calls a context, stream or event: a number here, opaque to the caller.
pub(crate) type Handle = usize;

/// CUDA's part of the driver.
#[derive(Debug)]
pub(crate) struct Cuda {
    initialised: bool,
    /// Units by CUDA ordinal.
    visible: Vec<usize>,
    contexts: BTreeMap<Handle, Context>,
    /// Device memory by address.
    allocations: BTreeMap<u64, Allocation>,
    /// Pinned host memory by address.
    host: BTreeMap<usize, HostBlock>,
    streams: BTreeMap<Handle, Stream>,
    events: BTreeMap<Handle, Event>,
    /// Calls so far, by name; for faults that strike the nth.
    calls: HashMap<String, u64>,
    next_handle: Handle,
    next_address: u64,
    next_block: u64,
    next_sequence: u64,
}

impl Default for Cuda {
    fn default() -> Self {
        Self {
            initialised: false,
            visible: Vec::new(),
            contexts: BTreeMap::new(),
            allocations: BTreeMap::new(),
            host: BTreeMap::new(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            calls: HashMap::new(),
            next_handle: 0x5343_0000_0000,
            next_address: allocation::FIRST_ADDRESS,
            next_block: 0,
            next_sequence: 0,
        }
    }
}

impl Cuda {
    fn new_handle(&mut self) -> Handle {
        self.next_handle += 16;
        self.next_handle
    }
}

impl Driver {
    /// Counts a call and says how it is planned to fail.
    fn cuda_call(&mut self, call: &str) -> Result<(), Code> {
        let count = self.cuda.calls.entry(call.to_owned()).or_default();
        *count += 1;
        let count = *count;
        let planned = self.planned(|fault| match fault {
            Fault::CudaError { call: name, code, nth } if name == call && nth.is_none_or(|nth| nth == count) => {
                Some(Code(*code))
            }
            _ => None,
        });
        planned.map_or(Ok(()), Err)
    }

    /// Counts a broken rule of the API and passes its result on.
    fn misuse(&mut self, code: Code) -> Code {
        self.ledger.count(|counters| counters.misuses += 1);
        code
    }
}

/// A call that needs no context.
fn call<T>(name: &str, action: impl FnOnce(&mut Driver) -> Result<T, Code>) -> Result<T, Code> {
    let answered = driver::with(|driver| {
        if !driver.cuda.initialised {
            return Err(Code::NOT_INITIALIZED);
        }
        driver.cuda_call(name)?;
        action(driver)
    });
    answered.unwrap_or(Err(Code::NO_DEVICE))
}

/// A call in the thread's current context, which must be sound: an error in it sticks.
fn in_context<T>(name: &str, action: impl FnOnce(&mut Driver, Handle) -> Result<T, Code>) -> Result<T, Code> {
    let context = current::get();
    call(name, |driver| {
        let context = context.ok_or(Code::INVALID_CONTEXT)?;
        driver.sound(context)?;
        action(driver, context)
    })
}

/// Writes an answer where the caller wants it.
///
/// # Safety
/// `out` is null or may be written.
unsafe fn put<T>(out: *mut T, value: T) -> Result<(), Code> {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { out.write(value) };
    Ok(())
}

/// The number that C sees.
fn code(result: Result<(), Code>) -> c_uint {
    result.err().map_or(0, |code| code.0)
}
