//! Values by number of a field. Of the hundreds there are, the counters of NVLink payload; the others are not supported.

use std::ffi::{c_int, c_longlong, c_uint};
use std::time::{SystemTime, UNIX_EPOCH};

use super::errors::{Error, Return};
use super::{Handle, ask_device, code};
use crate::machine::{Card, NvLink};

/// `NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX`: KiB of payload sent.
const NVLINK_SENT: c_uint = 138;
/// `NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX`
const NVLINK_RECEIVED: c_uint = 139;
/// The scope that stands for all links together.
const ALL_LINKS: c_uint = c_uint::MAX;
/// `NVML_VALUE_TYPE_UNSIGNED_LONG_LONG`
const UNSIGNED_LONG_LONG: c_uint = 3;

/// `nvmlFieldValue_t`, its union as the longest of its numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FieldValue {
    field: c_uint,
    scope: c_uint,
    timestamp: c_longlong,
    latency: c_longlong,
    value_type: c_uint,
    result: Return,
    value: u64,
}

/// A counter of a card's links after so many microseconds of traffic.
fn nvlink(card: &Card, field: c_uint, scope: c_uint, micros: u64) -> Result<u64, Error> {
    let per_second = match field {
        NVLINK_SENT => card.nvlink_traffic.0,
        NVLINK_RECEIVED => card.nvlink_traffic.1,
        _ => return Err(Error::NotSupported),
    };
    if card.nvlinks.is_empty() {
        return Err(Error::NotSupported);
    }
    let active = |link: &&NvLink| **link != NvLink::Inactive;
    let links = match scope {
        ALL_LINKS => card.nvlinks.iter().filter(active).count(),
        one => usize::from(active(&card.nvlinks.get(one as usize).ok_or(Error::InvalidArgument)?)),
    };
    let units = u128::from(per_second) * links as u128 * u128::from(micros) / 1_000_000;
    u64::try_from(units).map_err(|_| Error::Unknown)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(device: Handle, count: c_int, values: *mut FieldValue) -> Return {
    let answer = ask_device("nvmlDeviceGetFieldValues", device, |driver, unit| {
        let count = usize::try_from(count).map_err(|_| Error::InvalidArgument)?;
        if values.is_null() {
            return Err(Error::InvalidArgument);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let micros = u64::try_from(now).map_err(|_| Error::Unknown)?;
        for at in 0..count {
            // SAFETY: NVML asks for `count` values that may be read and written.
            let value = unsafe { &mut *values.add(at) };
            value.timestamp = c_longlong::try_from(micros).unwrap_or(c_longlong::MAX);
            value.latency = 1;
            let card = driver.card(unit);
            let whole = if driver.units[unit].instance.is_some() { Err(Error::NotSupported) } else { Ok(card) };
            match whole.and_then(|card| nvlink(card, value.field, value.scope, micros)) {
                Ok(counter) => (value.value_type, value.result, value.value) = (UNSIGNED_LONG_LONG, 0, counter),
                Err(error) => value.result = error as Return,
            }
        }
        Ok(())
    });
    code(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_follow_the_clock_and_the_links() {
        let card = Card::h100_80gb().with(|card| {
            card.nvlinks = vec![NvLink::Switch, NvLink::Inactive, NvLink::Card(1)];
            card.nvlink_traffic = (1000, 500);
        });
        let second = |scope, field| nvlink(&card, field, scope, 1_000_000).ok();
        assert_eq!(second(ALL_LINKS, NVLINK_SENT), Some(2000));
        assert_eq!(second(0, NVLINK_RECEIVED), Some(500));
        assert_eq!(second(1, NVLINK_SENT), Some(0));
        assert_eq!(second(3, NVLINK_SENT), None);
        assert_eq!(second(0, 1), None);
        assert_eq!(nvlink(&Card::a10(), NVLINK_SENT, ALL_LINKS, 1), Err(Error::NotSupported));
    }
}
