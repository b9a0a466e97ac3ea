//! Bytes over NVLink: the driver counts them since it was loaded, a rate is the difference of two counts.

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper_sys::bindings::field_id::{
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
};

use super::readings::reading;
use super::unwrapped::{Counter, counters};
use crate::hardware::Reading;
use crate::units::Bytes;

/// The scope that stands for all links of a card together (`nvml.h`, at the field's definition).
const ALL_LINKS: u32 = u32::MAX;
/// The fields count in KiB of payload.
const UNIT: u64 = 1024;

/// What the counters of a card stood at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NvLink {
    before: Option<Counts>,
    /// Whether the card has no such counters, which never changes: it is not asked again.
    absent: bool,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    sent: Reading<Counter>,
    received: Reading<Counter>,
}

/// Bytes a second from the card and to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub sent: Reading<Bytes>,
    pub received: Reading<Bytes>,
}

impl NvLink {
    /// The traffic since this was asked last; not read at the first time.
    pub fn read(&mut self, device: &Device<'_>) -> Traffic {
        if self.absent {
            return Traffic { sent: Reading::Unsupported, received: Reading::Unsupported };
        }
        self.advance(ask(device))
    }

    fn advance(&mut self, now: Counts) -> Traffic {
        self.absent = matches!((now.sent, now.received), (Reading::Unsupported, Reading::Unsupported));
        let before = self.before.replace(now);
        let rate = |counter: fn(&Counts) -> Reading<Counter>| {
            counter(&now).and_then(|now| match before.as_ref().map(counter) {
                Some(Reading::Known(before)) => rate(before, now),
                _ => Reading::NotRead,
            })
        };
        Traffic { sent: rate(|counts| counts.sent), received: rate(|counts| counts.received) }
    }
}

fn ask(device: &Device<'_>) -> Counts {
    let fields = [NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX];
    let answers = counters(device, fields.map(|field| (field, ALL_LINKS)));
    // A driver that does not know the field, or the scope, calls it an invalid argument.
    let known = |answer: Result<Counter, NvmlError>| match answer {
        Err(NvmlError::InvalidArg) => Reading::Unsupported,
        answer => reading(answer),
    };
    match answers {
        Ok([sent, received]) => Counts { sent: known(sent), received: known(received) },
        Err(error) => {
            let absent = known(Err(error));
            Counts { sent: absent, received: absent }
        }
    }
}

/// Bytes a second from one count to the next. A counter that fell was reset, and a clock that stood still tells nothing.
fn rate(before: Counter, now: Counter) -> Reading<Bytes> {
    let (Some(units), Ok(micros @ 1..)) =
        (now.value.checked_sub(before.value), u64::try_from(now.micros.saturating_sub(before.micros)))
    else {
        return Reading::NotRead;
    };
    let bytes = u128::from(units) * u128::from(UNIT) * 1_000_000 / u128::from(micros);
    u64::try_from(bytes).map_or(Reading::Failed, |bytes| Reading::Known(Bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(second: i64, sent: u64, received: u64) -> Counts {
        let counter = |value| Reading::Known(Counter { value, micros: second * 1_000_000 });
        Counts { sent: counter(sent), received: counter(received) }
    }

    #[test]
    fn a_rate_is_the_difference_of_two_counts() {
        let mut link = NvLink::default();
        let none = Traffic { sent: Reading::NotRead, received: Reading::NotRead };
        assert_eq!(link.advance(counts(10, 5000, 100)), none);
        let traffic = link.advance(counts(12, 5000 + (40 << 20), 100));
        assert_eq!(traffic, Traffic { sent: Reading::Known(Bytes::gib(20)), received: Reading::Known(Bytes::ZERO) });
        // Reset by a reload of the driver, and asked twice within its clock's step.
        assert_eq!(link.advance(counts(13, 0, 0)).sent, Reading::NotRead);
        assert_eq!(link.advance(counts(13, 9, 9)), none);
        assert_eq!(rate(Counter { value: 0, micros: 0 }, Counter { value: u64::MAX, micros: 1 }), Reading::Failed);
    }

    #[test]
    fn a_card_without_links_is_asked_once() {
        let mut link = NvLink::default();
        let none = Counts { sent: Reading::Unsupported, received: Reading::Unsupported };
        assert_eq!(link.advance(none).sent, Reading::Unsupported);
        assert!(link.absent);
        let mut refused = NvLink::default();
        refused.advance(Counts { sent: Reading::Lost, received: Reading::Lost });
        assert!(!refused.absent, "a card that is lost may have links");
        assert_eq!(refused.advance(counts(1, 1, 1)).sent, Reading::NotRead);
    }
}
