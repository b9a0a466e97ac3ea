//! The NVML half: every exported `nvml…` symbol, by what it tells.
#![allow(non_snake_case, reason = "the vendor's names")]
#![allow(unsafe_code, reason = "C callers pass pointers")]
#![allow(clippy::missing_safety_doc, reason = "the vendor's documentation says what each pointer must be")]

mod errors;
mod events;
mod fields;
mod identity;
mod links;
mod memory;
mod mig;
mod others;
mod processes;
mod readings;
mod session;

use errors::{Error, Return};

use crate::driver::{self, Driver};
use crate::machine::{Card, Fault};

/// What NVML calls a device: a number here, opaque to the caller.
pub(crate) type Handle = usize;

/// Handles start here, so that null and small numbers are no devices.
const FIRST_HANDLE: usize = 0x5347_5055_0000;

/// NVML's part of the driver.
#[derive(Debug, Default)]
pub(crate) struct Nvml {
    /// Event sets by handle.
    event_sets: Vec<events::EventSet>,
}

fn handle(unit: usize) -> Handle {
    FIRST_HANDLE + unit * 8
}

fn unit_of(driver: &Driver, handle: Handle) -> Option<usize> {
    let unit = handle.checked_sub(FIRST_HANDLE)?;
    (unit.is_multiple_of(8) && unit / 8 < driver.units.len()).then_some(unit / 8)
}

impl Driver {
    /// The card of a unit.
    fn card(&self, unit: usize) -> &Card {
        self.units[unit].of(&self.machine)
    }

    /// Fails when nobody initialised NVML.
    fn nvml_ready(&self) -> Result<(), Error> {
        if self.ledger.counters().nvml_sessions == 0 { Err(Error::Uninitialized) } else { Ok(()) }
    }

    /// What the plan says about this call; counts it, and may lose the card.
    fn nvml_call(&mut self, call: &str, unit: Option<usize>) -> Result<(), Error> {
        let card = unit.map(|unit| self.units[unit].card);
        let planned = self.planned(|fault| match fault {
            Fault::NvmlError { call: name, card: on, error } if name == call && (on.is_none() || *on == card) => {
                Some(*error)
            }
            _ => None,
        });
        if let Some(failure) = planned {
            return Err(failure.into());
        }
        let Some(card) = card else { return Ok(()) };
        let calls = self.ledger.count_on(card, |used| used.nvml_calls += 1).nvml_calls;
        let falls = self.planned(|fault| match fault {
            Fault::CardLost { card: on, after_nvml_calls: Some(after), .. } if *on == card => Some(calls > *after),
            _ => None,
        });
        if falls == Some(true) {
            self.lose(card);
        }
        if self.is_lost(card) { Err(Error::GpuIsLost) } else { Ok(()) }
    }
}

/// A call that names no device.
fn ask<T>(call: &str, answer: impl FnOnce(&mut Driver) -> Result<T, Error>) -> Result<T, Error> {
    let answered = driver::with(|driver| {
        driver.refresh();
        driver.nvml_ready()?;
        driver.nvml_call(call, None)?;
        answer(driver)
    });
    answered.unwrap_or(Err(Error::DriverNotLoaded))
}

/// A call about a device.
fn ask_device<T>(
    call: &str,
    device: Handle,
    answer: impl FnOnce(&mut Driver, usize) -> Result<T, Error>,
) -> Result<T, Error> {
    let delay = driver::with(|driver| {
        driver.refresh();
        driver.nvml_delay()
    });
    if let Some(delay) = delay.flatten() {
        std::thread::sleep(delay);
    }
    let answered = driver::with(|driver| {
        driver.nvml_ready()?;
        let unit = unit_of(driver, device).ok_or(Error::InvalidArgument)?;
        driver.nvml_call(call, Some(unit))?;
        answer(driver, unit)
    });
    answered.unwrap_or(Err(Error::DriverNotLoaded))
}

/// Writes an answer where the caller wants it.
///
/// # Safety
/// `out` is null or may be written.
unsafe fn put<T>(out: *mut T, value: T) -> Result<(), Error> {
    if out.is_null() {
        return Err(Error::InvalidArgument);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { out.write(value) };
    Ok(())
}

/// The number that C sees.
fn code(result: Result<(), Error>) -> Return {
    result.err().map_or(0, |error| error as Return)
}

/// Getters that write one value: `symbol(more arguments) -> type = what to answer`; `None` is "not supported".
macro_rules! getters {
    ($($symbol:ident ( $($argument:ident : $type:ty),* ) -> $out:ty = $answer:expr;)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(device: $crate::nvml::Handle, $($argument: $type,)* out: *mut $out) -> $crate::nvml::Return {
            let answer: fn(&mut $crate::driver::Driver, usize, $($type),*) -> Option<$out> = $answer;
            let value = $crate::nvml::ask_device(stringify!($symbol), device, |driver, unit| {
                answer(driver, unit, $($argument),*).ok_or($crate::nvml::Error::NotSupported)
            });
            // SAFETY: NVML asks the caller for a pointer that may be written.
            $crate::nvml::code(value.and_then(|value| unsafe { $crate::nvml::put(out, value) }))
        }
    )* };
}
use getters;
