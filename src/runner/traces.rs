//! What each card held while the command ran: in all, and of that the command's own.

use std::collections::VecDeque;
use std::time::Duration;

use super::Family;
use crate::hardware::{Reading, Snapshot};
use crate::monitor::{CardId, CardUsage, usages};
use crate::units::Bytes;

/// One sample of one card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When, from the start of the watch.
    pub at: Duration,
    /// In use.
    pub used: Bytes,
    /// Of that, by the command's processes; `None` where the driver lists none or hides their memory.
    pub ours: Option<Bytes>,
}

/// One card while the command ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardTrace {
    /// Which.
    pub id: CardId,
    /// Product name, where it is told.
    pub name: Option<String>,
    /// UUID, where it is told.
    pub uuid: Option<String>,
    /// What processes can share.
    pub capacity: Bytes,
    /// What was in use before the command.
    pub first: Moment,
    /// The latest moments, oldest first.
    pub last: VecDeque<Moment>,
    /// The moment at which most was in use.
    pub peak: Moment,
    /// Most that the command's processes held.
    pub peak_ours: Option<Bytes>,
}

impl CardTrace {
    /// Moments kept: two minutes at one a second.
    pub const KEPT: usize = 120;
}

/// Takes a snapshot in. Cards whose memory cannot be read leave no trace.
pub fn absorb(traces: &mut Vec<CardTrace>, at: Duration, snapshot: &Snapshot, family: &mut Family) {
    for usage in usages(snapshot) {
        let Reading::Known(memory) = usage.memory else { continue };
        // The list and the total are two calls: what grew between them must not make the part larger than the whole.
        let ours = ours(&usage, family).map(|ours| ours.min(memory.used));
        let moment = Moment { at, used: memory.used, ours };
        let Some(trace) = traces.iter_mut().find(|trace| trace.id == usage.id) else {
            traces.push(CardTrace {
                id: usage.id,
                name: usage.name.known(),
                uuid: usage.uuid.known(),
                capacity: memory.capacity,
                first: moment,
                last: VecDeque::from([moment]),
                peak: moment,
                peak_ours: moment.ours,
            });
            continue;
        };
        if trace.last.len() == CardTrace::KEPT {
            trace.last.pop_front();
        }
        trace.last.push_back(moment);
        if moment.used > trace.peak.used {
            trace.peak = moment;
        }
        trace.peak_ours = trace.peak_ours.max(moment.ours);
    }
}

fn ours(usage: &CardUsage, family: &mut Family) -> Option<Bytes> {
    let Reading::Known(processes) = &usage.processes else { return None };
    let mut sum = Bytes::ZERO;
    for process in processes {
        if family.contains(process.pid) {
            let Reading::Known(used) = process.used else { return None };
            sum += used;
        }
    }
    Some(sum)
}
