//! Waiting for critical errors.

use std::ffi::{c_uint, c_ulonglong};
use std::time::Duration;

use super::errors::{Error, Return};
use super::{Handle, ask, ask_device, code, getters, handle, put};
use crate::machine::Fault;

/// `nvmlEventTypeXidCriticalError`.
const XID: c_ulonglong = 8;
/// What can be registered: single- and double-bit errors, performance state, Xid, clock.
const SUPPORTED: c_ulonglong = 1 | 2 | 4 | XID | 16;
/// Event set handles start here.
const FIRST_SET: usize = 0x5347_4556_0000;

/// `nvmlEventData_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EventData {
    device: Handle,
    kind: c_ulonglong,
    data: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

/// What someone waits for.
#[derive(Debug, Default)]
pub(super) struct EventSet {
    /// Cards, with the kinds of events wanted from each.
    registered: Vec<(usize, c_ulonglong)>,
    waits: u64,
    /// Planned faults already told, by position in the plan.
    told: Vec<usize>,
    freed: bool,
}

getters! {
    nvmlDeviceGetSupportedEventTypes() -> c_ulonglong = |_, _| Some(SUPPORTED);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(set: *mut usize) -> Return {
    let answer = ask("nvmlEventSetCreate", |driver| {
        driver.nvml.event_sets.push(EventSet::default());
        Ok(FIRST_SET + driver.nvml.event_sets.len() - 1)
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(set, answer) }))
}

fn find(sets: &mut [EventSet], set: usize) -> Result<&mut EventSet, Error> {
    let at = set.checked_sub(FIRST_SET).ok_or(Error::InvalidArgument)?;
    sets.get_mut(at).filter(|set| !set.freed).ok_or(Error::InvalidArgument)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceRegisterEvents(device: Handle, kinds: c_ulonglong, set: usize) -> Return {
    code(ask_device("nvmlDeviceRegisterEvents", device, |driver, unit| {
        if kinds & !SUPPORTED != 0 {
            return Err(Error::NotSupported);
        }
        let card = driver.units[unit].card;
        find(&mut driver.nvml.event_sets, set)?.registered.push((card, kinds));
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(set: usize, data: *mut EventData, timeout_ms: c_uint) -> Return {
    let answer = ask("nvmlEventSetWait_v2", |driver| {
        let found = find(&mut driver.nvml.event_sets, set)?;
        let waits = found.waits;
        found.waits += 1;
        let due = driver.machine.faults.iter().enumerate().find_map(|(at, fault)| match fault {
            Fault::Xid { card, code, after_waits } if waits >= *after_waits && !found.told.contains(&at) => {
                let wanted = found.registered.iter().any(|(on, kinds)| on == card && kinds & XID != 0);
                wanted.then_some((at, *card, *code))
            }
            _ => None,
        });
        let (at, card, code) = due.ok_or(Error::Timeout)?;
        found.told.push(at);
        let none = c_uint::MAX;
        Ok(EventData { device: handle(card), kind: XID, data: code, gpu_instance: none, compute_instance: none })
    });
    if answer.as_ref().is_err_and(|error| *error == Error::Timeout) {
        // Nobody else can make an event happen, so the whole wait is this.
        std::thread::sleep(Duration::from_millis(u64::from(timeout_ms)));
    }
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(data, answer) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlEventSetFree(set: usize) -> Return {
    code(ask("nvmlEventSetFree", |driver| {
        find(&mut driver.nvml.event_sets, set)?.freed = true;
        Ok(())
    }))
}
