//! Waiting for what the driver reports by itself: Xid errors and memory errors of two bits.

use std::io;
use std::thread;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::event::EventSet;

use super::nvml::open;

/// A critical error of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardError {
    /// NVML index of the card.
    pub card: u32,
    /// The Xid number; `None` for a memory error of two bits.
    pub xid: Option<u64>,
}

/// Time after which a wait looks whether anybody still listens.
const LOOK_UP_MS: u32 = 5000;

/// Waits for errors on a thread of its own and hands each to `sink`, until that answers false. Where the driver offers no events (WSL,
/// GeForce in part, MIG) the thread ends, and nothing is ever handed over.
///
/// # Errors
/// When the system gives no thread.
pub fn wait_for_errors(mut sink: impl FnMut(Option<CardError>) -> bool + Send + 'static) -> io::Result<()> {
    let wait = move || {
        let Ok(nvml) = open() else { return };
        let Some(set) = listen(&nvml) else { return };
        loop {
            let told = match set.wait(LOOK_UP_MS) {
                Ok(event) => {
                    let xid = match event.event_data {
                        Some(XidError::Value(number)) => Some(number),
                        Some(XidError::Unknown) | None => None,
                    };
                    event.device.index().ok().map(|card| CardError { card, xid })
                }
                Err(NvmlError::Timeout) => None,
                Err(_) => return,
            };
            if !sink(told) {
                return;
            }
        }
    };
    thread::Builder::new().name("card errors".to_owned()).spawn(wait).map(|_| ())
}

/// A set with all cards that offer events; `None` when none does.
fn listen(nvml: &Nvml) -> Option<EventSet<'_>> {
    let wanted = EventTypes::CRITICAL_XID_ERROR | EventTypes::DOUBLE_BIT_ECC_ERROR;
    let mut refusing = Vec::new();
    'again: loop {
        let mut set = nvml.create_event_set().ok()?;
        let mut any = false;
        for index in (0..nvml.device_count().ok()?).filter(|index| !refusing.contains(index)) {
            let Ok(device) = nvml.device_by_index(index) else { continue };
            let offered = device.supported_event_types().unwrap_or(EventTypes::empty()) & wanted;
            if offered.is_empty() {
                continue;
            }
            // A refusal takes the set with it.
            match device.register_events(offered, set) {
                Ok(same) => (set, any) = (same, true),
                Err(_) => {
                    refusing.push(index);
                    continue 'again;
                }
            }
        }
        return any.then_some(set);
    }
}
